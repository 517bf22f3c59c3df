//! `slotcon detect`: the objects in photos.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use slotcon_data::source::{Inputs, readable};
use slotcon_eval::segment::masks::write_picture;
use slotcon_report::instances::{Drawn, overlay};
use slotcon_train::device;
use slotcon_transfer::instances::{CocoMask, CocoResult, Detection, FineTuned};
use slotcon_weights::atomic_file::write_bytes;

use crate::arguments::{DeviceArg, exit, weights_of};
use crate::results::{in_turn, make_folder, place_below, with_ending};
use crate::status::Status;

/// Find the objects in photos: OUT/results.json with a list of detections for every picture (class, score, box as left, top, width,
/// height, mask as COCO's RLE), and for each picture NAME OUT/NAME.overlay.png to look at, both in the picture's own size.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint of finetune instances or of import, or a run directory (its best checkpoint, else its last).
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// Folder for the results; made if it does not exist. Subfolders of a folder of pictures are kept; of
    /// several folders each has its own.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave out detections with a lower score. The lower, the more is found, and the more of it is wrong; figures are measured at
    /// 0.05.
    #[arg(long, default_value_t = 0.5, value_name = "SCORE")]
    threshold: f64,
    /// Write no overlays.
    #[arg(long)]
    no_overlays: bool,
    #[command(flatten)]
    device: DeviceArg,
    /// Pictures, or folders of pictures.
    #[arg(required = true, value_name = "PICTURE|DIR")]
    pictures: Vec<PathBuf>,
}

/// A detection in `results.json`.
#[derive(Debug, Serialize)]
struct Found {
    class: String,
    category_id: i64,
    score: f64,
    bbox: [f64; 4],
    segmentation: CocoMask,
}

/// Runs the subcommand. A picture that cannot be used, or whose overlay cannot be written, is named and passed over; the exit status
/// tells.
///
/// # Errors
/// A checkpoint that cannot be used, a threshold that is no score, a folder that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    if !(0.0..1.0).contains(&args.threshold) {
        anyhow::bail!(
            "--threshold: {} is no score; expected 0 to below 1",
            args.threshold
        );
    }
    let device = device::parse(&args.device.asked)?;
    let network = FineTuned::open(&weights_of(&args.checkpoint)?, device)?;
    let ids = network.category_ids();
    let mut detector = network.detector();
    detector.limits.score = args.threshold;
    let inputs = Inputs::open(&args.pictures)?;
    let mut all: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    let options = *detector.decode_options();
    make_folder(&args.out)?;
    let failed = in_turn(&inputs, &options, "detecting", |taken| {
        let name = inputs.name(taken.index);
        let found = detector.detect(&taken.picture)?;
        if !args.no_overlays {
            let drawn = Vec::from_iter(found.iter().map(drawn));
            let place = with_ending(&place_below(&args.out, name)?, ".overlay.png");
            write_picture(&place, &overlay(&taken.picture, &drawn))?;
        }
        let named = found.iter().map(|detection| {
            let result = CocoResult::new(0, &ids, detection);
            Found {
                class: network.classes()[detection.class].clone(),
                category_id: result.category_id,
                score: result.score,
                bbox: result.bbox,
                segmentation: result.segmentation,
            }
        });
        all.insert(readable(name), named.collect());
        Ok(())
    })?;
    let results = args.out.join("results.json");
    write_bytes(&results, &serde_json::to_vec(&all)?)?;
    let count: usize = all.values().map(Vec::len).sum();
    eprintln!(
        "{count} objects in {} pictures: {}; {failed} could not be used",
        all.len(),
        results.display()
    );
    Ok(exit(failed))
}

fn drawn(detection: &Detection) -> Drawn {
    Drawn {
        class: detection.class,
        bounds: detection.bounds,
        mask: detection.mask.clone(),
    }
}
