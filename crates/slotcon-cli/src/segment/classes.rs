//! The classes of a fine-tuned network.

use anyhow::bail;
use slotcon_data::labelled::Palette;
use slotcon_data::source::Inputs;
use slotcon_train::device;
use slotcon_transfer::semantic::FineTuned;

use super::{Args, each, write_legend, write_maps, write_named_masks};
use crate::arguments::exit;
use crate::results::make_folder;
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
        ("--names", args.names.is_some()),
        ("--groups", args.groups.file.is_some()),
    ];
    if let Some((option, _)) = given.iter().chain(&args.views.given()).find(|(_, given)| *given) {
        bail!(
            "{option} is for pretrained networks; {} is fine-tuned and sees pictures as its recipe says ([test])",
            file.display()
        );
    }
    let network = FineTuned::open(&file, device::parse(&args.network.device.asked)?)?;
    let evaluator = network.evaluator();
    let palette = Palette(&network.recipe().data.palette);
    let names = network.classes();
    if let Some(out) = &args.out {
        make_folder(out)?;
        write_legend(out, names, palette)?;
    }
    let inputs = Inputs::open(&args.pictures)?;
    let failed = each(args, &inputs, |taken| {
        let map = evaluator.classes(&taken.picture)?;
        if let Some(place) = args.place(inputs.name(taken.index))? {
            write_maps(&taken.picture, &place, map.ids(), palette)?;
            if args.masks {
                write_named_masks(&taken.picture, &place, map.ids(), names)?;
            }
        }
        Ok(())
    })?;
    Ok(exit(failed))
}
