//! `slotcon bench instances`.

use slotcon_train::bench::{Source, bench_step};
use slotcon_train::{TaskRecipe, device};
use slotcon_transfer::instances::{InstanceSegmentation, InstancesRecipe};

use super::{MeasuredSteps, show};
use crate::status::Status;

/// A whole training step of a detector on random pictures: forward, losses, backward, optimizer.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A published recipe by name, or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "coco-maskrcnn-r50-fpn-90k")]
    recipe: String,
    /// Change one key of the recipe, e.g. --set optim.batch=2
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// f32, bf16 or f16
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: String,
    /// Height and width of the pictures.
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"], default_values_t = [320, 480], value_parser = clap::value_parser!(u32).range(64..=4096))]
    size: Vec<u32>,
    /// Objects in each.
    #[arg(long, default_value_t = 8, value_name = "N")]
    objects: u32,
    /// Steps that are not measured.
    #[arg(long, default_value_t = 1, value_name = "N")]
    warmup: usize,
    #[command(flatten)]
    steps: MeasuredSteps,
}

/// Runs the subcommand.
///
/// # Errors
/// A recipe or device that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let mut settings = args.set.clone();
    settings.push(format!("run.precision={}", args.precision));
    let recipe = InstancesRecipe::load(&args.recipe, &settings)?;
    let device = device::parse(&args.steps.device.asked)?;
    let [height, width] = args.size[..] else {
        anyhow::bail!("--size takes a height and a width");
    };
    let batch = InstanceSegmentation::random_batch(&recipe, (height, width), args.objects);
    let build = || InstanceSegmentation::unfed(&recipe, device);
    let source = Source::Fixed(batch);
    let times = bench_step(&recipe, device, build, source, args.warmup, args.steps.count())?;
    show(&times, device, args.steps.output)
}
