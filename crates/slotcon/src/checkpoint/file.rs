//! A safetensors file that may come from anywhere: its header is checked before anything is believed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use super::{CheckpointError, HEADER};

/// Longest header that is read; ResNet-152's has about 300 KB.
const MAX_HEADER: u64 = 100 << 20;

/// The whole file in memory, its offsets checked.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// What a slotcon checkpoint says of itself.
    pub(super) own: Option<String>,
}

impl TensorFile {
    /// Reads `path`.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io {
            path: path.into(),
            source,
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
        let own = header.metadata().as_ref().and_then(|m| m.get(HEADER).cloned());
        Ok(Self {
            path: path.into(),
            bytes,
            own,
        })
    }

    /// Whether a slotcon checkpoint's header is in it, of whatever version.
    pub fn is_checkpoint(&self) -> bool {
        self.own.is_some()
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its tensors, parsed.
    pub fn tensors(&self) -> Result<SafeTensors<'_>, CheckpointError> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| CheckpointError::Format {
            path: self.path.clone(),
            reason: e.to_string(),
        })
    }
}

/// One tensor on the CPU; `None` if it is absent or of a type that libtorch does not have.
pub(crate) fn tensor(file: &SafeTensors, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    };
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, kind)
        .ok()
        .map(|t| t.to_device(Device::Cpu))
}
