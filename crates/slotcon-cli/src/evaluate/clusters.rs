//! `slotcon evaluate clusters`: what the groups are worth, measured against labels.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use slotcon_data::labelled::{Classes, LabelLayout, NameList, pairs};
use slotcon_data::picture::DecodeOptions;
use slotcon_eval::clusters::baselines::PixelFeatures;
use slotcon_eval::{Measured, Segmenter, Spread, SubsetScore, TestSet};
use slotcon_metrics::Matching;

use super::named::Naming;
use crate::arguments::{JsonArg, NetworkArgs, OrientationArg, say_orientation};
use crate::status::Status;

/// Unsupervised semantic segmentation: the groups of every pixel against true label maps, by mean intersection over union
/// and pixel accuracy.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder of pictures.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Folder of label maps.
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// index: index PNGs with the pictures' names, classes from --classes. cocostuff: COCO-Stuff pixel maps as the 27
    /// super-categories. cityscapes (leftImg8bit, gtFine; 27 classes), voc (JPEGImages, SegmentationClass; 21), ade20k (150):
    /// as they are published.
    #[arg(long, default_value_t, value_name = "NAME")]
    layout: LabelLayout,
    /// {"classes": ["sky", …], "ignore_index": 255}; if wanted also "things": so many classes, the first ones, are things,
    /// and "ids": class of every id in the files. Needed for the layout index.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Measure only the pictures that this file names, one a line without ending. cocostuff takes
    /// curated/val2017/Coco164kFull_Stuff_Coarse_7.txt beside the folder of pictures by itself.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Short side to which pictures and labels are resized before the centre is cut out.
    #[arg(long, default_value_t = 320, value_name = "PIXELS")]
    side: u32,
    /// Short side at which the network sees the pictures, if not --side: its own crops may have shown everything smaller.
    /// Labels, and the measure, stay at --side.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(33..=4096))]
    network_side: Option<u32>,
    /// Match every cluster to the class it has most of, instead of one cluster to one class. Flatters large numbers of
    /// clusters: compare only with numbers of the same kind. With more prototypes than classes it is measured beside the
    /// other in any case.
    #[arg(long)]
    many_to_one: bool,
    /// Measure the names that a person gave to the groups (the gallery's names.json) instead of matching clusters to classes: a named
    /// group counts as the class of the same name, whatever the case; places without a name are wrong.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["many_to_one", "kmeans", "baselines"])]
    names: Option<PathBuf>,
    /// Also k-means of the dense features to as many clusters as there are classes, from so many seeds: mean and standard
    /// deviation.
    #[arg(long, default_value_t = 0, value_name = "SEEDS")]
    kmeans: u64,
    /// Also measure the untrained network, k-means of the pixels' colours and of their colours and places, and one segment
    /// for everything.
    #[arg(long)]
    baselines: bool,
    #[command(flatten)]
    orientation: OrientationArg,
    #[command(flatten)]
    output: JsonArg,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let mut segmenter = args.network.open()?;
    if let Some(side) = args.network_side {
        segmenter = segmenter.with_input_size(side);
    }
    let names = match &args.names {
        Some(file) => Some(Naming::open(file, &segmenter)?),
        None => None,
    };
    let classes = match (&args.classes, args.layout.classes()) {
        (Some(file), _) => Classes::open(file)?,
        (None, Some(published)) => published,
        (None, None) => anyhow::bail!(
            "--layout {} needs --classes FILE: {{\"classes\": [\"sky\", …], \"ignore_index\": 255}}",
            args.layout
        ),
    };
    let list = match &args.list {
        Some(file) => Some(NameList::open(file)?),
        None if args.layout == LabelLayout::CocoStuff => NameList::curated(&args.images)?,
        None => None,
    };
    let pairs = pairs(&args.images, &args.labels, args.layout, list.as_ref())?;
    pairs.left_out.iter().for_each(|line| eprintln!("{line}"));
    let options = DecodeOptions {
        exif_orientation: args.orientation.exif_orientation,
        ..DecodeOptions::default()
    };
    let set = TestSet::load(&pairs.all, classes, args.side, &options)?;
    set.notes().iter().for_each(|note| eprintln!("{note}"));
    say_orientation();
    let matching = if args.many_to_one {
        Matching::Majority
    } else {
        Matching::Hungarian
    };

    let assignment = match &names {
        Some(names) => Some(names.classes(set.class_names())?),
        None => None,
    };
    let confusion = set.confusion(&segmenter)?;
    let mut rows = match assignment {
        Some(given) => vec![("named", set.score_as(&confusion, given)?)],
        None => vec![("trained", set.score(&confusion, matching)?)],
    };
    let many_to_one = segmenter.prototypes() > set.classes() && !args.many_to_one;
    if many_to_one {
        rows.push(("many_to_one", set.score(&confusion, Matching::Majority)?));
    }
    if args.baselines {
        rows.extend(baselines(&set, &segmenter, matching, 0)?);
    }
    let seeds = set.measure_features(&segmenter, 0..args.kmeans, matching)?;
    let mut protocol = match &names {
        Some(names) => set.protocol_with(&names.protocol()),
        None => set.protocol(matching),
    };
    if args.layout != LabelLayout::Index {
        protocol += &format!(" ({})", args.layout);
    }
    if let Some(side) = args.network_side {
        protocol += &format!(", seen by the network at {side} px");
    }
    if let Some(list) = &list {
        protocol += &format!(", the pictures in {}", list.path().display());
    }

    let mut text = table(&rows, &protocol);
    let mut json = as_json(&rows, &protocol)?;
    if let Some(kmeans) = Seeds::of(&seeds) {
        text += &kmeans.line(set.classes());
        json["kmeans"] = serde_json::to_value(&kmeans)?;
    }
    if args.output.json {
        eprint!("{text}");
        out!("{json}");
    } else {
        print!("{text}");
    }
    Ok(Status::DONE)
}

