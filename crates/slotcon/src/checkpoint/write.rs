//! Writing a checkpoint: whole or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::View;
use tch::{Kind, Tensor};

use super::{CheckpointError, FORMAT_VERSION, HEADER, Header, MODEL, MOMENTUM, Progress};
use crate::method::SlotCon;
use crate::optim::Optimizer;
use crate::recipe::Recipe;

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
        let tensor = self.tensor.to_device(tch::Device::Cpu).contiguous();
        let mut bytes = vec![0u8; self.data_len()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Cow::Owned(bytes)
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
    let io = |source| CheckpointError::Io {
        path: path.into(),
        source,
    };
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
        recipe: recipe.to_toml(),
        progress: progress.clone(),
    };
    let header = serde_json::to_string(&header).map_err(|e| other(e.to_string()))?;
    let metadata = HashMap::from([(HEADER.to_owned(), header)]);

    let folder = path.parent().unwrap_or(Path::new("."));
    // Dropped on any error, which removes it.
    let unfinished = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(io)?
        .into_temp_path();
    safetensors::serialize_to_file(tensors, Some(metadata), &unfinished).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(source) => io(source),
        e => other(e.to_string()),
    })?;
    File::open(&unfinished).and_then(|f| f.sync_all()).map_err(io)?;
    unfinished.persist(path).map_err(|e| io(e.error))?;
    // The rename itself is only safe once the folder is on the disk.
    File::open(folder).and_then(|f| f.sync_all()).map_err(io)
}
