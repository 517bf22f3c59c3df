//! Groups by the names that a person gave them.

use std::path::Path;

use anyhow::bail;
use slotcon_data::labelled::{Palette, colour};
use slotcon_data::source::Inputs;
use slotcon_eval::{NamedGroups, Names, Segmenter};

use super::dataset::DatasetWriter;
use super::{Args, each, write_legend, write_maps, write_named_masks};
use crate::arguments::{exit, folder_around};
use crate::results::make_folder;
use crate::status::Status;

/// The colour of what has no name.
const NAMELESS: [u8; 3] = [128; 3];

/// As [`super::run`], with the names in `file`.
///
/// # Errors
/// A file of names that cannot be used, a limit that is no probability, a folder that cannot be written, a folder for a data set that
/// holds something.
pub(super) fn run(args: &Args, file: &Path, segmenter: &Segmenter) -> anyhow::Result<Status> {
    if let Some(limit) = args.unsure
        && !(0.0..=1.0).contains(&limit)
    {
        bail!("--unsure: {limit} is no probability; expected 0 to 1");
    }
    if let Some(dataset) = &args.dataset
        && let Some(folder) = folder_around(&args.pictures, dataset)
    {
        bail!(
            "--dataset {}: lies in {}, where its pictures and label maps would be taken for photos the next time; choose another place",
            dataset.display(),
            folder.display()
        );
    }
    let groups = NamedGroups::of(&Names::open_for(file, segmenter)?, file)?;
    let names = &groups.classes;
    let colours = colours(names.len());
    let palette = Palette(&colours);
    let inputs = Inputs::open(&args.pictures)?;
    let mut dataset = match &args.dataset {
        Some(folder) => Some(DatasetWriter::begin(folder, &inputs)?),
        None => None,
    };
    if let Some(out) = &args.out {
        make_folder(out)?;
        write_legend(out, names, palette)?;
    }
    let failed = each(args, &inputs, |taken| {
        let picture = &taken.picture;
        let mut found = segmenter.segment_named(picture, &args.seen(picture), args.tile, &groups)?;
        if let Some(limit) = args.unsure {
            found.forget_unsure(limit);
        }
        let name = inputs.name(taken.index);
        if let Some(place) = args.place(name)? {
            write_maps(picture, &place, &found.labels, palette)?;
            if args.masks {
                write_named_masks(picture, &place, &found.labels, names)?;
            }
        }
        if let Some(dataset) = &mut dataset {
            dataset.add(taken, name, &found, palette)?;
        }
        Ok(())
    })?;
    if let Some(dataset) = dataset {
        dataset.finish(names, palette)?;
    }
    Ok(exit(failed))
}

/// Colours of every number in a map of so many classes.
fn colours(classes: usize) -> Vec<[u8; 3]> {
    let of = |id: u16| match usize::from(id) < classes {
        true => colour(id),
        false => NAMELESS,
    };
    (0..=NamedGroups::NONE).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_classes_have_one_colour() {
        let mut all = colours(255);
        assert_eq!(all[255], NAMELESS);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 256);
        assert_eq!(colours(2)[2..], [NAMELESS; 254]);
    }
}
