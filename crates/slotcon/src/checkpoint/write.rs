//! Writing a checkpoint: whole or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::View;
use tch::{Kind, Tensor};

use super::{CheckpointError, FORMAT_VERSION, HEADER, Header, MODEL, MOMENTUM, Progress};
use crate::method::SlotCon;
use crate::optim::Optimizer;
use crate::recipe::Recipe;
use crate::whole;

/// A tensor whose bytes are fetched when they are written, one at a time.
struct Lazy {
    tensor: Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
}

impl Lazy {
    fn new(tensor: Tensor) -> Result<Self, String> {
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Double => Dtype::F64,
            Kind::Int64 => Dtype::I64,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int => Dtype::I32,
            Kind::Int16 => Dtype::I16,
            Kind::Int8 => Dtype::I8,
            Kind::Uint8 => Dtype::U8,
            Kind::Bool => Dtype::BOOL,
            other => return Err(format!("no safetensors type for {other:?}")),
        };
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        Ok(Self {
            tensor: tensor.detach(),
            shape,
            dtype,
        })
    }
}

impl View for Lazy {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(tensor_bytes(&self.tensor))
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Writes model, optimizer, recipe and progress to `path`.
///
/// # Errors
/// Whatever the file system says; the old file, if any, is intact then and nothing else is left behind.
pub fn save(
    path: &Path,
    model: &SlotCon,
    optimizer: &Optimizer,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    let other = |reason: String| CheckpointError::Format {
        path: path.into(),
        reason,
    };
    let mut tensors = Vec::new();
    for entry in model.store().entries() {
        tensors.push((
            format!("{MODEL}{}", entry.name),
            Lazy::new(entry.tensor).map_err(other)?,
        ));
    }
    for (name, momentum) in optimizer.state() {
        tensors.push((format!("{MOMENTUM}{name}"), Lazy::new(momentum).map_err(other)?));
    }
    let header = Header {
        format_version: FORMAT_VERSION,
        written_by: concat!("slotcon ", env!("CARGO_PKG_VERSION")).into(),
        recipe: recipe.to_toml(),
        progress: progress.clone(),
    };
    let header = serde_json::to_string(&header).map_err(|e| other(e.to_string()))?;
    serialize(path, tensors, Some(HashMap::from([(HEADER.to_owned(), header)])))
}

/// Writes named tensors to `path` as a plain safetensors file, whole or not at all.
pub(crate) fn write_safetensors(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<(), CheckpointError> {
    let tensors = tensors.into_iter().map(|(name, tensor)| {
        let lazy = Lazy::new(tensor).map_err(|reason| CheckpointError::Format {
            path: path.into(),
            reason,
        })?;
        Ok((name, lazy))
    });
    let tensors = tensors.collect::<Result<_, CheckpointError>>()?;
    // What loaders of PyTorch weights look for.
    serialize(
        path,
        tensors,
        Some(HashMap::from([("format".into(), "pt".into())])),
    )
}

fn serialize(
    path: &Path,
    tensors: Vec<(String, Lazy)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), CheckpointError> {
    write_whole(path, |unfinished| {
        safetensors::serialize_to_file(tensors, metadata, unfinished).map_err(|e| match e {
            safetensors::SafeTensorError::IoError(source) => CheckpointError::Io {
                path: path.into(),
                source,
            },
            e => CheckpointError::Format {
                path: path.into(),
                reason: e.to_string(),
            },
        })
    })
}

/// Lets `write` fill a file beside `path`, then flushes it to the disk and renames it: whole or not at all.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.into(),
        source,
    };
    // Dropped on any error, which removes it.
    let unfinished = whole::unfinished(path).map_err(io)?.into_temp_path();
    write(&unfinished)?;
    File::open(&unfinished).and_then(|f| f.sync_all()).map_err(io)?;
    unfinished.persist(path).map_err(|e| io(e.error))?;
    // The rename itself is only safe once the folder is on the disk.
    File::open(whole::folder(path))
        .and_then(|f| f.sync_all())
        .map_err(io)
}

/// Elements of a tensor in row-major order, little-endian.
pub(crate) fn tensor_bytes(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.detach().to_device(tch::Device::Cpu).contiguous();
    let mut bytes = vec![0u8; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}
