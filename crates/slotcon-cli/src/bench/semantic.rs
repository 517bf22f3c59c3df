//! Fine-tuning for semantic segmentation, measured.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slotcon_data::Dataset;
use slotcon_data::bench::load_rate;
use slotcon_data::labelled::{ClassTable, LabelLayout, pairs};
use slotcon_data::loader::LabelledMaker;
use slotcon_torch::distributed::Ranks;
use slotcon_train::bench::{Source, bench_step};
use slotcon_train::{TaskRecipe, device};
use slotcon_transfer::semantic::{SemanticRecipe, SemanticSegmentation};

use super::{MeasuredLoading, MeasuredSteps, show};
use crate::finetune::classes;
use crate::status::Status;

/// Pictures in a batch: few, so that the clock is looked at often.
const BATCH: usize = 8;

/// From labelled pictures to batches of crops: pictures a second.
#[derive(Debug, clap::Args)]
pub(super) struct DataArgs {
    /// Folder of pictures.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Folder of their label maps.
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// What the numbers in them mean.
    #[arg(long, value_name = "FILE")]
    classes: PathBuf,
    /// A published recipe of finetune semantic, or a TOML file; its [data] counts.
    #[arg(long, value_name = "NAME|FILE", default_value = "semantic-small")]
    recipe: String,
    /// Change one key of the recipe, e.g. --set data.crop=513
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    load: MeasuredLoading,
}

/// A whole training step of a segmentor: forward, loss, backward, optimizer.
#[derive(Debug, clap::Args)]
pub(super) struct StepArgs {
    /// A published recipe of finetune semantic, or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "semantic-small")]
    recipe: String,
    /// Change one key of the recipe, e.g. --set optim.batch=2
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// How many classes it learns.
    #[arg(long, default_value_t = 21, value_name = "N", value_parser = clap::value_parser!(u8).range(1..255))]
    classes: u8,
    /// Steps that are not measured.
    #[arg(long, default_value_t = 2, value_name = "N")]
    warmup: usize,
    #[command(flatten)]
    steps: MeasuredSteps,
}

/// Measures loading.
///
/// # Errors
/// A recipe or folders that cannot be used.
pub(super) fn data(args: &DataArgs) -> anyhow::Result<Status> {
    let recipe = SemanticRecipe::load(&args.recipe, &args.set)?;
    let pairs = pairs(&args.images, &args.labels, LabelLayout::Index, None)?;
    let classes = classes(LabelLayout::Index, Some(&args.classes), None)?;
    let table = ClassTable::new(&classes).map_err(anyhow::Error::msg)?;
    let pictures = Arc::new(Dataset::from_paths(pairs.all.iter().map(|pair| &pair.picture)));
    let labels = Arc::new(Dataset::from_paths(pairs.all.iter().map(|pair| &pair.labels)));
    let timeout = Duration::from_secs_f64(recipe.loading().read_timeout);
    let maker = LabelledMaker::new(recipe.data.augment.clone(), labels, table, timeout)?;
    let config = args.load.config(&recipe, BATCH.min(pictures.len()));
    let rate = load_rate(&pictures, maker, &config)?;
    eprintln!(
        "{} threads, {} pictures: {:.1} pictures/s, {:.1} by processor time",
        args.load.threads,
        pairs.all.len(),
        rate.pictures_per_second,
        rate.pictures_per_cpu_second
    );
    if args.load.output.json {
        out!("{}", serde_json::to_string(&rate)?);
    }
    Ok(Status::DONE)
}

/// Measures a step on random crops.
///
/// # Errors
/// A recipe or device that cannot be used.
pub(super) fn step(args: &StepArgs) -> anyhow::Result<Status> {
    let recipe = SemanticRecipe::load(&args.recipe, &args.set)?;
    let device = device::parse(&args.steps.device.asked)?;
    let classes = Vec::from_iter((0..args.classes).map(|class| class.to_string()));
    let batch = SemanticSegmentation::random_batch(&recipe, classes.len(), device);
    let build = || SemanticSegmentation::build(&recipe, classes, device, &Ranks::alone());
    let source = Source::Fixed(batch);
    let times = bench_step(&recipe, device, build, source, args.warmup, args.steps.count())?;
    show(&times, device, args.steps.output)
}
