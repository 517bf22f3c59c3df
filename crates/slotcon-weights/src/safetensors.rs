//! Safetensors files, read and written. A file that is read may come from anywhere: its header is checked before anything is
//! believed. A file is written with one tensor in memory at a time, as an atomic file.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::tensor::View;
use safetensors::{SafeTensorError, SafeTensors};
use tch::{Device, Tensor};

use crate::atomic_file::write_atomically;
use crate::dtype::{Dtype, tensor_bytes};
use crate::error::WeightsError;

/// Longest header that is read; ResNet-152's has about 300 KB.
const MAX_HEADER: u64 = 100 << 20;

/// The whole file in memory, its offsets checked.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that is missing or not a whole safetensors file.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let io = WeightsError::io(path);
        let format = |reason: String| broken(path, &reason);
        let mut file = File::open(path).map_err(&io)?;
        let length = file.metadata().map_err(&io)?.len();
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
        file.read_to_end(&mut bytes).map_err(&io)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
        SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(Self {
            path: path.into(),
            bytes,
            metadata: metadata.into_iter().collect(),
        })
    }

    /// The texts in its header, by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its tensors, parsed.
    ///
    /// # Errors
    /// None that [`TensorFile::open`] would not have found.
    pub fn tensors(&self) -> Result<SafeTensors<'_>, WeightsError> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| broken(&self.path, &e.to_string()))
    }
}

fn broken(path: &Path, reason: &str) -> WeightsError {
    WeightsError::format(path, format!("not a whole safetensors file: {reason}"))
}

/// One tensor on the CPU; `None` if it is absent or of a type that libtorch does not have.
pub fn tensor(file: &SafeTensors, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let dtype = Dtype::of_safetensors(view.dtype())?;
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, dtype.kind())
        .ok()
        .map(|t| t.to_device(Device::Cpu))
}

/// A tensor whose bytes are fetched when they are written, one tensor at a time.
struct Lazy {
    tensor: Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
}

impl View for Lazy {
    fn dtype(&self) -> safetensors::Dtype {
        self.dtype.safetensors()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(tensor_bytes(&self.tensor))
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size() as usize
    }
}

/// Writes named tensors to `path`, with `metadata` (one key and its text) in the header: several keys would be written in
/// random order, and equal runs would leave different files.
///
/// # Errors
/// A tensor of a type that safetensors lacks; what the file system says. The old file, if any, is intact then.
pub fn write(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
    (key, text): (&str, String),
) -> Result<(), WeightsError> {
    let tensors = tensors.into_iter().map(|(name, tensor)| {
        let kind = tensor.kind();
        let dtype = Dtype::of(kind)
            .ok_or_else(|| WeightsError::format(path, format!("{name}: no safetensors type for {kind:?}")))?;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        let tensor = tensor.detach();
        Ok((name, Lazy { tensor, shape, dtype }))
    });
    let tensors = tensors.collect::<Result<Vec<_>, WeightsError>>()?;
    let metadata = Some(HashMap::from([(key.to_owned(), text)]));
    write_atomically(path, |unfinished| {
        safetensors::serialize_to_file(tensors, metadata, unfinished).map_err(|e| match e {
            SafeTensorError::IoError(source) => source,
            other => std::io::Error::other(other),
        })
    })
    .map_err(WeightsError::io(path))
}

/// Writes named tensors to `path` as plain weights, with the metadata that loaders of PyTorch weights look for.
///
/// # Errors
/// As [`write()`].
pub fn write_plain(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<(), WeightsError> {
    write(path, tensors, ("format", "pt".into()))
}
