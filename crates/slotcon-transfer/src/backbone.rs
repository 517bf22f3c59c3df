//! The backbone that a run starts from.

use std::path::Path;

use slotcon_nn::Store;
use slotcon_weights::{WeightFile, WeightsError, find_backbone, fit};

/// The note of a run whose backbone starts from nothing.
pub(crate) const SCRATCH: &str = "the backbone starts from random weights";

/// Gives the backbone below `place` in `store` what the file at `path` has, under the names that `rename` makes of a ResNet's
/// (`conv1.weight`, …); `prefix` chooses one of several. What was done, in a sentence.
///
/// # Errors
/// A file without a backbone, weights that are missing or of another shape.
pub(crate) fn give(
    path: &Path,
    prefix: Option<&str>,
    store: &Store,
    place: &str,
    rename: impl Fn(&str) -> String,
) -> Result<String, WeightsError> {
    let found = find_backbone(&WeightFile::open(path)?, prefix)?;
    let tensors = found.tensors.into_iter();
    let tensors = tensors.map(|(name, tensor)| (rename(&name), tensor)).collect();
    let report = fit(path, &store.entries(), place, &tensors)?;
    Ok(format!(
        "backbone from {}: {} of its tensors taken{}",
        path.display(),
        report.matched.len(),
        found.note.map_or_else(String::new, |note| format!("; {note}"))
    ))
}
