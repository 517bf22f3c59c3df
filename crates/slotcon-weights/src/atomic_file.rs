//! Atomic files: a reader sees the old file or the new one, never a part, and nothing half-written stays behind.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// What the name of an unfinished file begins with.
pub const UNFINISHED: &str = ".unfinished-";

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write: {source}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl WriteError {
    /// Names the file that the system speaks of.
    pub fn new(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
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
            true => Err(io::ErrorKind::IsADirectory.into()),
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
    pub fn fail(&self, source: impl Into<io::Error>) -> WriteError {
        WriteError::new(&self.path, source)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// A disk that is full or fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.writer.write_all(bytes).map_err(|e| self.fail(e))
    }

    /// Flushes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// A disk that is full or fails; nothing of the file stays unless it was the last flush that failed.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let named = self
            .writer
            .flush()
            .and_then(|()| persist(self.writer.get_ref(), self.unfinished, &self.path));
        named.map_err(|e| WriteError::new(&self.path, e))
    }
}

/// Writes `bytes` as `path`.
///
/// # Errors
/// A folder that is missing, a disk that is full or fails; nothing half-written stays.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = AtomicFile::begin(path)?;
    file.write(bytes)?;
    file.finish()
}

/// Lets `write` fill an unfinished file beside `path`, whose own path it is given, then names it `path`: for whoever can write
/// to a path only.
///
/// # Errors
/// That of `write`, or what the file system says; the old file at `path`, if any, is intact then.
pub fn write_atomically<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    // Dropped on any error, which removes it.
    let unfinished = unfinished(path)?.into_temp_path();
    write(&unfinished)?;
    Ok(persist(&File::open(&unfinished)?, unfinished, path)?)
}

/// A temporary file beside `path`. Its rights are those that the umask leaves of 666, as of any new file.
fn unfinished(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
}

/// Flushes `file` to the disk, renames it to `path` and flushes the folder, without which the name may be lost with the power.
fn persist(file: &File, unfinished: TempPath, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    unfinished.persist(path).map_err(|e| e.error)?;
    File::open(folder(path)).and_then(|folder| folder.sync_all())
}

/// The folder that `path` lies in. The parent of a bare name is the empty path, which is no folder.
fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_bytes(&path, b"old").unwrap();
        let mut file = AtomicFile::begin(&path).unwrap();
        file.write(b"half of the n").unwrap();
        drop(file);
        let failed = write_atomically(&path, |unfinished| {
            std::fs::write(unfinished, "half")?;
            Err(io::Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_bytes(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        write_atomically(&path, |unfinished| std::fs::write(unfinished, "newer")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("none/file");
        let said = write_bytes(&nowhere, b"").unwrap_err().to_string();
        assert!(said.contains("none/file"), "{said}");
        assert!(write_bytes(folder.path(), b"").is_err());
    }

    #[test]
    fn a_bare_name_lies_in_the_folder_of_the_process() {
        assert_eq!(folder(Path::new("file")), Path::new("."));
        assert_eq!(folder(Path::new("a/file")), Path::new("a"));
        assert_eq!(folder(Path::new("/file")), Path::new("/"));
    }
}
