//! Arguments of every command that trains: where the run goes, what it is made of, what it starts from, what it runs on.

use std::path::PathBuf;
use std::time::Duration;

use slotcon_train::{Error, Launch, Options, RunDirectory, Start, Stop, TaskRecipe};

use crate::status::Status;
use crate::{display, ranks};

/// A run.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The run directory; made if it does not exist, never overwritten unless told to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A published recipe by name, or a TOML file with any part of one [default: the first one published].
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Change one key of the recipe, e.g. --set optim.batch=64. If the loss does not fall, try half or twice
    /// optim.base_lr.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Go on with the run in OUT from its last checkpoint, exactly as if it had not been interrupted.
    #[arg(long, conflicts_with_all = ["overwrite", "init_from"])]
    resume: bool,
    /// Go on with the run in OUT if it has a checkpoint, start it otherwise: for launchers that start again by themselves
    /// what has failed (torchrun --max-restarts, Slurm's --requeue).
    #[arg(long, conflicts_with_all = ["resume", "overwrite"])]
    resume_if_any: bool,
    /// Replace the run that is in OUT.
    #[arg(long)]
    overwrite: bool,
    /// Start a new run from the weights of this checkpoint of the same task (not its optimizer, not its schedule).
    #[arg(long, value_name = "CHECKPOINT")]
    init_from: Option<PathBuf>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N. With several processes on a machine, auto and cuda give each its
    /// own GPU.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// auto (bf16 where it is faster than f32, which is tried), f32, bf16 (GPUs since 2020, recent CPUs) or f16 (older GPUs; with dynamic loss scaling). Short for --set
    /// run.precision=…
    #[arg(long, value_name = "PRECISION")]
    precision: Option<String>,
    /// Length of the whole run in steps, schedules included, instead of the recipe's. Short for --set run.steps=… --set
    /// run.stop_at=0.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// How long the run is to take, e.g. 30m or 2h: its steps follow from some that are measured before it begins, and stand in the
    /// recipe of the run from then on.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["steps", "resume"])]
    budget: Option<Duration>,
    /// Start N processes on this machine that train together, one a GPU; on a CPU they share the cores. optim.batch is
    /// that of all of them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    ranks: u16,
    /// Take a rank's share of the batch in N parts, one after the other, to fit into less memory. Batch statistics are then
    /// those of a part. Short for --set optim.accumulate=N
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
}

/// What the arguments ask for.
pub enum Prepared<R> {
    /// Train in this process.
    Train {
        /// `None`: the checkpoint's.
        recipe: Option<R>,
        /// Everything else.
        options: Box<Options>,
    },
    /// The ranks have trained in processes of their own, and ended so.
    Done(Status),
}

impl RunArgs {
    /// Loads the recipe; starts the ranks, if there are to be several.
    ///
    /// # Errors
    /// A recipe that cannot be used, nothing to resume, ranks in ranks.
    pub fn prepare<R: TaskRecipe>(self) -> anyhow::Result<Prepared<R>> {
        let mut settings = self.set;
        settings.extend(self.precision.map(|p| format!("run.precision={p}")));
        set_length(&mut settings, self.steps);
        settings.extend(self.accumulate.map(|n| format!("optim.accumulate={n}")));
        let launch = Launch::from_environment()?;
        if self.ranks > 1 && !launch.is_alone() {
            anyhow::bail!(
                "--ranks {} starts processes of its own, but this is already rank {} of {}: leave --ranks away",
                self.ranks,
                launch.rank,
                launch.size
            );
        }
        let directory = RunDirectory::at(&self.out);
        // Rank 0 alone needs the run directory.
        let first = launch.rank == 0;
        if self.resume && first && !directory.last().exists() {
            return Err(Error::NothingToResume(self.out).into());
        }
        // To resume, nothing has to be said again.
        let said_nothing = self.recipe.is_none() && settings.is_empty();
        let recipe = if self.resume && (said_nothing || !first) {
            None
        } else {
            let base = match (&self.recipe, self.resume) {
                (Some(name), _) => name.clone(),
                (None, true) => directory.recipe().display().to_string(),
                (None, false) => R::PUBLISHED[0].name.to_owned(),
            };
            Some(R::load(&base, &settings)?)
        };
        if self.ranks > 1 {
            return Ok(Prepared::Done(ranks::run(
                self.ranks.into(),
                &recipe.unwrap_or_default(),
            )?));
        }
        let start = match (self.resume, self.resume_if_any, self.overwrite) {
            (true, ..) => Start::Resume,
            (_, true, _) => Start::ResumeOrNew,
            (_, _, true) => Start::Overwrite,
            (false, false, false) => Start::New,
        };
        let options = Options {
            start,
            init_from: self.init_from,
            budget: self.budget,
            device: self.device,
            launch,
            stop: Stop::on_signals()?,
            observers: display::observers(),
            waiting: display::waiting(),
            ..Options::new(self.out)
        };
        Ok(Prepared::Train {
            recipe,
            options: Box::new(options),
        })
    }
}

/// Adds to `settings` of a recipe what `--steps` is short for.
pub fn set_length(settings: &mut Vec<String>, steps: Option<u64>) {
    if let Some(steps) = steps {
        // First, so that --set has the last word.
        settings.insert(0, "run.stop_at=0".into());
        settings.push(format!("run.steps={steps}"));
    }
}

/// A length of time that a person writes: 30m, 2h, 1h30m, 90s.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no length of time; write it as 30m, 2h, 1h30m or 90s");
    let length: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    match Duration::try_from(length) {
        Ok(length) if !length.is_zero() => Ok(length),
        _ => Err(wrong()),
    }
}

/// The names of published recipes, for a command's help.
pub fn published<R: TaskRecipe>() -> String {
    let names = Vec::from_iter(R::PUBLISHED.iter().map(|recipe| recipe.name));
    format!(
        "Published recipes: {}; the first is the default.",
        names.join(", ")
    )
}
