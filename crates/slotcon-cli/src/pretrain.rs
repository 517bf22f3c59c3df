//! `slotcon pretrain`: from pictures to a checkpoint.

use std::path::PathBuf;
use std::process::ExitCode;

use slotcon::Pretraining;
use slotcon::pretrain::Sources;
use slotcon::recipe::{PUBLISHED, Recipe};
use slotcon_train::{Error, Launch, Options, RunDirectory, Start, Stop, TaskRecipe, train};

use crate::{display, ranks, report};

/// Train on a folder of pictures; no labels, any layout.
///
/// Leaves in OUT: recipe.toml (everything resolved, loadable as it is), metrics.jsonl, TensorBoard events, log.txt,
/// environment.jsonl, checkpoints/ and report.html. Ctrl-C ends the run after the current step with a checkpoint.
///
/// Several processes train together when started by --ranks, torchrun --no-python, srun or mpirun.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of pictures, searched with all its subfolders; several are taken together.
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// The run directory; made if it does not exist, never overwritten unless told to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A published recipe by name, or a TOML file with any part of one.
    #[arg(long, value_name = "NAME|FILE", help = recipe_help())]
    recipe: Option<String>,
    /// Change one key of the recipe, e.g. --set optim.batch=64. If the loss does not fall, try half or twice
    /// optim.base_lr; if groups collapse, raise model.teacher_temp or lower optim.base_lr.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Go on with the run in OUT from its last checkpoint, exactly as if it had not been interrupted.
    #[arg(long, conflicts_with_all = ["overwrite", "init_from", "init_backbone"])]
    resume: bool,
    /// Go on with the run in OUT if it has a checkpoint, start it otherwise: for launchers that start again by themselves
    /// what has failed (torchrun --max-restarts, Slurm's --requeue).
    #[arg(long, conflicts_with_all = ["resume", "overwrite"])]
    resume_if_any: bool,
    /// Replace the run that is in OUT.
    #[arg(long)]
    overwrite: bool,
    /// Start a new run from the weights of this checkpoint (not its optimizer, not its schedule).
    #[arg(long, value_name = "CHECKPOINT")]
    init_from: Option<PathBuf>,
    /// Start a new run from a backbone alone: a ResNet's state dict of torchvision or timm (.pth, .safetensors), one with
    /// prefixes as MoCo's, an official SlotCon checkpoint or one of ours. Student and teacher both get it; projector,
    /// prototypes and predictor start fresh. A weight that is missing or of another shape is an error.
    #[arg(long, value_name = "FILE", conflicts_with = "init_from")]
    init_backbone: Option<PathBuf>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N. With several processes on a machine, auto and cuda give each its
    /// own GPU.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// f32, bf16 (GPUs since 2020, recent CPUs) or f16 (older GPUs; with dynamic loss scaling). Short for --set
    /// run.precision=…
    #[arg(long, value_name = "PRECISION")]
    precision: Option<String>,
    /// Length of the whole run in steps, schedules included, instead of the recipe's epochs. Short for --set run.steps=…
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Start N processes on this machine that train together, one a GPU; on a CPU they share the cores. optim.batch is
    /// that of all of them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    ranks: u16,
    /// Take a rank's share of the batch in N parts, one after the other, to fit into less memory. Batch statistics, centre
    /// and negatives are then those of a part. Short for --set optim.accumulate=N
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
}

fn recipe_help() -> String {
    let names: Vec<&str> = PUBLISHED.iter().map(|r| r.name).collect();
    format!(
        "A published recipe by name ({}), or a TOML file with any part of one [default: {}]",
        names.join(", "),
        names[0]
    )
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever ends the run.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut settings = args.set;
    settings.extend(args.precision.map(|p| format!("run.precision={p}")));
    settings.extend(args.steps.map(|n| format!("run.steps={n}")));
    settings.extend(args.accumulate.map(|n| format!("optim.accumulate={n}")));
    let launch = Launch::from_environment()?;
    if args.ranks > 1 && !launch.is_alone() {
        anyhow::bail!(
            "--ranks {} starts processes of its own, but this is already rank {} of {}: leave --ranks away",
            args.ranks,
            launch.rank,
            launch.size
        );
    }
    let directory = RunDirectory::at(&args.out);
    // Rank 0 alone needs the run directory.
    let first = launch.rank == 0;
    if args.resume && first && !directory.last().exists() {
        return Err(Error::NothingToResume(args.out).into());
    }
    // To resume, nothing has to be said again.
    let said_nothing = args.recipe.is_none() && settings.is_empty();
    let recipe = if args.resume && (said_nothing || !first) {
        None
    } else {
        let base = match (&args.recipe, args.resume) {
            (Some(name), _) => name.clone(),
            (None, true) => directory.recipe().display().to_string(),
            (None, false) => PUBLISHED[0].name.to_owned(),
        };
        Some(Recipe::load(&base, &settings)?)
    };
    if args.ranks > 1 {
        return ranks::run(args.ranks.into(), &recipe.unwrap_or_default());
    }
    let start = match (args.resume, args.resume_if_any, args.overwrite) {
        (true, ..) => Start::Resume,
        (_, true, _) => Start::ResumeOrNew,
        (_, _, true) => Start::Overwrite,
        (false, false, false) => Start::New,
    };
    let options = Options {
        start,
        init_from: args.init_from,
        device: args.device,
        launch,
        stop: Stop::on_signals()?,
        observers: display::observers(),
        ..Options::new(args.out)
    };
    let sources = Sources {
        data: args.data,
        init_backbone: args.init_backbone,
    };
    let outcome = train::<Pretraining>(recipe, &sources, &options);
    // Before it began, the directory may hold another run, which is not touched.
    if first && outcome.as_ref().map_or_else(|error| error.began, |_| true) {
        report::after_run(&options.out, &options.device);
    }
    Ok(if outcome?.stopped() {
        ExitCode::from(130)
    } else {
        ExitCode::SUCCESS
    })
}