/// k-means of the dense features over several seeds.
#[derive(Debug, Serialize)]
struct Seeds {
    seeds: usize,
    miou: Spread,
    pixel_accuracy: Spread,
}

impl Seeds {
    fn of(measured: &[Measured]) -> Option<Self> {
        let spread =
            |value: fn(&Measured) -> f64| Spread::of(&measured.iter().map(value).collect::<Vec<_>>());
        Some(Self {
            seeds: measured.len(),
            miou: spread(|m| m.miou)?,
            pixel_accuracy: spread(|m| m.pixel_accuracy)?,
        })
    }

    fn line(&self, clusters: usize) -> String {
        let percent = |s: Spread| format!("{:.1} ± {:.1}", 100.0 * s.mean, 100.0 * s.std);
        format!(
            "\nk-means of the dense features, {clusters} clusters, {} seeds: mIoU {} %, pixel accuracy {} %\n",
            self.seeds,
            percent(self.miou),
            percent(self.pixel_accuracy)
        )
    }
}

/// What `trained` must beat: its network before any training, k-means of single pixels, and no segmentation at all.
///
/// # Errors
/// Whatever keeps a picture from being segmented.
pub fn baselines(
    set: &TestSet,
    trained: &Segmenter,
    matching: Matching,
    seed: u64,
) -> anyhow::Result<[(&'static str, Measured); 4]> {
    let untrained = trained.untrained()?;
    let pixels = |features| set.measure(&set.colour_clusters(features, seed)?, matching);
    Ok([
        ("untrained", set.measure(&untrained, matching)?),
        ("colour_kmeans", pixels(PixelFeatures::Colour)?),
        ("place_kmeans", pixels(PixelFeatures::ColourAndPlace(1.0))?),
        ("one_segment", set.measure_one_segment(matching)?),
    ])
}

/// One column a method, one row a class.
pub fn table(rows: &[(&str, Measured)], protocol: &str) -> String {
    let mut text = format!("protocol: {protocol}\n\n{:<22}", "");
    for (name, _) in rows {
        text += &format!("{name:>16}");
    }
    let mut line = |name: &str, value: &dyn Fn(&Measured) -> String| {
        text += &format!("\n{name:<22}");
        for (_, measured) in rows {
            text += &format!("{:>16}", value(measured));
        }
    };
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    line("mIoU, %", &|m| percent(m.miou));
    line("pixel accuracy, %", &|m| percent(m.pixel_accuracy));
    line("clusters in use", &|m| {
        format!("{} of {}", m.clusters_used, m.clusters)
    });
    if rows.iter().any(|(_, m)| m.things.is_some()) {
        for (name, stuff) in [("things", false), ("stuff", true)] {
            let shown = |m: &Measured, value: fn(SubsetScore) -> f64| {
                let part = if stuff { m.stuff } else { m.things };
                part.map_or("-".into(), |part| percent(value(part)))
            };
            line(&format!("{name}: mIoU, %"), &|m| shown(m, |part| part.miou));
            line(&format!("{name}: accuracy, %"), &|m| {
                shown(m, |part| part.pixel_accuracy)
            });
        }
    }
    let classes = rows.first().map_or(0, |(_, m)| m.iou.len());
    for i in 0..classes {
        line(&format!("  {}", rows[0].1.iou[i].0), &|m| {
            m.iou[i].1.map_or("-".into(), percent)
        });
    }
    text + "\n"
}

/// The first row's figures, those of the baselines under `baselines`.
pub fn as_json(rows: &[(&str, Measured)], protocol: &str) -> serde_json::Result<serde_json::Value> {
    let (_, first) = &rows[0];
    let mut value = serde_json::to_value(first)?;
    value["protocol"] = json!(protocol);
    for (name, measured) in &rows[1..] {
        let place = match *name {
            "many_to_one" => &mut value[name],
            _ => &mut value["baselines"][name],
        };
        *place = serde_json::to_value(measured)?;
    }
    Ok(value)
}
