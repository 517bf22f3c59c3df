//! `slotcon bench`: how fast this machine is at it.

mod instances;
mod semantic;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use slotcon::{Pretraining, Recipe};
use slotcon_data::Dataset;
use slotcon_data::bench::BenchConfig;
use slotcon_torch::distributed::Ranks;
use slotcon_train::bench::{Source, StepTimes, bench_step};
use slotcon_train::task::Share;
use slotcon_train::{TaskRecipe, device};
use tch::Device;

use crate::arguments::{DeviceArg, JsonArg};
use crate::status::Status;

/// Measure the speed of this machine.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Data(DataArgs),
    Step(StepArgs),
    SemanticData(semantic::DataArgs),
    SemanticStep(semantic::StepArgs),
    Instances(instances::Args),
}

/// From files to batches: pictures a second, beside decoding alone, and the time of each stage.
#[derive(Debug, clap::Args)]
struct DataArgs {
    /// Pictures, as for pretrain.
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// A published recipe by name, or a TOML file; its [data] counts.
    #[arg(long, value_name = "NAME|FILE", default_value = "coco-r50-800ep")]
    recipe: String,
    /// Change one key of the recipe, e.g. --set data.layout=folder
    #[arg(long, value_name = "SECTION.KEY=VALUE", default_value = "data.layout=folder")]
    set: Vec<String>,
    #[command(flatten)]
    load: MeasuredLoading,
}

/// A whole training step: both views, student and teacher, losses, backward, optimizer, teacher update.
#[derive(Debug, clap::Args)]
struct StepArgs {
    /// A published recipe by name, or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "coco-r50-800ep")]
    recipe: String,
    /// Change one key of the recipe, e.g. --set optim.batch=8
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// f32, bf16 or f16
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: String,
    /// Feed it from these pictures; without, the same random pictures are used again and again.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Steps that are not measured.
    #[arg(long, default_value_t = 2, value_name = "N")]
    warmup: usize,
    #[command(flatten)]
    steps: MeasuredSteps,
}

/// How steps are measured.
#[derive(Debug, clap::Args)]
struct MeasuredSteps {
    #[command(flatten)]
    device: DeviceArg,
    /// Steps that are.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    #[command(flatten)]
    output: JsonArg,
}

impl MeasuredSteps {
    fn count(&self) -> usize {
        self.steps as usize
    }
}

/// How loading is measured.
#[derive(Debug, clap::Args)]
struct MeasuredLoading {
    /// Loader threads; 0: as many as there are cores.
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    seconds: f64,
    #[command(flatten)]
    output: JsonArg,
}

impl MeasuredLoading {
    /// Loads as training by `recipe` does, `batch` samples at a time.
    fn config<R: TaskRecipe>(&self, recipe: &R, batch: usize) -> BenchConfig {
        let share = Share {
            batch,
            rank: 0,
            ranks: 1,
            loader_threads: self.threads,
            first_step: 0,
        };
        let mut loader = recipe.loading().loader_config(recipe.run().seed, &share);
        loader.threads = self.threads;
        BenchConfig {
            loader,
            seconds: self.seconds,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// A recipe, device or data set that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    match &args.what {
        What::Data(args) => data(args),
        What::Step(args) => step(args),
        What::SemanticData(args) => semantic::data(args),
        What::SemanticStep(args) => semantic::step(args),
        What::Instances(args) => instances::run(args),
    }
}

/// Pictures in a batch: few, so that the clock is looked at often.
const BATCH: usize = 16;

fn data(args: &DataArgs) -> anyhow::Result<Status> {
    let recipe = Recipe::load(&args.recipe, &args.set)?;
    let dataset = Arc::new(Dataset::open(&args.data, recipe.data.selection()?)?);
    let config = args.load.config(&recipe, BATCH.min(dataset.len()));
    let report = slotcon_data::bench::run(&dataset, &recipe.data.augment, &config)?;
    eprintln!(
        "{} threads, {} pictures: {:.1} pictures/s, {:.1} decoded alone, peak {:.0} MB",
        report.threads,
        report.pictures,
        report.pictures_per_second,
        report.decode_only_pictures_per_second,
        report.peak_mb
    );
    if args.load.output.json {
        out!("{}", serde_json::to_string(&report)?);
    } else {
        eprintln!("{}", serde_json::to_string_pretty(&report.stages_us)?);
    }
    Ok(Status::DONE)
}

fn step(args: &StepArgs) -> anyhow::Result<Status> {
    let mut settings = args.set.clone();
    settings.push(format!("run.precision={}", args.precision));
    let recipe = Recipe::load(&args.recipe, &settings)?;
    let device = device::parse(&args.steps.device.asked)?;
    let data = match &args.data[..] {
        [] => None,
        roots => Some(Arc::new(Dataset::open(roots, recipe.data.selection()?)?)),
    };
    let source = match &data {
        None => Source::Fixed(Pretraining::random_batch(&recipe, device)),
        Some(dataset) => Source::Data(dataset),
    };
    let build = || Pretraining::build(&recipe, device, &Ranks::alone());
    let times = bench_step(&recipe, device, build, source, args.warmup, args.steps.count())?;
    show(&times, device, args.steps.output)
}

/// Says what steps took.
fn show(times: &StepTimes, device: Device, output: JsonArg) -> anyhow::Result<Status> {
    eprintln!(
        "{}: median {:.3} s a step, fastest {:.3} s, {:.1} pictures/s, peak {:.0} MiB",
        device::describe(device),
        times.median_s,
        times.min_s,
        times.pictures_per_second,
        times.peak_mb
    );
    for (name, seconds) in &times.parts_s {
        eprintln!("  {name:<16} {seconds:.4} s");
    }
    if output.json {
        out!("{}", serde_json::to_string(times)?);
    }
    Ok(Status::DONE)
}
