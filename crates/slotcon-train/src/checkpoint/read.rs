//! Reading a checkpoint: what it says of itself, then its weights and momentum.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use slotcon_nn::Store;
use slotcon_weights::safetensors::{TensorFile, tensor};
use slotcon_weights::{WeightsError, require_finite};

use super::migrate::migrate;
use super::{CheckpointError, FORMAT_VERSION, HEADER, Header, MOMENTUM, NETWORK, Progress};
use crate::optim::Optimizer;
use crate::recipe::TaskRecipe;

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// What a checkpoint says of itself, whatever its task.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// What was trained.
    pub task: String,
    /// Its recipe as TOML.
    pub recipe: String,
    /// How far it got.
    pub progress: Progress,
    /// Program and version; empty where an old one did not say.
    pub written_by: String,
}

impl About {
    /// From `text`, the entry of the metadata under [`HEADER`]; older formats are brought up to date. `path` is for errors.
    ///
    /// # Errors
    /// A text that is none, or of a newer format.
    pub fn parse(path: &Path, text: &str) -> Result<Self, CheckpointError> {
        let not_ours = |reason: String| CheckpointError::NotOurs {
            path: path.into(),
            reason,
        };
        // The version first: what a newer program wrote may not be readable at all.
        let Version {
            format_version: found,
        } = serde_json::from_str(text).map_err(|e| not_ours(format!("its version is unreadable: {e}")))?;
        if found > FORMAT_VERSION {
            return Err(CheckpointError::Newer {
                path: path.into(),
                found,
                supported: FORMAT_VERSION,
            });
        }
        let unreadable = |e: serde_json::Error| not_ours(format!("its metadata is unreadable: {e}"));
        let mut header = serde_json::from_str(text).map_err(unreadable)?;
        migrate(&mut header, found).map_err(not_ours)?;
        let header: Header = serde_json::from_value(header).map_err(unreadable)?;
        Ok(Self {
            task: header.task,
            recipe: header.recipe,
            progress: header.progress,
            written_by: header.written_by,
        })
    }

    /// Reads what the checkpoint at `path` says of itself.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::of(&open(path)?)
    }

    fn of(file: &TensorFile) -> Result<Self, CheckpointError> {
        let text = file
            .metadata()
            .get(HEADER)
            .ok_or_else(|| CheckpointError::NotOurs {
                path: file.path().into(),
                reason: format!("its metadata has no '{HEADER}'"),
            })?;
        Self::parse(file.path(), text)
    }

    /// The recipe, of a task that has recipes of the type `R`.
    ///
    /// # Errors
    /// Another task, or a recipe that cannot be read. `path` is for errors.
    pub fn recipe_of<R: TaskRecipe>(&self, path: &Path) -> Result<R, CheckpointError> {
        if self.task != R::TASK {
            return Err(CheckpointError::OtherTask {
                path: path.into(),
                found: self.task.clone(),
                needed: R::TASK,
            });
        }
        R::from_toml(&self.recipe, "the recipe in it").map_err(|e| CheckpointError::NotOurs {
            path: path.into(),
            reason: e.to_string(),
        })
    }
}

fn open(path: &Path) -> Result<TensorFile, CheckpointError> {
    TensorFile::open(path).map_err(|error| {
        let mut start = [0; 2];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
        match read {
            // A zip archive; a pickle.
            Ok(()) if start == *b"PK" || start[0] == 0x80 => CheckpointError::TorchSave { path: path.into() },
            _ => error.into(),
        }
    })
}

/// A checkpoint in memory, of the task with recipes of the type `R`.
#[derive(Debug)]
pub struct Checkpoint<R> {
    file: TensorFile,
    /// What the run was.
    pub recipe: R,
    /// How far it got.
    pub progress: Progress,
    /// Program and version; empty where an old one did not say.
    pub written_by: String,
}

impl<R: TaskRecipe> Checkpoint<R> {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that is missing, broken, not a slotcon checkpoint, of another task or of a newer format; older formats are
    /// brought up to date.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = open(path)?;
        let about = About::of(&file)?;
        let recipe = about.recipe_of(path)?;
        Ok(Self {
            file,
            recipe,
            progress: about.progress,
            written_by: about.written_by,
        })
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Copies the weights into `network`.
    ///
    /// # Errors
    /// Names and shapes that do not fit.
    pub fn load_network(&self, network: &Store) -> Result<(), CheckpointError> {
        let file = self.file.tensors()?;
        network
            .load(|name| tensor(&file, &format!("{NETWORK}{name}")))
            .map_err(|e| self.mismatch(e.to_string()))?;
        for entry in network.entries() {
            require_finite(self.path(), &entry.name, &entry.tensor)?;
        }
        Ok(())
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
        WeightsError::Mismatch {
            path: self.path().into(),
            reason,
        }
        .into()
    }
}
