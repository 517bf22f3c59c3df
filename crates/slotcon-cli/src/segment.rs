//! `slotcon segment`: masks of photos.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use slotcon_data::Picture;
use slotcon_data::picture::{DecodeOptions, decode_rgb_bytes};
use slotcon_data::resize::resize_short_side;
use slotcon_data::source::Inputs;
use slotcon_eval::ProgressSink;
use slotcon_eval::segment::masks;
use slotcon_weights::atomic_file::WriteError;

use crate::arguments::{NetworkArgs, OrientationArg, exit, say_left_out};
use crate::progress_bar::PictureBar;

/// Cut photos into the groups that were learned: for each picture NAME an index PNG OUT/NAME.labels.png (the prototype's
/// number at every pixel) and OUT/NAME.overlay.png to look at, both in the picture's own size; with --masks also
/// OUT/NAME.masks.json, one mask a group as COCO's RLE.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder for the results; made if it does not exist. Subfolders of a folder of pictures are kept; of several folders each
    /// has its own.
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

/// Runs the subcommand. A picture that cannot be used, or whose results cannot be written, is named and passed over; the exit
/// status tells.
///
/// # Errors
/// A checkpoint that cannot be used, an output folder that cannot be made, two pictures with results of one name.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let segmenter = args.network.open()?;
    let inputs = Inputs::open(&args.pictures)?;
    say_left_out(inputs.left_out());
    std::fs::create_dir_all(&args.out).map_err(|e| WriteError::new(&args.out, e))?;
    let options = DecodeOptions {
        exif_orientation: args.orientation.exif_orientation,
        ..DecodeOptions::default()
    };
    let mut bar = PictureBar::default();
    bar.begin("segmenting", inputs.len());
    let (mut failed, mut bytes) = (0usize, Vec::new());
    for i in 0..inputs.len() {
        let picture = inputs
            .read(i, &mut bytes)
            .and_then(|()| decode_rgb_bytes(&bytes, &options));
        let problem = match picture {
            Ok(picture) => {
                let seen = resize_short_side(&picture, args.side);
                let ids = match args.tile {
                    Some(tile) => segmenter.segment_in_tiles(&picture, &seen, tile)?,
                    None => segmenter.segment_at(&picture, &seen)?,
                };
                let written = write(args, &picture, &ids, inputs.name(i));
                written.err().map(|e| format!("its results: {e}"))
            }
            Err(reason) => Some(reason.to_string()),
        };
        if let Some(problem) = problem {
            failed += 1;
            bar.bad(&inputs.path(i), &problem);
        }
        bar.done();
    }
    bar.finish();
    eprintln!(
        "{} pictures cut into groups, in {}; {failed} could not be used",
        inputs.len() - failed,
        args.out.display()
    );
    Ok(exit(failed))
}

/// Writes the results of a picture, `name` with an ending each, below the output folder.
fn write(args: &Args, picture: &Picture, ids: &[u16], name: &Path) -> Result<(), WriteError> {
    let place = args.out.join(name);
    let folder = place.parent().unwrap_or(&args.out);
    std::fs::create_dir_all(folder).map_err(|e| WriteError::new(folder, e))?;
    let with = |ending: &str| {
        let mut name = place.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    masks::write_index_png(&with(".labels.png"), picture.width(), picture.height(), ids)?;
    masks::write_overlay(&with(".overlay.png"), picture, ids)?;
    if args.masks {
        masks::write_masks(&with(".masks.json"), picture.width(), picture.height(), ids)?;
    }
    Ok(())
}
