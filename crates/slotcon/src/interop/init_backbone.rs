//! A backbone from elsewhere as the start of a run: student and teacher both get it.

use std::path::Path;

use slotcon_weights::names::{backbone_prefixes, choose_prefix, from_timm};
use slotcon_weights::{FitReport, Found, WeightFile, WeightsError, fit};

use super::InteropError;
use crate::method::{Branch, SlotCon};

/// Fills both encoders of `model` with the backbone in `path`: torchvision's or timm's state dict, one with prefixes such as
/// MoCo's `module.encoder_q.`, or any checkpoint that [`WeightFile`] reads. Names outside the backbone (a classifier) are
/// reported as unexpected.
///
/// # Errors
/// A file that is not read, has no backbone or several, or does not fit; the model is as it was then.
pub fn init_backbone(path: &Path, model: &SlotCon) -> Result<FitReport, InteropError> {
    let file = WeightFile::open(path)?;
    let prefixes = backbone_prefixes(file.tensors.iter().map(|(name, _)| name.as_str()));
    let slotcon = (file.tensors.iter()).any(|(name, _)| name.ends_with("grouping_k.slot_embed.weight"));
    let names = || -> Vec<String> {
        let named = file.tensors.iter().take(8);
        named.map(|(name, t)| format!("{name} {:?}", t.size())).collect()
    };
    let prefix = match choose_prefix(&prefixes, slotcon) {
        Some(prefix) => prefix,
        None if prefixes.is_empty() => {
            return Err(WeightsError::Mismatch {
                path: path.into(),
                reason: format!(
                    "zero matches: none of its {} tensors is layer1.0.conv1.weight of a ResNet, with whatever prefix; it has {}",
                    file.tensors.len(),
                    names().join(", ")
                ),
            }
            .into());
        }
        None => {
            return Err(WeightsError::Mismatch {
                path: path.into(),
                reason: format!(
                    "several backbones ({}): save the one you mean alone",
                    prefixes.join(", ")
                ),
            }
            .into());
        }
    };
    let entries = model.store().entries();
    // The "D" stem is nested in the official names and flat in timm's: the file says which it has.
    let flat = file
        .tensors
        .iter()
        .any(|(name, _)| name.strip_prefix(prefix.as_str()) == Some("conv1.6.weight"));
    let mut found = Found::new();
    let mut others = Vec::new();
    for (name, tensor) in &file.tensors {
        match name.strip_prefix(prefix.as_str()) {
            Some(rest) => {
                let ours = if flat { from_timm(rest) } else { rest.into() };
                found.insert(ours, (name.clone(), tensor.shallow_clone()));
            }
            None => others.push((name.clone(), tensor.size())),
        }
    }
    fit(path, &entries, Branch::Teacher.encoder(), &found)?;
    let mut report = fit(path, &entries, Branch::Student.encoder(), &found)?;
    if prefixes.len() > 1 {
        let all = prefixes.join(", ");
        report
            .notes
            .push(format!("of its backbones {all}, the one taken is {prefix}"));
    }
    report.unexpected.extend(others);
    Ok(report)
}
