//! The file of found groups: safetensors with `mean` `[C]`, `whitening` `[C, C]`, `weight` `[C + 2, parts]` and `bias` `[parts]` (f32),
//! `group` `[parts]` (int64), and in its header under `slotcon_groups` how they were found.

use std::path::{Path, PathBuf};

use slotcon_weights::safetensors::{TensorFile, tensor, write};
use tch::{Kind, Tensor};

use super::parts::Parts;
use super::position::COLUMNS;
use super::{About, FoundGroups};
use crate::error::{Error, check_version};
use crate::segment::Segmenter;
use crate::whitening::Whitening;

/// The version of the format.
pub(super) const VERSION: u32 = 4;

/// The header's key.
const KEY: &str = "slotcon_groups";

impl FoundGroups {
    /// Writes them to `path`.
    ///
    /// # Errors
    /// What the file system says; the old file, if any, is intact then.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let groups = Vec::from_iter(self.group_of.iter().map(|&group| i64::from(group)));
        let tensors = [
            ("mean", self.whitening.mean.shallow_clone()),
            ("whitening", self.whitening.map.shallow_clone()),
            ("weight", self.parts.weight.shallow_clone()),
            ("bias", self.parts.bias.shallow_clone()),
            ("group", Tensor::from_slice(&groups)),
        ];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
        let about = serde_json::to_string(&self.about)?;
        Ok(write(path, tensors, (KEY, about))?)
    }

    /// Reads `path`, which must hold groups of just this network.
    ///
    /// # Errors
    /// A file that cannot be read, holds no groups, contradicts itself, or holds those of another network.
    pub fn open_for(path: &Path, segmenter: &Segmenter) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Groups {
            path: PathBuf::from(path),
            reason,
        };
        let file = TensorFile::open(path)?;
        let about = file
            .metadata()
            .get(KEY)
            .ok_or_else(|| wrong("holds no groups; expected what slotcon group wrote".into()))?;
        // The version first: what a newer program wrote may not be readable at all.
        let about: serde_json::Value =
            serde_json::from_str(about).map_err(|e| wrong(format!("its header is no JSON: {e}")))?;
        check_version(&about, VERSION).map_err(wrong)?;
        let about: About = serde_json::from_value(about)
            .map_err(|e| wrong(format!("its header says nothing of groups: {e}")))?;
        let own = segmenter.fingerprint()?;
        if about.checkpoint != own {
            return Err(wrong(format!(
                "was found with another checkpoint (its prototypes are {}, those of this one {own}); find groups with this one: slotcon group",
                about.checkpoint
            )));
        }
        let tensors = file.tensors()?;
        let of = |name: &str, kind: Kind| {
            tensor(&tensors, name)
                .filter(|tensor| tensor.kind() == kind)
                .ok_or_else(|| wrong(format!("has no tensor {name:?} of {kind:?}")))
        };
        let (mean, map, weight, bias, group) = (
            of("mean", Kind::Float)?,
            of("whitening", Kind::Float)?,
            of("weight", Kind::Float)?,
            of("bias", Kind::Float)?,
            of("group", Kind::Int64)?,
        );
        let parts = about.config.parts as i64;
        if !(about.temperature > 0.0 && about.temperature.is_finite()) {
            return Err(wrong(format!(
                "its temperature is {}; expected a number above 0",
                about.temperature
            )));
        }
        let stage = usize::from(about.config.stage);
        let channels = segmenter.network().channels();
        let channels = *stage
            .checked_sub(1)
            .and_then(|index| channels.get(index))
            .ok_or_else(|| wrong(format!("its stage is {stage}; a backbone has 1 to 4")))?;
        for (name, tensor, expected) in [
            ("mean", &mean, vec![channels]),
            ("whitening", &map, vec![channels, channels]),
            ("weight", &weight, vec![channels + COLUMNS, parts]),
            ("bias", &bias, vec![parts]),
            ("group", &group, vec![parts]),
        ] {
            if tensor.size() != expected {
                let shape = tensor.size();
                return Err(wrong(format!(
                    "its tensor {name} is {shape:?}; expected {expected:?}"
                )));
            }
        }
        let group = Vec::<i64>::try_from(group)?;
        let groups = about.config.groups;
        if let Some(stranger) = group
            .iter()
            .find(|&&group| usize::try_from(group).is_ok_and(|g| g >= groups) || group < 0)
        {
            return Err(wrong(format!(
                "gives a part to group {stranger}, but there are {groups}, numbered from 0"
            )));
        }
        if let Some(empty) = (0..groups as i64).find(|number| !group.contains(number)) {
            return Err(wrong(format!("has no part for group {empty} of {groups}")));
        }
        Ok(Self {
            whitening: Whitening { mean, map }.to(segmenter.device())?,
            parts: Parts { weight, bias }.to(segmenter.device())?,
            group_of: group.into_iter().map(|group| group as u16).collect(),
            about,
        })
    }
}
