//! Reading a checkpoint that may come from anywhere: the header is checked before anything is believed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::{CheckpointError, FORMAT_VERSION, HEADER, Header, MODEL, MOMENTUM, Progress};
use crate::method::SlotCon;
use crate::optim::Optimizer;
use crate::recipe::Recipe;

/// Longest header that is read; ResNet-152's has about 300 KB.
const MAX_HEADER: u64 = 100 << 20;

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    bytes: Vec<u8>,
    /// What the run was.
    pub recipe: Recipe,
    /// How far it got.
    pub progress: Progress,
}

impl Checkpoint {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that is missing, broken, not a slotcon checkpoint, or of a newer format.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io {
            path: path.into(),
            source,
        };
        let not_ours = |reason: String| CheckpointError::NotOurs {
            path: path.into(),
            reason,
        };
        let format = |reason: String| CheckpointError::Format {
            path: path.into(),
            reason,
        };

        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut first = [0u8; 8];
        file.read_exact(&mut first)
            .map_err(|_| format(format!("it has {length} bytes only")))?;
        let header = u64::from_le_bytes(first);
        if header > MAX_HEADER || header > length.saturating_sub(8) {
            return Err(format(format!(
                "its header claims {header} bytes, the file has {length}"
            )));
        }
        let mut bytes = first.to_vec();
        file.read_to_end(&mut bytes).map_err(io)?;

        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
        SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
        let own = header.metadata().as_ref().and_then(|m| m.get(HEADER));
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
        let Header { recipe, progress, .. } =
            serde_json::from_str(own).map_err(|e| not_ours(format!("its metadata is unreadable: {e}")))?;
        let recipe = Recipe::from_toml(&recipe, "the recipe in it").map_err(|e| not_ours(e.to_string()))?;
        Ok(Self {
            path: path.into(),
            bytes,
            recipe,
            progress,
        })
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the weights into `model`.
    ///
    /// # Errors
    /// Names and shapes that do not fit.
    pub fn load_model(&self, model: &SlotCon) -> Result<(), CheckpointError> {
        let file = self.tensors()?;
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
        let file = self.tensors()?;
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

    fn tensors(&self) -> Result<SafeTensors<'_>, CheckpointError> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| CheckpointError::Format {
            path: self.path.clone(),
            reason: e.to_string(),
        })
    }

    fn mismatch(&self, reason: String) -> CheckpointError {
        CheckpointError::Mismatch {
            path: self.path.clone(),
            reason,
        }
    }
}

/// One tensor on the CPU; `None` if it is absent or of a type that no checkpoint has.
fn tensor(file: &SafeTensors, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        _ => return None,
    };
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, kind)
        .ok()
        .map(|t| t.to_device(Device::Cpu))
}
