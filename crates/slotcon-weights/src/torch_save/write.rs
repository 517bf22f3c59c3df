//! Writing what `torch.load` reads (with `weights_only=True`, unless it holds a namespace): a zip archive with the pickle
//! and, uncompressed and aligned, every storage.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::atomic_file::write_atomically;
use crate::dtype::tensor_bytes;
use crate::error::WeightsError;
use crate::pickle::{Py, numpy_pickle, torch_pickle};

/// As `torch.save` aligns storages, so that they can be mapped into memory.
const ALIGNMENT: u16 = 64;

/// Writes `value` as `torch.save` would, as an atomic file.
///
/// # Errors
/// A value of a type that PyTorch does not have; what the file system says.
pub fn write_torch(path: &Path, value: Py) -> Result<(), WeightsError> {
    let (pickle, storages) = torch_pickle(value).map_err(|reason| WeightsError::format(path, reason))?;
    write_atomically(path, |unfinished| {
        let file = BufWriter::new(File::create(unfinished)?);
        let mut zip = ZipWriter::new(file);
        let mut entry = |name: &str, bytes: &[u8]| {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .with_alignment(ALIGNMENT)
                .large_file(bytes.len() >= u32::MAX as usize);
            zip.start_file(format!("archive/{name}"), options)?;
            zip.write_all(bytes)
        };
        entry("data.pkl", &pickle)?;
        entry("byteorder", b"little")?;
        for (number, storage) in storages.iter().enumerate() {
            entry(&format!("data/{number}"), &tensor_bytes(storage))?;
        }
        entry("version", b"3\n")?;
        zip.finish()?.flush()
    })
    .map_err(WeightsError::io(path))
}

/// Writes `value` as a pickle with numpy arrays, as an atomic file.
///
/// # Errors
/// A tensor of a type that numpy does not have; what the file system says.
pub fn write_numpy(path: &Path, value: Py) -> Result<(), WeightsError> {
    let bytes = numpy_pickle(value).map_err(|reason| WeightsError::format(path, reason))?;
    write_atomically(path, |unfinished| std::fs::write(unfinished, &bytes)).map_err(WeightsError::io(path))
}
