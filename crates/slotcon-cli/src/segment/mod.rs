//! `slotcon segment`: masks of photos, by the groups of pretraining, their names, or the classes of fine-tuning.

mod classes;
mod dataset;
mod named;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::json;
use slotcon_data::labelled::Palette;
use slotcon_data::picture::{DecodeOptions, Picture};
use slotcon_data::resize::resize_short_side;
use slotcon_data::source::Inputs;
use slotcon_eval::segment::masks;
use slotcon_metrics::rle;
use slotcon_train::TaskRecipe;
use slotcon_train::checkpoint::About;
use slotcon_transfer::semantic::SemanticRecipe;
use slotcon_weights::atomic_file::{WriteError, write_bytes};

use crate::arguments::{GroupsArg, NetworkArgs, OrientationArg, ViewsArgs, exit, say_orientation};
use crate::results::{Taken, in_turn, make_folder, place_below, with_ending};
use crate::status::Status;

/// Short side at which a pretrained network sees a picture.
const SIDE: u32 = 320;

/// Cut photos into the groups that were learned, or the classes of a fine-tuned network: for each picture NAME an index PNG
/// OUT/NAME.labels.png (the prototype's or class's number at every pixel) and OUT/NAME.overlay.png to look at, both in the picture's
/// own size; with --masks also OUT/NAME.masks.json, one mask a group or class as COCO's RLE.
///
/// With a checkpoint of finetune semantic pictures are seen as its recipe says (whole or in windows), and OUT/classes.json names the
/// classes, with their colours in the pictures.
///
/// With --groups, the groups are those that slotcon group found after training, which look at every picture mirrored, too.
///
/// With --names, the names that were given on the gallery page (slotcon slots), masks are by name: prototypes of one name are one
/// class, 255 is what has no name, and OUT/classes.json names the classes. --dataset then writes a labelled data set to measure with
/// and to learn from (evaluate, finetune semantic).
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder for the results; made if it does not exist. Subfolders of a folder of pictures are kept; of several folders each
    /// has its own.
    #[arg(long, value_name = "DIR", required_unless_present = "dataset")]
    out: Option<PathBuf>,
    #[command(flatten)]
    groups: GroupsArg,
    /// Names of the prototypes or groups, as the gallery page saves them.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Write a labelled data set into this folder, which must be new or empty: images/ (copies of the pictures), labels/ (index
    /// PNGs), confidence.csv (how sure the groups are in each picture, the least sure first) and, when all else is there,
    /// classes.json.
    #[arg(long, value_name = "DIR", requires = "names")]
    dataset: Option<PathBuf>,
    /// Give no class (255) to pixels whose group has a probability below P, 0 to 1: the assignment to its prototypes, all of one name
    /// together. 0.5 takes away what is less sure of its group than of all others; look at confidence.csv first.
    #[arg(long, value_name = "P", requires = "names")]
    unsure: Option<f32>,
    /// Short side at which a pretrained network sees a picture [default: 320]. Twice as many pixels make masks twice as fine, four
    /// times as slow; far from the size of the training crops the groups get worse.
    #[arg(long, value_name = "PIXELS", conflicts_with = "sides", value_parser = clap::value_parser!(u32).range(33..=16384))]
    side: Option<u32>,
    /// Show a picture (resized to --side) to a pretrained network in tiles of this size that overlap by a quarter, rounded up to
    /// whole positions: large pictures in little memory, and groups as in crops of that size. Without it, all at once.
    #[arg(long, value_name = "PIXELS", conflicts_with = "sides", value_parser = clap::value_parser!(u32).range(64..=4096))]
    tile: Option<u32>,
    /// Also write the mask of every group or class in a picture: a JSON list of its number (and name), area, bbox and segmentation
    /// as COCO's compressed RLE (pycocotools.mask.decode).
    #[arg(long)]
    masks: bool,
    #[command(flatten)]
    views: ViewsArgs,
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
/// A checkpoint or file of names that cannot be used, an output folder that cannot be made, two pictures with results of one name.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    if About::open(&args.network.file()?)?.task == SemanticRecipe::TASK {
        return classes::run(args);
    }
    let segmenter = args
        .groups
        .of(args.network.open()?.with_views(args.views.views()))?;
    if let Some(file) = &args.names {
        return named::run(args, file, &segmenter);
    }
    let inputs = Inputs::open(&args.pictures)?;
    let failed = each(args, &inputs, |taken| {
        let (picture, seen) = (&taken.picture, args.seen(&taken.picture));
        let ids = match args.tile {
            Some(tile) => segmenter.segment_in_tiles(picture, &seen, tile)?,
            None => segmenter.segment_at(picture, &seen)?,
        };
        if let Some(place) = args.place(inputs.name(taken.index))? {
            write_maps(picture, &place, &ids, Palette::default())?;
            if args.masks {
                masks::write_masks(
                    &with_ending(&place, ".masks.json"),
                    picture.width(),
                    picture.height(),
                    &ids,
                )?;
            }
        }
        Ok(())
    })?;
    Ok(exit(failed))
}

