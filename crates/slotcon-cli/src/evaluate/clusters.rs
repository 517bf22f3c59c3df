//! `slotcon evaluate clusters`: what the groups are worth, measured against labels.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use slotcon_eval::clusters::baselines::PixelFeatures;
use slotcon_eval::{Measured, Segmenter, Spread, TestSet};
use slotcon_metrics::Matching;

use super::labelled::LabelledArgs;
use super::named::Naming;
use super::table::Table;
use crate::arguments::{GroupsArg, JsonArg, NetworkArgs, ViewsArgs, say_orientation};
use crate::status::Status;

/// Unsupervised semantic segmentation: the groups of every pixel against true label maps, by mean intersection over union
/// and pixel accuracy.
///
/// Groups of slotcon group (--groups) that were found in these very pictures compare with the k-means of --baselines, which sees them,
/// too; found in others they say how far groups carry.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    labelled: LabelledArgs,
    /// Match every cluster to the class it has most of, instead of one cluster to one class. Flatters large numbers of
    /// clusters: compare only with numbers of the same kind. With more prototypes than classes it is measured beside the
    /// other in any case.
    #[arg(long)]
    many_to_one: bool,
    #[command(flatten)]
    groups: GroupsArg,
    /// Measure the names that a person gave to the groups (the gallery's names.json) instead of matching clusters to classes: a named
    /// group counts as the class of the same name, whatever the case; places without a name are wrong.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["many_to_one", "kmeans", "baselines"])]
    names: Option<PathBuf>,
    /// Also k-means of the dense features to as many clusters as there are classes, from so many seeds: mean and standard
    /// deviation. With --baselines the same of the pixels' colours, and of their colours and places.
    #[arg(long, default_value_t = 0, value_name = "SEEDS")]
    kmeans: u64,
    /// Also measure the untrained network, k-means of the pixels' colours and of their colours and places, and one segment
    /// for everything.
    #[arg(long)]
    baselines: bool,
    #[command(flatten)]
    views: ViewsArgs,
    #[command(flatten)]
    output: JsonArg,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    if args.views.resizes() && args.labelled.network_side.is_some() {
        anyhow::bail!(
            "--sides says at which sizes the network sees a picture, and --network-side at which one: give one of them"
        );
    }
    let views = args.views.views();
    let segmenter = args
        .labelled
        .seen_by(args.groups.of(args.network.open()?.with_views(views.clone()))?);
    let names = match &args.names {
        Some(file) => Some(Naming::open(file, &segmenter)?),
        None => None,
    };
    let (set, of_set) = args.labelled.open(args.labelled.classes()?)?;
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
    if confusion.clusters() > set.classes() && !args.many_to_one {
        rows.push(("many_to_one", set.score(&confusion, Matching::Majority)?));
    }
    if args.baselines {
        rows.extend(baselines(&set, &segmenter, matching, 0)?);
    }
    let seeds = set.measure_features(&segmenter, 0..args.kmeans, matching)?;
    let protocol = match &names {
        Some(names) => set.protocol_with(&names.protocol()),
        None => set.protocol(matching),
    } + &of_set
        + &views.protocol()
        + &segmenter
            .found()
            .map_or_else(String::new, |found| format!("; {}", found.protocol()));

    let mut text = table(&rows, &protocol);
    let mut json = as_json(&rows, &protocol)?;
    if let Some(features) = Seeds::of(&seeds) {
        text += &format!("\n{}", features.line("the dense features", set.classes()));
        json["kmeans"] = serde_json::to_value(&features)?;
        for (key, of, features) in PIXELS {
            // Seed 0 stands in the table.
            let Some((_, first)) = rows.iter().find(|(name, _)| *name == key) else {
                continue;
            };
            let others = (1..args.kmeans).map(|seed| pixel_kmeans(&set, features, seed, matching));
            let all = std::iter::once(Ok(first.clone())).chain(others);
            if let Some(pixels) = Seeds::of(&all.collect::<anyhow::Result<Vec<_>>>()?) {
                text += &pixels.line(of, set.classes());
                json["baselines"][key]["over_seeds"] = serde_json::to_value(&pixels)?;
            }
        }
    }
    if args.output.json {
        eprint!("{text}");
        out!("{json}");
    } else {
        print!("{text}");
    }
    Ok(Status::DONE)
}

/// The baselines by k-means of single pixels: their key, in words, and what k-means sees.
const PIXELS: [(&str, &str, PixelFeatures); 2] = [
    ("colour_kmeans", "colour", PixelFeatures::Colour),
    (
        "place_kmeans",
        "colour and place",
        PixelFeatures::ColourAndPlace(1.0),
    ),
];

fn pixel_kmeans(
    set: &TestSet,
    features: PixelFeatures,
    seed: u64,
    matching: Matching,
) -> anyhow::Result<Measured> {
    Ok(set.measure(&set.colour_clusters(features, seed)?, matching)?)
}

/// k-means over several seeds.
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

    fn line(&self, of: &str, clusters: usize) -> String {
        let percent = |s: Spread| format!("{:.1} ± {:.1}", 100.0 * s.mean, 100.0 * s.std);
        format!(
            "k-means of {of}, {clusters} clusters, {} seeds: mIoU {} %, pixel accuracy {} %\n",
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
    let pixels =
        |(key, _, features)| Ok::<_, anyhow::Error>((key, pixel_kmeans(set, features, seed, matching)?));
    let [colour, place] = PIXELS.map(pixels);
    Ok([
        ("untrained", set.measure(&untrained, matching)?),
        colour?,
        place?,
        ("one_segment", set.measure_one_segment(matching)?),
    ])
}

/// One column a method, one row a class.
pub fn table(rows: &[(&str, Measured)], protocol: &str) -> String {
    let mut table = Table::new(protocol, rows.iter().map(|(name, _)| *name));
    let measured = || rows.iter().map(|(_, measured)| measured);
    table.percent("mIoU, %", measured().map(|m| Some(m.miou)));
    table.percent("pixel accuracy, %", measured().map(|m| Some(m.pixel_accuracy)));
    table.line(
        "clusters in use",
        measured().map(|m| format!("{} of {}", m.clusters_used, m.clusters)),
    );
    if rows.iter().any(|(_, m)| m.things.is_some()) {
        for (name, stuff) in [("things", false), ("stuff", true)] {
            let part = |m: &Measured| if stuff { m.stuff } else { m.things };
            table.percent(
                &format!("{name}: mIoU, %"),
                measured().map(|m| part(m).map(|part| part.miou)),
            );
            table.percent(
                &format!("{name}: accuracy, %"),
                measured().map(|m| part(m).map(|part| part.pixel_accuracy)),
            );
        }
    }
    let classes = rows.first().map_or(0, |(_, m)| m.iou.len());
    for i in 0..classes {
        table.percent(
            &format!("  {}", rows[0].1.iou[i].0),
            measured().map(|m| m.iou[i].1),
        );
    }
    table.finish()
}

/// The first row's figures, those of the baselines under `baselines`.
pub fn as_json(rows: &[(&str, Measured)], protocol: &str) -> serde_json::Result<serde_json::Value> {
    let (_, first) = &rows[0];
    let mut value = serde_json::to_value(first)?;
    value["protocol"] = json!(protocol);
    for (name, measured) in &rows[1..] {
        let place = match *name {
            "many_to_one" | "prototypes" => &mut value[name],
            _ => &mut value["baselines"][name],
        };
        *place = serde_json::to_value(measured)?;
    }
    Ok(value)
}
