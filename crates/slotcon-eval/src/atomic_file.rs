//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use slotcon::whole::unfinished;
use tempfile::{NamedTempFile, TempPath};

use crate::error::Error;

/// A file that takes its name only when it is finished; dropped before that, nothing of it stays.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    writer: BufWriter<File>,
    unfinished: TempPath,
}

impl WholeFile {
    /// Begins the file that will be `path`, beside it.
    ///
    /// # Errors
    /// A folder that is missing or cannot be written.
    pub fn begin(path: &Path) -> Result<Self, Error> {
        let file = Self::beside(path).map_err(|source| Error::Write {
            path: path.into(),
            source,
        })?;
        let (file, unfinished) = file.into_parts();
        Ok(Self {
            path: path.into(),
            writer: BufWriter::with_capacity(1 << 18, file),
            unfinished,
        })
    }

    fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
        if path.is_dir() {
            return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
        }
        unfinished(path)
    }

    /// Where bytes go.
    pub fn writer(&mut self) -> &mut BufWriter<File> {
        &mut self.writer
    }

    /// Names the file in what the system says.
    pub fn fail(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write_all(bytes).map_err(|e| self.fail(e))
    }

    /// Flushes it to the disk and gives it its name.
    ///
    /// # Errors
    /// What the system says; nothing stays then.
    pub fn finish(mut self) -> Result<(), Error> {
        let flushed = self
            .writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all());
        flushed.map_err(|e| self.fail(e))?;
        let path = self.path;
        self.unfinished.persist(&path).map_err(|e| Error::Write {
            path: path.clone(),
            source: e.error,
        })
    }
}

/// Writes `bytes` as `path`.
///
/// # Errors
/// What the system says; nothing half-written stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = WholeFile::begin(path)?;
    file.write(bytes)?;
    file.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_leaves_the_old_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"old").unwrap();
        let mut file = WholeFile::begin(&path).unwrap();
        file.write(b"half of the n").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("none/file");
        assert!(
            write_whole(&nowhere, b"")
                .unwrap_err()
                .to_string()
                .contains("none/file")
        );
        assert!(write_whole(folder.path(), b"").is_err());
    }
}
