//! NumPy's format, one array a file: `FILE.npy`, further arrays as `FILE.<name>.npy`, names as `FILE.names.jsonl`.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Column, Number, Sink};
use crate::error::Error;
use slotcon_weights::atomic_file::{AtomicFile, WriteError};

/// Bytes before the data: enough for any shape, and a multiple of 64 as the format asks.
const HEADER: usize = 256;

/// The files while they grow.
#[derive(Debug)]
pub struct NpyFiles {
    columns: Vec<Column>,
    arrays: Vec<AtomicFile>,
    names: AtomicFile,
}

impl NpyFiles {
    /// Begins `path` and what belongs beside it.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(path: &Path, columns: Vec<Column>) -> Result<Self, WriteError> {
        let mut arrays = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            let path = match i {
                0 => path.to_path_buf(),
                _ => beside(path, &format!("{}.npy", column.name)),
            };
            let mut file = AtomicFile::begin(&path)?;
            file.write(&[0; HEADER])?;
            arrays.push(file);
        }
        let names = AtomicFile::begin(&beside(path, "names.jsonl"))?;
        Ok(Self {
            columns,
            arrays,
            names,
        })
    }
}

/// `a/b.npy` with `names.jsonl` to `a/b.names.jsonl`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(ending)
}

impl Sink for NpyFiles {
    fn push(&mut self, column: usize, bytes: &[u8]) -> Result<(), WriteError> {
        self.arrays[column].write(bytes)
    }

    fn name(&mut self, line: &str) -> Result<(), WriteError> {
        self.names.write(line.as_bytes())?;
        self.names.write(b"\n")
    }

    fn finish(self: Box<Self>, rows: usize, shapes: &[Vec<usize>], _about: &str) -> Result<(), Error> {
        let mut arrays = self.arrays;
        for ((file, column), shape) in arrays.iter_mut().zip(&self.columns).zip(shapes) {
            let header = header(column.number, rows, shape);
            let writer = file.writer();
            let written = writer
                .seek(SeekFrom::Start(0))
                .and_then(|_| writer.write_all(&header));
            written.map_err(|e| file.fail(e))?;
        }
        // The main array comes last: where it is, the rest is, too.
        self.names.finish()?;
        Ok(arrays.into_iter().rev().try_for_each(AtomicFile::finish)?)
    }
}

/// Magic, version 1.0, length, and a Python dictionary filled up with spaces.
fn header(number: Number, rows: usize, shape: &[usize]) -> Vec<u8> {
    let descr = number.dtype().numpy().unwrap_or_default();
    let shape: String = std::iter::once(&rows)
        .chain(shape)
        .map(|n| format!("{n}, "))
        .collect();
    let text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}",
        shape.trim_end()
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((HEADER - 10) as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(HEADER - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_shape_has_room() {
        for shape in [vec![], vec![usize::MAX; 3]] {
            let header = header(Number::F16, usize::MAX, &shape);
            assert_eq!(header.len(), HEADER);
            let text = String::from_utf8_lossy(&header[10..]).into_owned();
            assert!(text.ends_with(" \n") && text.contains("'descr': '<f2'"), "{text}");
        }
        let one = header(Number::U8, 5, &[]);
        assert!(String::from_utf8_lossy(&one).contains("'shape': (5,), }"));
    }
}
