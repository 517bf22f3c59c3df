//! `slotcon evaluate retrieval`: what features are worth to somebody who labels, without training.

use std::path::PathBuf;

use serde_json::json;
use slotcon_data::labelled::NameList;
use slotcon_eval::TestSet;
use slotcon_eval::retrieval::{
    ColourAndPlace, NetworkFeatures, NetworkPlaces, PlaceFeatures, RetrievalConfig, Retrieved,
};

use super::labelled::LabelledArgs;
use super::table::Table;
use crate::arguments::{BackboneArgs, JsonArg, say_orientation};
use crate::progress_bar::PictureBar;
use crate::status::Status;

/// Dense in-context retrieval: every place of the pictures gets the classes of its nearest neighbours among places of labelled
/// training pictures; mean intersection over union and pixel accuracy of that. Nothing is trained.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: BackboneArgs,
    /// Folder of the labelled pictures that are remembered.
    #[arg(long, value_name = "DIR")]
    train_images: PathBuf,
    /// Folder of their label maps, of the same layout and classes as those that are measured on.
    #[arg(long, value_name = "DIR")]
    train_labels: PathBuf,
    /// Remember only the pictures that this file names, one a line without ending.
    #[arg(long, value_name = "FILE")]
    train_list: Option<PathBuf>,
    #[command(flatten)]
    labelled: LabelledArgs,
    /// backbone: its last feature map, what is transferred; dense: the projector's output, what groups are made of.
    #[arg(long, value_enum, default_value_t = What::Backbone)]
    what: What,
    /// Places that are remembered, evenly many of each training picture. Published are 102400 (the default), 1024000 and
    /// 10240000; time and memory grow with it.
    #[arg(long, default_value_t = 102_400, value_name = "PLACES", value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// Neighbours that vote.
    #[arg(long, default_value_t = 30, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    k: u16,
    /// Temperature of the softmax over the neighbours' cosines.
    #[arg(long, default_value_t = 0.02, value_name = "T")]
    temperature: f64,
    /// Which places are remembered, where there are more than --memory.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Whiten features by how they change with the colours of the pictures that are remembered (their labels are not looked at): what
    /// changes with the light counts less. Not in the published protocol.
    #[arg(long)]
    whiten: bool,
    /// What the height of a place in its picture weighs beside its features: its standard deviation, where features have length 1. 0.7
    /// for photos that people take; not in the published protocol.
    #[arg(long, value_name = "W", default_value_t = 0.0)]
    height: f64,
    /// Also measure the untrained network, and the mean colours of the same places with their x and y (standardised, K nearest
    /// by Euclidean distance, each with the same weight).
    #[arg(long)]
    baselines: bool,
    #[command(flatten)]
    output: JsonArg,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    Backbone,
    Dense,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used; fewer labelled places than neighbours.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let features = match args.what {
        What::Backbone => NetworkFeatures::Backbone,
        What::Dense => NetworkFeatures::Dense,
    };
    if args.temperature.is_nan() || args.temperature <= 0.0 {
        anyhow::bail!(
            "--temperature {}: expected a number above 0, 0.02 as published",
            args.temperature
        );
    }
    if !args.height.is_finite() || args.height < 0.0 {
        anyhow::bail!("--height {}: expected 0 or more, 0 as published", args.height);
    }
    if features == NetworkFeatures::Dense && !args.network.has_heads() {
        anyhow::bail!("--what dense needs a --checkpoint: a --backbone has no projector");
    }
    let segmenter = args.labelled.seen_by(args.network.open()?);
    let classes = args.labelled.classes()?;
    let list = args.train_list.as_deref().map(NameList::open).transpose()?;
    let remembered = args
        .labelled
        .pairs(&args.train_images, &args.train_labels, list.as_ref())?;
    let (set, of_set) = args.labelled.open(classes.clone())?;
    let config = RetrievalConfig {
        memory: args.memory as usize,
        neighbours: usize::from(args.k),
        temperature: args.temperature,
        seed: args.seed,
        side: args.labelled.side(),
    };

    let mut bar = PictureBar::default();
    let options = args.labelled.options();
    let places = |segmenter, bar: &mut PictureBar| -> anyhow::Result<NetworkPlaces> {
        let mut places = NetworkPlaces::new(segmenter, features);
        if args.whiten {
            places.whitening = Some(config.whitening(&places, &remembered, &classes, &options, bar)?);
        }
        places.height = args.height;
        Ok(places)
    };
    let probe = |features: &dyn PlaceFeatures, bar: &mut PictureBar| -> anyhow::Result<(Retrieved, usize)> {
        let retrieval = config.remember(features, &remembered, &classes, &options, bar)?;
        Ok((retrieval.measure(&set, bar)?, retrieval.labelled()))
    };
    let trained = places(&segmenter, &mut bar)?;
    let grid = grid(&set, &trained)?;
    let (first, labelled) = probe(&trained, &mut bar)?;
    let mut rows = vec![("trained", first)];
    if args.baselines {
        let segmenter = segmenter.untrained()?;
        rows.push(("untrained", probe(&places(&segmenter, &mut bar)?, &mut bar)?.0));
        rows.push(("colour_and_place", probe(&ColourAndPlace { grid }, &mut bar)?.0));
    }
    bar.finish();
    say_orientation();

    let beside = beside(args);
    let protocol = format!(
        "{}{of_set}, memory of {} of {labelled} labelled places of {} pictures (seed {}), {} features of the {}, {} x {} places a picture{beside}; \
         {} neighbours, softmax of cosine / {}, mean of the class histograms of their labelled pixels, brought to the label maps' size \
         bilinearly, arg-max, one confusion matrix; ignored pixels count for nothing",
        set.description(),
        rows[0].1.places,
        remembered.len(),
        args.seed,
        features.name(),
        args.network.words(&segmenter),
        grid.0,
        grid.1,
        args.k,
        args.temperature,
    );
    let text = table(&rows, &protocol);
    if args.output.json {
        let (_, first) = &rows[0];
        let mut value = serde_json::to_value(first)?;
        value["protocol"] = json!(protocol);
        for (name, retrieved) in &rows[1..] {
            value["baselines"][name] = serde_json::to_value(retrieved)?;
        }
        eprint!("{text}");
        out!("{value}");
    } else {
        print!("{text}");
    }
    Ok(Status::DONE)
}

