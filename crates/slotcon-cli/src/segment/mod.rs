//! `slotcon segment`: masks of photos, by the groups of pretraining or the classes of fine-tuning.

mod classes;

use std::path::{Path, PathBuf};

use slotcon_data::labelled::Palette;
use slotcon_data::picture::{DecodeOptions, Picture};
use slotcon_data::resize::resize_short_side;
use slotcon_data::source::Inputs;
use slotcon_eval::segment::masks;
use slotcon_train::TaskRecipe;
use slotcon_train::checkpoint::About;
use slotcon_transfer::semantic::SemanticRecipe;

use crate::arguments::{NetworkArgs, OrientationArg, exit, say_orientation};
use crate::results::{in_turn, with_ending};
use crate::status::Status;

/// Short side at which a pretrained network sees a picture.
const SIDE: u32 = 320;

/// Cut photos into the groups that were learned, or the classes of a fine-tuned network: for each picture NAME an index PNG
/// OUT/NAME.labels.png (the prototype's or class's number at every pixel) and OUT/NAME.overlay.png to look at, both in the picture's
/// own size; with --masks also OUT/NAME.masks.json, one mask a group or class as COCO's RLE.
///
/// With a checkpoint of finetune semantic pictures are seen as its recipe says (whole or in windows), and OUT/classes.json names the
/// classes, with their colours in the pictures.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder for the results; made if it does not exist. Subfolders of a folder of pictures are kept; of several folders each
    /// has its own.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Short side at which a pretrained network sees a picture [default: 320]. Twice as many pixels make masks twice as fine, four
    /// times as slow; far from the size of the training crops the groups get worse.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(33..=16384))]
    side: Option<u32>,
    /// Show a picture (resized to --side) to a pretrained network in tiles of this size that overlap by a quarter, rounded up to
    /// whole positions: large pictures in little memory, and groups as in crops of that size. Without it, all at once.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=4096))]
    tile: Option<u32>,
    /// Also write the mask of every group or class in a picture: a JSON list of its number (and name), area, bbox and segmentation
    /// as COCO's compressed RLE (pycocotools.mask.decode).
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
pub fn run(args: &Args) -> anyhow::Result<Status> {
    if About::open(&args.network.file()?)?.task == SemanticRecipe::TASK {
        return classes::run(args);
    }
    let segmenter = args.network.open()?;
    let failed = each(args, |picture, place| {
        let seen = resize_short_side(picture, args.side.unwrap_or(SIDE));
        let ids = match args.tile {
            Some(tile) => segmenter.segment_in_tiles(picture, &seen, tile)?,
            None => segmenter.segment_at(picture, &seen)?,
        };
        write_maps(picture, place, &ids, Palette::default())?;
        if args.masks {
            masks::write_masks(
                &with_ending(place, ".masks.json"),
                picture.width(),
                picture.height(),
                &ids,
            )?;
        }
        Ok(())
    })?;
    Ok(exit(failed))
}

/// Calls `cut` with every picture and the place of its results. Gives how many could not be used.
fn each(args: &Args, mut cut: impl FnMut(&Picture, &Path) -> anyhow::Result<()>) -> anyhow::Result<usize> {
    let inputs = Inputs::open(&args.pictures)?;
    let options = DecodeOptions {
        exif_orientation: args.orientation.exif_orientation,
        ..DecodeOptions::default()
    };
    let failed = in_turn(&inputs, &args.out, &options, "segmenting", |picture, i| {
        cut(picture, &args.out.join(inputs.name(i)))
    })?;
    say_orientation();
    eprintln!(
        "{} pictures segmented, in {}; {failed} could not be used",
        inputs.len() - failed,
        args.out.display()
    );
    Ok(failed)
}

/// Writes the index PNG and the overlay of a picture.
fn write_maps(picture: &Picture, place: &Path, ids: &[u16], palette: Palette) -> anyhow::Result<()> {
    let labels = with_ending(place, ".labels.png");
    masks::write_index_png(&labels, picture.width(), picture.height(), ids, palette)?;
    masks::write_overlay(&with_ending(place, ".overlay.png"), picture, ids, palette)?;
    Ok(())
}