impl Args {
    /// A picture as a pretrained network sees it.
    fn seen<'a>(&self, picture: &'a Picture) -> Cow<'a, Picture> {
        match self.views.resizes() {
            true => Cow::Borrowed(picture),
            false => Cow::Owned(resize_short_side(picture, self.side.unwrap_or(SIDE))),
        }
    }

    /// Where the results called `name` go, if `--out` was given.
    fn place(&self, name: &Path) -> Result<Option<PathBuf>, WriteError> {
        self.out.as_ref().map(|out| place_below(out, name)).transpose()
    }
}

/// Calls `cut` with every picture. Gives how many could not be used.
fn each(
    args: &Args,
    inputs: &Inputs,
    cut: impl FnMut(&Taken) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let options = DecodeOptions {
        exif_orientation: args.orientation.exif_orientation,
        ..DecodeOptions::default()
    };
    if let Some(out) = &args.out {
        make_folder(out)?;
    }
    let failed = in_turn(inputs, &options, "segmenting", cut)?;
    say_orientation();
    let places = [&args.out, &args.dataset].into_iter().flatten();
    eprintln!(
        "{} pictures segmented, in {}; {failed} could not be used",
        inputs.len() - failed,
        Vec::from_iter(places.map(|place| place.display().to_string())).join(" and ")
    );
    Ok(failed)
}

/// Writes the index PNG and the overlay of a picture.
fn write_maps(picture: &Picture, place: &Path, ids: &[u16], palette: Palette) -> Result<(), WriteError> {
    let labels = with_ending(place, ".labels.png");
    masks::write_index_png(&labels, picture.width(), picture.height(), ids, palette)?;
    masks::write_overlay(&with_ending(place, ".overlay.png"), picture, ids, palette)
}

/// Writes the mask of every class in a picture, with its name; ids without a name have none.
fn write_named_masks(
    picture: &Picture,
    place: &Path,
    ids: &[u16],
    names: &[String],
) -> Result<(), WriteError> {
    let masks = rle::masks(picture.width(), picture.height(), ids);
    let named = masks.iter().filter_map(|mask| {
        let name = names.get(usize::from(mask.group))?;
        Some(json!({
            "class": mask.group,
            "name": name,
            "area": mask.area,
            "bbox": mask.bbox,
            "segmentation": mask.segmentation,
        }))
    });
    let text = serde_json::Value::from_iter(named).to_string();
    write_bytes(&with_ending(place, ".masks.json"), text.as_bytes())
}

/// Writes names and colours of the classes as `folder`/classes.json.
fn write_legend(folder: &Path, names: &[String], palette: Palette) -> Result<(), WriteError> {
    let colours = Vec::from_iter((0..names.len()).map(|class| palette.colour(class as u16)));
    let legend = json!({"classes": names, "ignore_index": 255, "palette": colours});
    write_bytes(&folder.join("classes.json"), legend.to_string().as_bytes())
}
