//! A backbone from elsewhere as the start of a run: student and teacher both get it.

use std::path::Path;

use slotcon_weights::{FitReport, WeightFile, find_backbone, fit};

use super::InteropError;
use crate::method::{Branch, SlotCon};

/// Fills both encoders of `model` with the backbone in `path`, see [`find_backbone`], whose `prefix` chooses one of several. Names outside the backbone (a classifier)
/// are reported as unexpected.
///
/// # Errors
/// A file that is not read, has no backbone or several, or does not fit; the model is as it was then.
pub fn init_backbone(path: &Path, prefix: Option<&str>, model: &SlotCon) -> Result<FitReport, InteropError> {
    let found = find_backbone(&WeightFile::open(path)?, prefix)?;
    let entries = model.store().entries();
    fit(path, &entries, Branch::Teacher.encoder(), &found.tensors)?;
    let mut report = fit(path, &entries, Branch::Student.encoder(), &found.tensors)?;
    report.notes.extend(found.note);
    report.unexpected.extend(found.others);
    Ok(report)
}
