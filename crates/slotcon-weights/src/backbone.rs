//! Finding the backbone in a file with weights, whatever stands before its names.

use crate::error::WeightsError;
use crate::fit::Found;
use crate::fit_report::{NameAndShape, shown};
use crate::names::{backbone_prefixes, choose_prefix, from_timm};
use crate::weight_file::WeightFile;

/// A weight that every ResNet has under Caffe2's names.
const CAFFE2: &str = "res2_0_branch2a_w";
/// Names that an error spells out.
const SHOWN: usize = 8;

/// The backbone of a file.
#[derive(Debug)]
pub struct FoundBackbone {
    /// Its tensors by the names that a ResNet has here: `conv1.weight`, `layer1.0.conv1.weight`, …
    pub tensors: Found,
    /// What else the file holds.
    pub others: Vec<NameAndShape>,
    /// Which of several backbones it is, in words.
    pub note: Option<String>,
}

/// The ResNet in `file`: torchvision's or timm's state dict, one with prefixes such as MoCo's `module.encoder_q.`, or a
/// checkpoint of SlotCon, of which the teacher is taken. `prefix` chooses one of several, by what its names begin with or by
/// the end of that.
///
/// # Errors
/// No backbone, or several of which none is meant: the choices.
pub fn find_backbone(file: &WeightFile, prefix: Option<&str>) -> Result<FoundBackbone, WeightsError> {
    let prefixes = backbone_prefixes(file.tensors.iter().map(|(name, _)| name.as_str()));
    let mismatch = |reason: String| WeightsError::Mismatch {
        path: file.path.clone(),
        reason,
    };
    if prefixes.is_empty() {
        refuse_caffe2(file)?;
        let all = Vec::from_iter(
            file.tensors
                .iter()
                .map(|(name, tensor)| (name.clone(), tensor.size())),
        );
        return Err(mismatch(format!(
            "zero matches: none of its {} tensors is layer1.0.conv1.weight of a ResNet, with whatever prefix; it has {}",
            all.len(),
            shown(&all, SHOWN)
        )));
    }
    let slotcon = (file.tensors.iter()).any(|(name, _)| name.ends_with("grouping_k.slot_embed.weight"));
    let chosen = match prefix {
        Some(wanted) => {
            let mut fitting = prefixes.iter().filter(|prefix| fits(prefix, wanted));
            fitting.next().filter(|_| fitting.next().is_none())
        }
        None => choose_prefix(&prefixes, slotcon),
    };
    let chosen = chosen.ok_or_else(|| {
        let choices = prefixes.join(", ");
        mismatch(match prefix {
            Some(wanted) => format!("'{wanted}' fits not exactly one of its backbones; they are {choices}"),
            None => format!("several backbones ({choices}): say which one is meant (pretrain --init-prefix, finetune --backbone-prefix)"),
        })
    })?;
    // The "D" stem is nested in the official names and flat in timm's: the file says which it has.
    let flat = file
        .tensors
        .iter()
        .any(|(name, _)| name.strip_prefix(chosen.as_str()) == Some("conv1.6.weight"));
    let mut found = FoundBackbone {
        tensors: Found::new(),
        others: Vec::new(),
        note: None,
    };
    for (name, tensor) in &file.tensors {
        match name.strip_prefix(chosen.as_str()) {
            Some(rest) => {
                let ours = if flat { from_timm(rest) } else { rest.into() };
                found.tensors.insert(ours, (name.clone(), tensor.shallow_clone()));
            }
            None => found.others.push((name.clone(), tensor.size())),
        }
    }
    if prefixes.len() > 1 {
        found.note = Some(format!(
            "of its backbones {}, the one taken is {chosen}",
            prefixes.join(", ")
        ));
    }
    Ok(found)
}

/// Refuses a file whose weights have Caffe2's names (`res2_0_branch2a_w`), as the backbones of detectron2's zoo and the models of the
/// first Detectron have. Their layers differ (norms folded into scales, strides elsewhere, pixels not divided), so that other names
/// alone would not make them right.
///
/// # Errors
/// Such a file, with what to do instead.
pub fn refuse_caffe2(file: &WeightFile) -> Result<(), WeightsError> {
    let of_caffe2 = |name: &&str| name.rsplit('.').next() == Some(CAFFE2);
    let mut names = file.tensors.iter().map(|(name, _)| name.as_str());
    match names.find(of_caffe2) {
        None => Ok(()),
        Some(name) => Err(WeightsError::Mismatch {
            path: file.path.clone(),
            reason: format!(
                "has Caffe2's names ({name}, …), as backbones of detectron2's zoo (ImageNetPretrained/MSRA) and models of Detectron; \
                 they are not read. Take a backbone of torchvision or timm; a detector that started from it can be imported \
                 from what detectron2 itself saves (model_final.pkl, model_final.pth)"
            ),
        }),
    }
}

/// Whether the prefix of a backbone is the one that is asked for: itself, or its end, with or without the dot.
fn fits(prefix: &str, wanted: &str) -> bool {
    let (prefix, wanted) = (prefix.trim_end_matches('.'), wanted.trim_end_matches('.'));
    prefix == wanted
        || prefix
            .strip_suffix(wanted)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::Py;
    use crate::torch_save::write_numpy;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn names_of_caffe2_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("R-50.pkl");
        let tensor = || Py::Tensor(Tensor::zeros([4], (Kind::Float, Device::Cpu)));
        let blobs = Py::dict([("conv1_w", tensor()), ("res2_0_branch2a_w", tensor())]);
        write_numpy(&path, Py::dict([("blobs", blobs)])).unwrap();
        let said = find_backbone(&WeightFile::open(&path).unwrap(), None)
            .unwrap_err()
            .to_string();
        for words in ["R-50.pkl", "blobs.res2_0_branch2a_w", "torchvision"] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_prefix_is_named_by_its_end() {
        assert!(fits("state_dict.module.encoder_q.", "encoder_q"));
        assert!(fits("state_dict.module.encoder_q.", "module.encoder_q."));
        assert!(fits("", ""));
        assert!(!fits("state_dict.module.encoder_q.", "coder_q"));
        assert!(!fits("a.", ""));
    }
}
