//! Files that are written whole or not at all: beside their place first, then flushed to the disk and renamed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use slotcon::whole::unfinished;
use tempfile::TempPath;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write: {source}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

impl WriteError {
    /// Names the file that the system speaks of.
    pub fn new(path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        Self {
            path: path.into(),
            source: source.into(),
        }
    }
}

/// A file that takes its name only when it is finished; dropped before that, nothing of it stays.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    writer: BufWriter<File>,
    unfinished: TempPath,
}

impl AtomicFile {
    /// Begins the file that will be `path`, beside it.
    ///
    /// # Errors
    /// A folder that is missing or cannot be written; a `path` that is a folder.
    pub fn begin(path: &Path) -> Result<Self, WriteError> {
        let begun = match path.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false => unfinished(path),
        };
        let (file, unfinished) = begun.map_err(|e| WriteError::new(path, e))?.into_parts();
        Ok(Self {
            path: path.into(),
            writer: BufWriter::with_capacity(1 << 18, file),
            unfinished,
        })
    }

    /// The writer for those who write or seek themselves; its errors go through [`AtomicFile::fail`].
    pub fn writer(&mut self) -> &mut BufWriter<File> {
        &mut self.writer
    }

    /// Names this file in what the system says.
    pub fn fail(&self, source: impl Into<std::io::Error>) -> WriteError {
        WriteError::new(&self.path, source)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// A disk that is full or fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.writer.write_all(bytes).map_err(|e| self.fail(e))
    }

    /// Flushes the file to the disk, gives it its name, and flushes its folder, without which the name may be lost with the
    /// power.
    ///
    /// # Errors
    /// A disk that is full or fails; nothing of the file stays unless it was the last flush that failed.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let fail = |e| WriteError::new(&self.path, e);
        self.writer.flush().map_err(fail)?;
        self.writer.get_ref().sync_all().map_err(fail)?;
        self.unfinished.persist(&self.path).map_err(|e| fail(e.error))?;
        File::open(folder(&self.path))
            .and_then(|folder| folder.sync_all())
            .map_err(fail)
    }
}

/// The folder that `path` lies in. The parent of a bare name is the empty path, which is no folder.
fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Writes `bytes` as `path`.
///
/// # Errors
/// A folder that is missing, a disk that is full or fails; nothing half-written stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = AtomicFile::begin(path)?;
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
        write_atomically(&path, b"old").unwrap();
        let mut file = AtomicFile::begin(&path).unwrap();
        file.write(b"half of the n").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("none/file");
        let said = write_atomically(&nowhere, b"").unwrap_err().to_string();
        assert!(said.contains("none/file"), "{said}");
        assert!(write_atomically(folder.path(), b"").is_err());
    }

    #[test]
    fn a_bare_name_lies_in_the_folder_of_the_process() {
        assert_eq!(folder(Path::new("file")), Path::new("."));
        assert_eq!(folder(Path::new("a/file")), Path::new("a"));
        assert_eq!(folder(Path::new("/file")), Path::new("/"));
    }
}
