//! Reading a checkpoint: what it says of itself, then its weights and momentum.

use std::path::Path;

use serde::Deserialize;

use super::file::{TensorFile, tensor};
use super::migrate::migrate;
use super::{CheckpointError, FORMAT_VERSION, HEADER, Header, MODEL, MOMENTUM, Progress};
use crate::method::SlotCon;
use crate::optim::Optimizer;
use crate::recipe::Recipe;

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Checkpoint {
    file: TensorFile,
    /// What the run was.
    pub recipe: Recipe,
    /// How far it got.
    pub progress: Progress,
    /// Program and version; empty where an old one did not say.
    pub written_by: String,
}

impl Checkpoint {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that is missing, broken, not a slotcon checkpoint, or of a newer format; older formats are brought up to date.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::from_file(TensorFile::open(path)?)
    }

    /// The same of a file that is in memory already.
    pub(crate) fn from_file(file: TensorFile) -> Result<Self, CheckpointError> {
        let path = file.path();
        let not_ours = |reason: String| CheckpointError::NotOurs {
            path: path.into(),
            reason,
        };
        let own = file.own.as_ref();
        let own = own.ok_or_else(|| not_ours(format!("its metadata has no '{HEADER}'")))?;
        // The version first: what a newer program wrote may not be readable at all.
        let Version {
            format_version: found,
        } = serde_json::from_str(own).map_err(|e| not_ours(format!("its version is unreadable: {e}")))?;
        if found > FORMAT_VERSION {
            return Err(CheckpointError::Newer {
                path: path.into(),
                found,
                supported: FORMAT_VERSION,
            });
        }
        let unreadable = |e: serde_json::Error| not_ours(format!("its metadata is unreadable: {e}"));
        let mut header = serde_json::from_str(own).map_err(unreadable)?;
        migrate(&mut header, found).map_err(not_ours)?;
        let Header {
            recipe,
            progress,
            written_by,
            ..
        } = serde_json::from_value(header).map_err(unreadable)?;
        let recipe = Recipe::from_toml(&recipe, "the recipe in it").map_err(|e| not_ours(e.to_string()))?;
        Ok(Self {
            file,
            recipe,
            progress,
            written_by,
        })
    }

    /// The file behind it.
    pub(crate) fn file(&self) -> &TensorFile {
        &self.file
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Copies the weights into `model`.
    ///
    /// # Errors
    /// Names and shapes that do not fit.
    pub fn load_model(&self, model: &SlotCon) -> Result<(), CheckpointError> {
        let file = self.file.tensors()?;
        model
            .store()
            .load(|name| tensor(&file, &format!("{MODEL}{name}")))
            .map_err(|e| self.mismatch(e.to_string()))
    }

    /// Copies the momentum buffers into `optimizer`.
    ///
    /// # Errors
    /// A missing buffer or another shape.
    pub fn load_optimizer(&self, optimizer: &Optimizer) -> Result<(), CheckpointError> {
        let file = self.file.tensors()?;
        let _guard = tch::no_grad_guard();
        for (name, mut buffer) in optimizer.state() {
            let saved = tensor(&file, &format!("{MOMENTUM}{name}"))
                .ok_or_else(|| self.mismatch(format!("no momentum of {name}")))?;
            if saved.size() != buffer.size() {
                let (found, needed) = (saved.size(), buffer.size());
                return Err(self.mismatch(format!("momentum of {name} is {found:?}, needed {needed:?}")));
            }
            buffer.copy_(&saved);
        }
        Ok(())
    }

    fn mismatch(&self, reason: String) -> CheckpointError {
        CheckpointError::Mismatch {
            path: self.path().into(),
            reason,
        }
    }
}
