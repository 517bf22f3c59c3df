//! A detector as detectron2 loads it.

use std::path::Path;

use slotcon_weights::FitReport;
use slotcon_weights::pickle::Py;
use slotcon_weights::torch_save::write_numpy;

use super::fine_tuned::FineTuned;
use crate::error::TransferError;

/// Writes every tensor of the detector under its name in detectron2's state dict, as a pickle with numpy arrays, which
/// `DetectionCheckpointer` loads; what went where.
///
/// # Errors
/// What the file system says.
pub fn export_detectron2(detector: &FineTuned, out: &Path) -> Result<FitReport, TransferError> {
    let mut report = FitReport::default();
    let entries = detector.store().entries();
    let model = entries.into_iter().map(|entry| {
        let name = entry.name;
        report
            .matched
            .push((name.clone(), name.clone(), entry.tensor.size()));
        (Py::Text(name), Py::Tensor(entry.tensor))
    });
    let model = Py::Dict(model.collect());
    write_numpy(
        out,
        Py::dict([("model", model), ("__author__", Py::Text("slotcon".into()))]),
    )?;
    Ok(report)
}