/// What is not in the published protocol, for the line that tells it.
fn beside(args: &Args) -> String {
    let mut words = String::new();
    if args.whiten {
        words += ", whitened by how they change with the colours of the pictures remembered";
    }
    if args.height > 0.0 {
        words += &format!(", with the height in the picture, weight {}", args.height);
    }
    words
}

/// Rows and columns of places in a picture: all are squares of one size.
fn grid(set: &TestSet, features: &dyn PlaceFeatures) -> anyhow::Result<(i64, i64)> {
    let Some(first) = set.pictures().next() else {
        anyhow::bail!("there is no picture to measure on");
    };
    let (h, w, _) = features.places(first)?.size3()?;
    Ok((h, w))
}

/// One column a method, one row a class.
fn table(rows: &[(&str, Retrieved)], protocol: &str) -> String {
    let mut table = Table::new(protocol, rows.iter().map(|(name, _)| *name));
    let mut percent = |name: &str, share: &dyn Fn(&Retrieved) -> Option<f64>| {
        table.percent(name, rows.iter().map(|(_, retrieved)| share(retrieved)));
    };
    percent("mIoU, %", &|r| Some(r.miou));
    percent("pixel accuracy, %", &|r| Some(r.pixel_accuracy));
    for (i, (name, _)) in rows[0].1.iou.iter().enumerate() {
        percent(&format!("  {name}"), &|r| r.iou[i].1);
    }
    table.finish()
}
