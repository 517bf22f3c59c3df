//! Results of pictures one after the other: what `segment` and `detect` have in common.

use std::path::{Path, PathBuf};

use slotcon_data::picture::{DecodeOptions, Picture, decode_rgb_bytes};
use slotcon_data::source::Inputs;
use slotcon_eval::ProgressSink;
use slotcon_weights::atomic_file::WriteError;

use crate::arguments::say_left_out;
use crate::progress_bar::PictureBar;

/// Calls `make` with each of `inputs` and its number; the folder of its results below `out` is there. A picture that cannot be used, or
/// whose results cannot be written, is named and passed over. Gives how many were.
///
/// # Errors
/// A folder `out` that cannot be made; an error of `make` that is no [`WriteError`].
pub fn in_turn(
    inputs: &Inputs,
    out: &Path,
    options: &DecodeOptions,
    doing: &'static str,
    mut make: impl FnMut(&Picture, usize) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    say_left_out(inputs.left_out());
    std::fs::create_dir_all(out).map_err(|e| WriteError::new(out, e))?;
    let mut bar = PictureBar::default();
    bar.begin(doing, inputs.len());
    let (mut failed, mut bytes) = (0usize, Vec::new());
    for i in 0..inputs.len() {
        let picture = inputs
            .read(i, &mut bytes)
            .and_then(|()| decode_rgb_bytes(&bytes, options));
        let problem = match picture {
            Ok(picture) => {
                let place = out.join(inputs.name(i));
                let folder = place.parent().unwrap_or(out);
                let done = std::fs::create_dir_all(folder)
                    .map_err(|e| WriteError::new(folder, e).into())
                    .and_then(|()| make(&picture, i));
                match done {
                    Err(error) if error.is::<WriteError>() => Some(format!("its results: {error}")),
                    done => done.map(|()| None)?,
                }
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
    Ok(failed)
}

/// `place` with `ending` behind its whole name.
pub fn with_ending(place: &Path, ending: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
