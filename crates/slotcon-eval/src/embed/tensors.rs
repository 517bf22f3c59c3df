//! safetensors, written before its header is known: room is left for it, filled up with spaces as the format allows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::{Column, Number, Sink};
use crate::error::Error;
use slotcon_weights::atomic_file::{AtomicFile, WriteError};

/// Bytes of the header besides the source's name: tensors' names, shapes and offsets, and what the file says of itself.
const ROOM: usize = 2048;

/// The file while it grows: the first array in place, the others and the names beside it until the end.
#[derive(Debug)]
pub struct TensorsFile {
    columns: Vec<Column>,
    file: AtomicFile,
    /// Bytes of the header.
    header: usize,
    first: u64,
    /// Arrays after the first, then the names.
    later: Vec<BufWriter<File>>,
}

impl TensorsFile {
    /// Begins `path`; `source` is the length of the source's name.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(path: &Path, columns: Vec<Column>, source: usize) -> Result<Self, WriteError> {
        // Six bytes hold any character in JSON, twice: it is JSON inside JSON.
        let header = (ROOM + 12 * source).next_multiple_of(8);
        let mut file = AtomicFile::begin(path)?;
        file.write(&(header as u64).to_le_bytes())?;
        file.write(&vec![b' '; header])?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let later = (0..columns.len())
            .map(|_| tempfile::tempfile_in(folder.unwrap_or(Path::new("."))).map(BufWriter::new))
            .collect::<Result<_, _>>()
            .map_err(|e| file.fail(e))?;
        Ok(Self {
            columns,
            file,
            header,
            first: 0,
            later,
        })
    }
}

impl Sink for TensorsFile {
    fn push(&mut self, column: usize, bytes: &[u8]) -> Result<(), WriteError> {
        if column == 0 {
            self.first += bytes.len() as u64;
            return self.file.write(bytes);
        }
        self.later[column - 1]
            .write_all(bytes)
            .map_err(|e| self.file.fail(e))
    }

    fn name(&mut self, line: &str) -> Result<(), WriteError> {
        let names = self.later.len() - 1;
        writeln!(self.later[names], "{line}").map_err(|e| self.file.fail(e))
    }

    fn finish(mut self: Box<Self>, rows: usize, shapes: &[Vec<usize>], about: &str) -> Result<(), Error> {
        let mut ends = vec![self.first];
        for part in std::mem::take(&mut self.later) {
            let writer = self.file.writer();
            let copied = append(part, writer).map_err(|e| self.file.fail(e))?;
            ends.push(ends[ends.len() - 1] + copied);
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut entries: BTreeMap<&str, Value> = BTreeMap::new();
        for (i, (start, &end)) in starts.zip(&ends).enumerate() {
            let (name, dtype, shape) = match self.columns.get(i) {
                Some(column) => {
                    let shape: Vec<usize> = std::iter::once(rows).chain(shapes[i].iter().copied()).collect();
                    (column.name, column.number.dtype(), shape)
                }
                None => ("names", Number::U8.dtype(), vec![(end - start) as usize]),
            };
            entries.insert(
                name,
                json!({"dtype": dtype.safetensors(), "shape": shape, "data_offsets": [start, end]}),
            );
        }
        entries.insert("__metadata__", json!({"slotcon_embed": about}));
        let mut text = serde_json::to_vec(&entries)?;
        if text.len() > self.header {
            return Err(Error::Argument(format!(
                "a header of {} bytes does not fit into the {} left for it",
                text.len(),
                self.header
            )));
        }
        text.resize(self.header, b' ');
        let writer = self.file.writer();
        let written = writer
            .seek(SeekFrom::Start(8))
            .and_then(|_| writer.write_all(&text));
        written.map_err(|e| self.file.fail(e))?;
        Ok(self.file.finish()?)
    }
}

fn append(part: BufWriter<File>, to: &mut impl Write) -> std::io::Result<u64> {
    let mut file = part.into_inner().map_err(|e| e.into_error())?;
    file.seek(SeekFrom::Start(0))?;
    std::io::copy(&mut BufReader::new(file), to)
}
