//! `slotcon evaluate knn`: whole pictures classified by their nearest neighbours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;
use slotcon_eval::knn::{CROP, ClassFolder, SHORT_SIDE, TEMPERATURE, measure};

use crate::arguments::{BackboneArgs, JsonArg, OrientationArg, exit, say_left_out, say_orientation};
use crate::progress_bar::PictureBar;
use crate::status::Status;

/// k nearest neighbours: every picture of a folder gets the class of the training pictures that are most like it, by the backbone's
/// output averaged over the picture. Top-1 and top-5 accuracy; nothing is trained.
///
/// Pictures are resized to a short side of 256 (bicubic) and cut to the central 224 x 224. A class without a vote is not
/// predicted, so top-5 with fewer neighbours than that is no more than their classes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: BackboneArgs,
    /// Folder whose subfolders are the classes: the pictures that are remembered.
    #[arg(long, value_name = "DIR")]
    train: PathBuf,
    /// The same with the pictures to classify.
    #[arg(long, value_name = "DIR")]
    val: PathBuf,
    /// Numbers of neighbours that vote; 20 is what is quoted. Those above the number of training pictures are left out.
    #[arg(long, value_name = "K,...", value_delimiter = ',', default_value = "10,20,100,200", value_parser = clap::value_parser!(u32).range(1..))]
    k: Vec<u32>,
    /// Temperature of the votes, exp(cosine / T).
    #[arg(long, default_value_t = TEMPERATURE, value_name = "T")]
    temperature: f64,
    #[command(flatten)]
    orientation: OrientationArg,
    #[command(flatten)]
    output: JsonArg,
}

/// Runs the subcommand. A picture that cannot be used is named and left out; the exit status tells.
///
/// # Errors
/// A file that cannot be used; a class to measure that is not among the training pictures; fewer of these than every k.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    if args.temperature.is_nan() || args.temperature <= 0.0 {
        bail!(
            "--temperature {}: expected a number above 0, 0.07 as published",
            args.temperature
        );
    }
    let orientation = args.orientation.exif_orientation;
    let [train, val] = [&args.train, &args.val].map(|root| ClassFolder::open(root, orientation));
    let (train, val) = (train?, val?);
    say_left_out([train.pictures().left_out(), val.pictures().left_out()]);
    let classes = train.classes();
    // The number that each class to measure has among those remembered.
    let number = |class: &String| {
        classes.iter().position(|known| known == class).ok_or_else(|| {
            anyhow::anyhow!(
                "{}: class {class} is not among those of {} ({} classes)",
                args.val.display(),
                args.train.display(),
                classes.len()
            )
        })
    };
    let numbers: Vec<usize> = val.classes().iter().map(number).collect::<Result<_, _>>()?;

    let segmenter = args.network.open()?;
    let mut bar = PictureBar::default();
    let memory = train.embed(&segmenter, &mut bar)?;
    let queries = val.embed(&segmenter, &mut bar)?;
    bar.finish();
    say_orientation();
    let query_classes: Vec<usize> = queries.classes.iter().map(|&class| numbers[class]).collect();
    let remembered = memory.classes.len();
    let (ks, too_many): (Vec<usize>, Vec<usize>) =
        args.k.iter().map(|&k| k as usize).partition(|&k| k <= remembered);
    if ks.is_empty() {
        bail!(
            "--k {}: there are {remembered} training pictures; expected no more neighbours than that",
            words(&too_many)
        );
    }
    if !too_many.is_empty() {
        eprintln!(
            "k = {} left out: there are only {remembered} training pictures",
            words(&too_many)
        );
    }
    let found = measure(
        (&memory.rows, &memory.classes),
        (&queries.rows, &query_classes),
        classes.len(),
        ks,
        args.temperature,
    )?;

    let protocol = format!(
        "{} pictures by {remembered} training pictures of {} classes; short side {SHORT_SIDE} px (bicubic), central {CROP} x {CROP}; backbone of the {}, \
         averaged over all places, cosine, votes exp(cosine / {})",
        query_classes.len(),
        classes.len(),
        args.network.words(&segmenter),
        args.temperature
    );
    let mut text = format!(
        "protocol: {protocol}\n\n{:>6}{:>12}{:>12}\n",
        "k", "top-1, %", "top-5, %"
    );
    let (mut top1, mut top5) = (BTreeMap::new(), BTreeMap::new());
    for accuracy in &found {
        let [first, five] = [accuracy.top1, accuracy.top5].map(|share| 100.0 * share);
        text += &format!("{:>6}{first:>12.2}{five:>12.2}\n", accuracy.k);
        top1.insert(accuracy.k.to_string(), accuracy.top1);
        top5.insert(accuracy.k.to_string(), accuracy.top5);
    }
    if args.output.json {
        eprint!("{text}");
        out!(
            "{}",
            json!({
                "top1": top1,
                "top5": top5,
                "classes": classes.len(),
                "train_pictures": remembered,
                "pictures": query_classes.len(),
                "protocol": protocol,
            })
        );
    } else {
        print!("{text}");
    }
    Ok(exit(memory.bad.count + queries.bad.count))
}

fn words(ks: &[usize]) -> String {
    ks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
