//! The classes of a fine-tuned network.

use anyhow::{Context, bail};
use serde_json::json;
use slotcon_data::labelled::Palette;
use slotcon_metrics::rle;
use slotcon_train::device;
use slotcon_transfer::semantic::FineTuned;
use slotcon_weights::atomic_file::write_bytes;

use super::{Args, each, write_maps};
use crate::arguments::exit;
use crate::results::with_ending;
use crate::status::Status;

/// As [`super::run`].
///
/// # Errors
/// A checkpoint that cannot be used, an option for pretrained networks, a folder that cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Status> {
    let file = args.network.file()?;
    let given = [
        ("--side", args.side.is_some()),
        ("--tile", args.tile.is_some()),
        ("--student", args.network.student),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        bail!(
            "{option} is for pretrained networks; {} is fine-tuned and sees pictures as its recipe says ([test])",
            file.display()
        );
    }
    let network = FineTuned::open(&file, device::parse(&args.network.device.asked)?)?;
    let evaluator = network.evaluator();
    let palette = Palette(&network.recipe().data.palette);
    let names = network.classes();
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("{}: cannot make the folder", args.out.display()))?;
    let colours = Vec::from_iter((0..names.len()).map(|class| palette.colour(class as u16)));
    let legend = json!({"classes": names, "ignore_index": 255, "palette": colours});
    write_bytes(&args.out.join("classes.json"), legend.to_string().as_bytes())?;
    let failed = each(args, |picture, place| {
        let map = evaluator.classes(picture)?;
        write_maps(picture, place, map.ids(), palette)?;
        if args.masks {
            let masks = rle::masks(map.width(), map.height(), map.ids());
            let named = masks.iter().map(|mask| {
                json!({
                    "class": mask.group,
                    "name": names.get(usize::from(mask.group)),
                    "area": mask.area,
                    "bbox": mask.bbox,
                    "segmentation": mask.segmentation,
                })
            });
            let text = serde_json::Value::from_iter(named).to_string();
            write_bytes(&with_ending(place, ".masks.json"), text.as_bytes())?;
        }
        Ok(())
    })?;
    Ok(exit(failed))
}
