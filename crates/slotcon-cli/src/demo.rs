//! `slotcon demo`: the main job in minutes, on scenes that the program draws itself or on your own photos.

use std::path::{Path, PathBuf};

use slotcon::method::Branch;
use slotcon::pretrain::Sources;
use slotcon::{Pretraining, Recipe};
use slotcon_data::labelled::{Classes, LabelLayout, pairs};
use slotcon_data::picture::DecodeOptions;
use slotcon_data::{Layout, scenes};
use slotcon_eval::groups::{GroupConfig, find};
use slotcon_eval::pictures::{InputConfig, Pictures};
use slotcon_eval::{Segmenter, TestSet};
use slotcon_metrics::Matching;
use slotcon_train::{Options, Start, Stop, TaskRecipe, device, train};

use crate::arguments::{DeviceArg, JsonArg};
use crate::display;
use crate::evaluate::{as_json, baselines, table};
use crate::progress_bar::PictureBar;
use crate::report;
use crate::status::Status;
use crate::what_next::{command, groups_and_masks, segment};

/// Pretrain on drawn scenes for some minutes, then say what was learned: the groups found on held-out scenes against the
/// true label maps, beside an untrained network and k-means on colour.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use these photos instead of drawn scenes (there are no labels then, so nothing is measured).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to put scenes and run; an earlier demo there is replaced.
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    out: PathBuf,
    /// Length of the run in steps.
    #[arg(long, default_value_t = STEPS, value_name = "N")]
    steps: u64,
    /// Seed of scenes and training.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    output: JsonArg,
}

const STEPS: u64 = 440;
const TRAIN: u64 = 480;
const HELD_OUT: u64 = 60;
/// Side of a scene in pixels.
const SIZE: u32 = 160;
/// Scenes in which groups are found.
const LOOKED_AT: usize = 120;
/// What differs from the recipe `small` for scenes, little data and few steps: half the blocks, and small crops in which patterns are about
/// as large as in the scenes.
const SETTINGS: [&str; 9] = [
    "model.arch=resnet10",
    "data.image_size=64",
    "data.min_scale=0.1",
    "data.max_scale=0.2",
    "model.prototypes=5",
    "model.teacher_temp=0.04",
    "model.teacher_momentum=0.98",
    "optim.batch=24",
    // In bf16, which auto may become, groups are worse (docs/results.md).
    "run.precision=f32",
];

/// The recipe of the demo: `small`, and for scenes what they want. Their classes share their colours, so colour is varied more than photos
/// bear.
fn recipe(args: &Args) -> anyhow::Result<Recipe> {
    let mut settings = vec![
        format!("run.seed={}", args.seed),
        format!("run.steps={}", args.steps),
        "run.stop_at=0".into(),
    ];
    if args.data.is_some() {
        return Ok(Recipe::load("small", &settings)?);
    }
    settings.extend(SETTINGS.iter().map(|s| s.to_string()));
    let mut recipe = Recipe::load("small", &settings)?;
    recipe.data.augment.views = Recipe::default().data.augment.views;
    for view in &mut recipe.data.augment.views {
        view.gray_prob = 0.5;
        view.jitter.hue = 0.5;
        view.jitter.saturation = 0.4;
    }
    Ok(recipe)
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever ends the run.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let recipe = recipe(args)?;
    let drawn = args.out.join("scenes");
    let data = match &args.data {
        Some(folder) => folder.clone(),
        None => {
            draw(&drawn, args.seed)?;
            drawn.join("images/train")
        }
    };
    let options = Options {
        start: Start::Overwrite,
        device: args.device.asked.clone(),
        stop: Stop::on_signals()?,
        observers: display::observers(),
        ..Options::new(&args.out)
    };
    let sources = Sources {
        data: vec![data],
        ..Sources::default()
    };
    let outcome = train::<Pretraining>(Some(recipe), &sources, &options)?;
    report::after_run(&options.out, &options.device, &report::of_pretraining);
    if outcome.stopped() {
        return Ok(Status::STOPPED);
    }
    if args.data.is_none() {
        measure(args, &drawn, &outcome.checkpoint)?;
    }
    say_what_next(args);
    Ok(Status::DONE)
}

/// Finds groups in the scenes that were learned from and measures them, and the prototypes, on those held out.
fn measure(args: &Args, scenes: &Path, checkpoint: &Path) -> anyhow::Result<()> {
    let trained = Segmenter::open(checkpoint, Branch::Teacher, device::parse(&args.device.asked)?)?;
    let classes = Classes::open(&scenes.join("classes.json"))?;
    let config = GroupConfig {
        seed: args.seed,
        // What tells the classes is texture, which so short a run has taught the stages before the last; but for the sky, positions tell nothing.
        stage: 2,
        height: Some(0.0),
        across: Some(0.0),
        ..GroupConfig::new(classes.classes.len())
    };
    let learned_from = Pictures::open(
        &[scenes.join("images/train")],
        Layout::Folder,
        InputConfig::squares(SIZE),
        Some(LOOKED_AT),
    )?;
    let mut bar = PictureBar::default();
    let (groups, _) = find(&trained, &learned_from, &config, &mut bar)?;
    bar.finish();
    groups.save(&args.out.join("groups.safetensors"))?;

    let held_out = pairs(
        &scenes.join("images/val"),
        &scenes.join("labels/val"),
        LabelLayout::Index,
        None,
    )?
    .all;
    let set = TestSet::load(&held_out, classes, SIZE, &DecodeOptions::default())?;
    let matching = Matching::Hungarian;
    let prototypes = set.measure(&trained, matching)?;
    let baselines = baselines(&set, &trained, matching, args.seed)?;
    let protocol = set.protocol(matching) + "; " + &groups.protocol();
    let grouped = trained.with_groups(groups);
    let mut rows = vec![
        ("groups", set.measure(&grouped, matching)?),
        ("prototypes", prototypes),
    ];
    rows.extend(baselines);
    eprint!(
        "\nWhat was learned, on {HELD_OUT} scenes that it has not seen:\n{}",
        table(&rows, &protocol)
    );
    if args.output.json {
        out!("{}", as_json(&rows, &protocol)?);
    }
    Ok(())
}

/// What to look at, and what to type for one's own photos.
fn say_what_next(args: &Args) {
    let out = args.out.to_string_lossy();
    match &args.data {
        Some(photos) => eprintln!(
            "\nLook at {out}/report.html. Groups in your photos, and masks of them:\n{}",
            groups_and_masks(&args.out, std::slice::from_ref(photos))
        ),
        None => {
            let groups = format!("{out}/groups.safetensors");
            let (masks, held_out) = (format!("{out}/masks"), format!("{out}/scenes/images/val"));
            eprintln!(
                "\nLook at {out}/report.html, and at the groups as masks:\n  {}\nThen your own photos, half an hour or so:\n  {}\n{}",
                segment(&out, &groups, &masks, &[&held_out]),
                command(&["pretrain", "--data", "PHOTOS", "--out", "runs/mine"]),
                groups_and_masks(Path::new("runs/mine"), &["PHOTOS".into()])
            );
        }
    }
}

/// Draws the scenes anew: they are cheap, and an interrupted demo must not leave others behind.
fn draw(folder: &Path, seed: u64) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    eprintln!(
        "drawing {TRAIN} scenes to learn from and {HELD_OUT} to measure on: {}",
        folder.display()
    );
    scenes::write_folder(folder, seed, TRAIN, HELD_OUT, SIZE)?;
    Ok(())
}
