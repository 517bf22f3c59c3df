//! Bringing named tensors into a network: all of them or none, and every name accounted for.

use std::collections::BTreeMap;
use std::path::Path;

use slotcon_nn::{Entry, Role};
use tch::{Kind, Tensor};

use crate::error::WeightsError;
use crate::fit_report::{FitReport, NameAndShape, shown};

/// Misfits that an error spells out.
const SHOWN: usize = 12;

/// Tensors by the name that the network has for them; beside each its name in the file.
pub type Found = BTreeMap<String, (String, Tensor)>;

/// Refuses weights that are not finite: every step with them would be skipped.
///
/// # Errors
/// The file, the tensor `name`, and how many of its values are not.
pub fn require_finite(path: &Path, name: &str, tensor: &Tensor) -> Result<(), WeightsError> {
    if !matches!(
        tensor.kind(),
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16
    ) {
        return Ok(());
    }
    let finite = tensor.isfinite().sum(Kind::Int64).int64_value(&[]);
    let count = tensor.numel() as i64;
    if finite == count {
        return Ok(());
    }
    Err(WeightsError::Mismatch {
        path: path.into(),
        reason: format!(
            "{} of the {count} values of {name} are not finite (NaN or infinite): such weights are good for nothing; take an \
             earlier checkpoint",
            count - finite
        ),
    })
}

/// Copies `found` into `entries`, whose names lose `prefix` first. Counters may be missing (old files have none).
///
/// # Errors
/// Nothing that matches, a missing tensor or another shape; nothing is changed then.
pub fn fit(path: &Path, entries: &[Entry], prefix: &str, found: &Found) -> Result<FitReport, WeightsError> {
    let mut report = FitReport::default();
    let mut wrong: Vec<NameAndShape> = Vec::new();
    let mut pairs = Vec::new();
    let mut used = std::collections::BTreeSet::new();
    for entry in entries {
        let Some(name) = entry.name.strip_prefix(prefix) else {
            continue;
        };
        let needed = entry.tensor.size();
        match found.get(name) {
            // Old files keep counters as vectors of one element.
            Some((from, tensor))
                if tensor.size() == needed || (entry.role == Role::Counter && tensor.numel() == 1) =>
            {
                report.matched.push((from.clone(), entry.name.clone(), needed));
                pairs.push((entry, tensor));
                used.insert(name);
            }
            Some((from, tensor)) => {
                used.insert(name);
                wrong.push((format!("{from} {:?} instead of", tensor.size()), needed));
            }
            None => report.missing.push((name.into(), needed)),
        }
    }
    let unexpected = found.iter().filter(|(name, _)| !used.contains(name.as_str()));
    report.unexpected = unexpected
        .map(|(_, (from, tensor))| (from.clone(), tensor.size()))
        .collect();
    let mismatch = |reason: String| WeightsError::Mismatch {
        path: path.into(),
        reason,
    };
    if report.matched.is_empty() && wrong.is_empty() {
        return Err(mismatch(format!(
            "none of its {} tensors fits; it has {}; needed are {}",
            found.len(),
            shown(&report.unexpected, SHOWN),
            shown(&report.missing, SHOWN)
        )));
    }
    let counters: Vec<&str> = entries
        .iter()
        .filter(|e| e.role == Role::Counter)
        .filter_map(|e| e.name.strip_prefix(prefix))
        .collect();
    let gone: Vec<NameAndShape> = report
        .missing
        .iter()
        .filter(|(name, _)| !counters.contains(&name.as_str()))
        .cloned()
        .collect();
    if !gone.is_empty() || !wrong.is_empty() {
        let needed = report.matched.len() + wrong.len() + report.missing.len();
        let mut parts = vec![format!("{} of {needed} tensors match", report.matched.len())];
        if !gone.is_empty() {
            parts.push(format!("{} missing: {}", gone.len(), shown(&gone, SHOWN)));
        }
        if !wrong.is_empty() {
            parts.push(format!(
                "{} of another shape: {}",
                wrong.len(),
                shown(&wrong, SHOWN)
            ));
        }
        if !report.unexpected.is_empty() {
            parts.push(format!(
                "{} unexpected: {}",
                report.unexpected.len(),
                shown(&report.unexpected, SHOWN)
            ));
        }
        return Err(mismatch(format!(
            "its weights do not fit the network: {}",
            parts.join("; ")
        )));
    }
    for (entry, tensor) in &pairs {
        require_finite(path, &entry.name, tensor)?;
    }
    let _guard = tch::no_grad_guard();
    for (entry, tensor) in pairs {
        entry
            .tensor
            .shallow_clone()
            .f_copy_(&tensor.reshape(entry.tensor.size()))
            .map_err(|e| mismatch(format!("{}: {e}", entry.name)))?;
    }
    Ok(report)
}
