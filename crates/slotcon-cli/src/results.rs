//! Results of pictures one after the other: what `segment` and `detect` have in common.

use std::path::{Path, PathBuf};

use slotcon_data::picture::{DecodeOptions, Picture, decode_and_turn};
use slotcon_data::source::Inputs;
use slotcon_eval::ProgressSink;
use slotcon_weights::atomic_file::WriteError;

use crate::arguments::say_left_out;
use crate::progress_bar::PictureBar;

/// A picture in its turn.
#[derive(Debug)]
pub struct Taken<'a> {
    /// Its number among the inputs.
    pub index: usize,
    /// Its pixels.
    pub picture: Picture,
    /// Whether it was turned as its EXIF orientation says.
    pub turned: bool,
    /// Its file.
    pub bytes: &'a [u8],
}

/// Calls `make` with each of `inputs`. A picture that cannot be used, or whose results cannot be written, is named and passed over.
/// Gives how many were.
///
/// # Errors
/// An error of `make` that is no [`WriteError`].
pub fn in_turn(
    inputs: &Inputs,
    options: &DecodeOptions,
    doing: &'static str,
    mut make: impl FnMut(&Taken) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    say_left_out(inputs.left_out());
    let mut bar = PictureBar::default();
    bar.begin(doing, inputs.len());
    let (mut failed, mut bytes) = (0usize, Vec::new());
    for index in 0..inputs.len() {
        let decoded = inputs
            .read(index, &mut bytes)
            .and_then(|()| decode_and_turn(&bytes, options));
        let problem = match decoded {
            Ok((picture, turned)) => {
                let done = make(&Taken {
                    index,
                    picture,
                    turned,
                    bytes: &bytes,
                });
                match done {
                    Err(error) if error.is::<WriteError>() => Some(format!("its results: {error}")),
                    done => done.map(|()| None)?,
                }
            }
            Err(reason) => Some(reason.to_string()),
        };
        if let Some(problem) = problem {
            failed += 1;
            bar.bad(&inputs.path(index), &problem);
        }
        bar.done();
    }
    bar.finish();
    Ok(failed)
}

/// Makes `folder` with all above it, unless it is there.
///
/// # Errors
/// What the system says.
pub fn make_folder(folder: &Path) -> Result<(), WriteError> {
    std::fs::create_dir_all(folder).map_err(|e| WriteError::new(folder, e))
}

/// The place `name` below `root`, in a folder that is there.
///
/// # Errors
/// A folder that cannot be made.
pub fn place_below(root: &Path, name: &Path) -> Result<PathBuf, WriteError> {
    let place = root.join(name);
    make_folder(place.parent().unwrap_or(root))?;
    Ok(place)
}

/// `place` with `ending` behind its whole name.
pub fn with_ending(place: &Path, ending: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
