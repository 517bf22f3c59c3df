//! `slotcon segment`: masks of photos.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use slotcon_data::picture::{DecodeOptions, decode_rgb};
use slotcon_data::resize::resize_short_side;
use slotcon_data::{Dataset, Layout};
use slotcon_eval::ProgressSink;
use slotcon_eval::segment::masks;

use crate::arguments::{NetworkArgs, OrientationArg, exit};
use crate::progress_bar::PictureBar;

/// Cut photos into the groups that were learned: for each picture NAME an index PNG OUT/NAME.labels.png (the prototype's
/// number at every pixel) and OUT/NAME.overlay.png to look at, both in the picture's own size; with --masks also
/// OUT/NAME.masks.json, one mask a group as COCO's RLE.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder for the results; made if it does not exist. Subfolders of a folder of pictures are kept.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Short side at which the network sees a picture. Twice as many pixels make masks twice as fine, four times as slow;
    /// far from the size of the training crops the groups get worse.
    #[arg(long, default_value_t = 320, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(33..=16384))]
    side: u32,
    /// Show a picture (resized to --side) to the network in tiles of this size that overlap by a quarter, rounded up to whole
    /// positions: large pictures in little memory, and groups as in crops of that size. Without it, all at once.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=4096))]
    tile: Option<u32>,
    /// Also write the mask of every group in a picture: a JSON list of group, area, bbox and segmentation as COCO's
    /// compressed RLE (pycocotools.mask.decode).
    #[arg(long)]
    masks: bool,
    #[command(flatten)]
    orientation: OrientationArg,
    /// Pictures, or folders of pictures.
    #[arg(required = true, value_name = "PICTURE|DIR")]
    pictures: Vec<PathBuf>,
}

/// Runs the subcommand. A picture that cannot be used is named and passed over; the exit status tells.
///
/// # Errors
/// A checkpoint that cannot be used, a folder that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let segmenter = args.network.open()?;
    let work = list(&args.pictures)?;
    let mut bar = PictureBar::default();
    bar.begin("segmenting", work.len());
    let mut failed = 0usize;
    for (path, name) in &work {
        let options = DecodeOptions {
            exif_orientation: args.orientation.exif_orientation,
            ..DecodeOptions::default()
        };
        match decode_rgb(path, &options) {
            Ok(picture) => {
                let seen = resize_short_side(&picture, args.side);
                let ids = match args.tile {
                    Some(tile) => segmenter.segment_in_tiles(&picture, &seen, tile)?,
                    None => segmenter.segment_at(&picture, &seen)?,
                };
                let place = args.out.join(name);
                let folder = place.parent().unwrap_or(&args.out);
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
                let with = |ending: &str| {
                    let mut name = place.clone().into_os_string();
                    name.push(ending);
                    PathBuf::from(name)
                };
                masks::write_index_png(&with(".labels.png"), picture.width(), picture.height(), &ids)?;
                masks::write_overlay(&with(".overlay.png"), &picture, &ids)?;
                if args.masks {
                    masks::write_masks(&with(".masks.json"), picture.width(), picture.height(), &ids)?;
                }
            }
            Err(reason) => {
                failed += 1;
                bar.bad(path, &reason.to_string());
            }
        }
        bar.done();
    }
    bar.finish();
    let done = work.len() - failed;
    eprintln!(
        "{done} pictures cut into groups, in {}; {failed} could not be used",
        args.out.display()
    );
    Ok(exit(failed))
}

/// Every picture with the name of its results: the file name, below the folder that was given.
///
/// # Errors
/// A folder without pictures.
pub fn list(given: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut work = Vec::new();
    for path in given {
        if path.is_dir() {
            let found = Dataset::open(std::slice::from_ref(path), Layout::Folder)?;
            work.extend((0..found.len()).map(|i| {
                let picture = found.path(i);
                let name = picture.strip_prefix(path).unwrap_or(&picture).to_path_buf();
                (picture, name)
            }));
        } else {
            let name = path.file_name().map_or_else(|| path.clone(), PathBuf::from);
            work.push((path.clone(), name));
        }
    }
    Ok(work
        .into_iter()
        .map(|(path, name)| (path, without_root(&name)))
        .collect())
}

/// Results stay below the output folder, whatever a link leads to.
fn without_root(name: &Path) -> PathBuf {
    name.components()
        .filter(|c| matches!(c, std::path::Component::Normal(_)))
        .collect()
}
