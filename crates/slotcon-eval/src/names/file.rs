//! The file of names, as the gallery saves it:
//!
//! ```json
//! {"version": 1, "prototypes": 24, "checkpoint": "9f03c2d1", "names": {"0": "road", "7": "road", "2": "car"}, "background": [3]}
//! ```
//!
//! Where groups were found after training (`slotcon group`), they are what is numbered, in place of prototypes.
//! Prototypes with one name are one group; case does not count. `background` holds those that are nothing of interest. A prototype
//! in neither has no name. `checkpoint` is [`Segmenter::fingerprint`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::groups::{BACKGROUND, same_name};
use crate::error::{Error, check_version};
use crate::segment::Segmenter;

/// The version of the format that is written; the page's script writes the same.
const VERSION: u32 = 1;

/// The names of a checkpoint's prototypes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    version: u32,
    /// K of the checkpoint.
    prototypes: usize,
    /// The checkpoint's [`Segmenter::fingerprint`].
    checkpoint: String,
    /// By prototype.
    names: BTreeMap<usize, String>,
    /// Prototypes that are nothing of interest.
    #[serde(default)]
    background: BTreeSet<usize>,
}

impl Names {
    /// No name for any prototype of `segmenter`.
    ///
    /// # Errors
    /// A failure of libtorch.
    pub fn none(segmenter: &Segmenter) -> Result<Self, Error> {
        Ok(Self {
            version: VERSION,
            prototypes: segmenter.clusters(),
            checkpoint: segmenter.fingerprint()?,
            names: BTreeMap::new(),
            background: BTreeSet::new(),
        })
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// A file that cannot be read, is no file of names, is of a newer version, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| wrong(path, reason);
        let bytes = std::fs::read(path).map_err(|e| wrong(format!("cannot read: {e}")))?;
        // Windows' editors begin a text with a byte order mark.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let expected = "expected what the gallery page saves: {\"version\": 1, \"prototypes\": 24, \"checkpoint\": \"9f03c2d1\", \
                        \"names\": {\"0\": \"road\"}, \"background\": [3]}";
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|e| wrong(format!("is no JSON: {e}; {expected}")))?;
        // The version first: what a newer program wrote may not be readable at all.
        check_version(&value, VERSION).map_err(wrong)?;
        let names: Self = serde_json::from_slice(text)
            .map_err(|e| wrong(format!("is no file of names: {e}; {expected}")))?;
        names.check().map_err(wrong)?;
        Ok(names)
    }

    /// Reads `path`, which must hold names of just these prototypes.
    ///
    /// # Errors
    /// As [`Names::open`]; names of another checkpoint.
    pub fn open_for(path: &Path, segmenter: &Segmenter) -> Result<Self, Error> {
        let names = Self::open(path)?;
        names.must_fit(path, segmenter)?;
        match names.note(segmenter)? {
            None => Ok(names),
            Some(note) => Err(wrong(
                path,
                format!("{note}. Look at it in this one's gallery (slotcon slots --names) and save it there"),
            )),
        }
    }

    /// Reads `path` to be looked at, and changed, in the gallery of `segmenter`: names of another checkpoint are taken over, and the
    /// second value says so.
    ///
    /// # Errors
    /// As [`Names::open`]; another number of prototypes.
    pub fn adopt(path: &Path, segmenter: &Segmenter) -> Result<(Self, Option<String>), Error> {
        let names = Self::open(path)?;
        names.must_fit(path, segmenter)?;
        let note = names.note(segmenter)?;
        let adopted = Self {
            checkpoint: segmenter.fingerprint()?,
            ..names
        };
        Ok((
            adopted,
            note.map(|note| format!("{}: {note}: see whether they still fit", path.display())),
        ))
    }

    fn must_fit(&self, path: &Path, segmenter: &Segmenter) -> Result<(), Error> {
        if self.prototypes == segmenter.clusters() {
            return Ok(());
        }
        Err(wrong(
            path,
            format!(
                "names the groups of a checkpoint with {} {}s; this one has {}",
                self.prototypes,
                segmenter.cluster_word(),
                segmenter.clusters()
            ),
        ))
    }

    /// What is to be said where the names were given to other prototypes.
    fn note(&self, segmenter: &Segmenter) -> Result<Option<String>, Error> {
        let own = segmenter.fingerprint()?;
        Ok((self.checkpoint != own).then(|| {
            format!(
                "names the groups of another checkpoint (its {}s are {}, those of this one {own})",
                segmenter.cluster_word(),
                self.checkpoint
            )
        }))
    }

    fn check(&self) -> Result<(), String> {
        let count = self.prototypes;
        let mentioned = self.names.keys().chain(&self.background);
        if let Some(stranger) = mentioned.copied().find(|&k| k >= count) {
            return Err(format!(
                "names prototype {stranger}, but there are {count}, numbered from 0"
            ));
        }
        if let Some((k, name)) = self.names.iter().find(|(_, name)| name.trim().is_empty()) {
            return Err(format!(
                "gives prototype {k} the name {name:?}; leave out those that have none"
            ));
        }
        let both =
            |(k, name): &(&usize, &String)| self.background.contains(k) && !same_name(name, BACKGROUND);
        match self.names.iter().find(both) {
            Some((k, name)) => Err(format!(
                "says that prototype {k} is {name:?} and also background; one of the two"
            )),
            None => Ok(()),
        }
    }

    /// K.
    pub fn prototypes(&self) -> usize {
        self.prototypes
    }

    /// The name of prototype `k`, if it has one; [`BACKGROUND`] where it is marked so.
    pub fn of(&self, k: usize) -> Option<&str> {
        if self.background.contains(&k) {
            return Some(BACKGROUND);
        }
        self.names.get(&k).map(|name| name.trim())
    }
}

fn wrong(path: &Path, reason: String) -> Error {
    Error::Names {
        path: path.into(),
        reason,
    }
}
