//! Writing what `torch.load` reads (with `weights_only=True`, unless it holds a namespace): a zip archive with the pickle
//! and, uncompressed and aligned, every storage.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::error::WeightsError;
use super::pickle_write::{Py, numpy_pickle, torch_pickle};
use crate::checkpoint::{CheckpointError, tensor_bytes, write_whole};

/// As `torch.save` aligns storages, so that they can be mapped into memory.
const ALIGNMENT: u16 = 64;

/// Writes `value` as `torch.save` would, whole or not at all.
pub(super) fn write_torch(path: &Path, value: Py) -> Result<(), WeightsError> {
    let (pickle, storages) = torch_pickle(value).map_err(|reason| WeightsError::format(path, reason))?;
    let io = |source| CheckpointError::Io {
        path: path.into(),
        source,
    };
    write_whole(path, |unfinished| {
        let file = BufWriter::new(File::create(unfinished).map_err(io)?);
        let mut zip = ZipWriter::new(file);
        let mut entry = |name: &str, bytes: &[u8]| {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .with_alignment(ALIGNMENT)
                .large_file(bytes.len() >= u32::MAX as usize);
            zip.start_file(format!("archive/{name}"), options)
                .map_err(|e| io(e.into()))?;
            zip.write_all(bytes).map_err(io)
        };
        entry("data.pkl", &pickle)?;
        entry("byteorder", b"little")?;
        for (number, storage) in storages.iter().enumerate() {
            entry(&format!("data/{number}"), &tensor_bytes(storage))?;
        }
        entry("version", b"3\n")?;
        let mut file = zip.finish().map_err(|e| io(e.into()))?;
        file.flush().map_err(io)
    })?;
    Ok(())
}

/// Writes `value` as a pickle with numpy arrays, whole or not at all.
pub(super) fn write_numpy(path: &Path, value: Py) -> Result<(), WeightsError> {
    let bytes = numpy_pickle(value).map_err(|reason| WeightsError::format(path, reason))?;
    write_whole(path, |unfinished| {
        std::fs::write(unfinished, &bytes).map_err(|source| CheckpointError::Io {
            path: path.into(),
            source,
        })
    })?;
    Ok(())
}
