//! `slotcon evaluate`: what the groups are worth, measured against labels.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use slotcon::run::device;
use slotcon_eval::{Classes, Measured, Protocol, Segmenter, TestSet, Which, pairs};

/// Measure a checkpoint.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Clusters(ClustersArgs),
}

/// Unsupervised semantic segmentation: the groups of every pixel against true label maps, by mean intersection over union
/// and pixel accuracy.
#[derive(Debug, clap::Args)]
struct ClustersArgs {
    /// Checkpoint of a run.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Folder of pictures.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Folder of label maps (index PNGs) with the pictures' names.
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// {"classes": ["sky", …], "ignore_index": 255}
    #[arg(long, value_name = "FILE")]
    classes: PathBuf,
    /// Short side to which pictures and labels are resized before the centre is cut out.
    #[arg(long, default_value_t = 320, value_name = "PIXELS")]
    side: u32,
    /// Match every cluster to the class it has most of, instead of one cluster to one class. Flatters large numbers of
    /// clusters: compare only with numbers of the same kind.
    #[arg(long)]
    many_to_one: bool,
    /// Use the network trained by gradient instead of its moving average.
    #[arg(long)]
    student: bool,
    /// Also measure the untrained network and k-means of the pictures' colours.
    #[arg(long)]
    baselines: bool,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// One JSON object as the last line of standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Clusters(args) => clusters(args),
    }
}

fn clusters(args: &ClustersArgs) -> anyhow::Result<ExitCode> {
    let device = device::parse(&args.device)?;
    let which = if args.student {
        Which::Student
    } else {
        Which::Teacher
    };
    let segmenter = Segmenter::open(&args.checkpoint, which, device)?;
    let classes = Classes::open(&args.classes)?;
    let set = TestSet::load(&pairs(&args.images, &args.labels)?, classes, args.side)?;
    let matching = if args.many_to_one {
        Protocol::Majority
    } else {
        Protocol::Hungarian
    };
    let mut rows = vec![("trained", set.measure(&segmenter, matching)?)];
    if args.baselines {
        rows.extend(baselines(&set, &segmenter, matching, 0)?);
    }
    let protocol = set.protocol(matching);
    if args.json {
        eprint!("{}", table(&rows, &protocol));
        println!("{}", as_json(&rows, &protocol)?);
    } else {
        print!("{}", table(&rows, &protocol));
    }
    Ok(ExitCode::SUCCESS)
}

/// What `trained` must beat: its network before any training, and k-means on colour.
///
/// # Errors
/// Whatever keeps a picture from being segmented.
pub fn baselines(
    set: &TestSet,
    trained: &Segmenter,
    matching: Protocol,
    seed: u64,
) -> anyhow::Result<[(&'static str, Measured); 2]> {
    let untrained = trained.untrained_twin()?;
    Ok([
        ("untrained", set.measure(&untrained, matching)?),
        (
            "colour_kmeans",
            set.measure(&set.colour_clusters(seed)?, matching)?,
        ),
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
    let classes = rows.first().map_or(0, |(_, m)| m.iou.len());
    for i in 0..classes {
        line(&format!("  {}", rows[0].1.iou[i].0), &|m| {
            m.iou[i].1.map_or("-".into(), percent)
        });
    }
    text + "\n"
}

/// The first row's figures, those of the others under `baselines`.
pub fn as_json(rows: &[(&str, Measured)], protocol: &str) -> serde_json::Result<serde_json::Value> {
    let (_, first) = &rows[0];
    let mut value = serde_json::to_value(first)?;
    value["protocol"] = json!(protocol);
    for (name, measured) in &rows[1..] {
        value["baselines"][name] = serde_json::to_value(measured)?;
    }
    Ok(value)
}
