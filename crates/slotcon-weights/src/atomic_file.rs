//! Atomic files: a reader sees the old file or the new one, never a part, and nothing half-written stays behind.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// What the name of an unfinished file begins with.
pub const UNFINISHED: &str = ".unfinished-";

/// A temporary file beside `path`, to be filled and renamed to it with [`persist`]; dropped before that, it is removed.
/// Its rights are those that the umask leaves of 666, as of any new file.
///
/// # Errors
/// A folder that is missing or cannot be written.
pub fn unfinished(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
}

/// Flushes `file` to the disk, renames it to `path` and flushes the folder, without which the rename itself could be lost.
///
/// # Errors
/// What the file system says; the old file at `path`, if any, is intact then.
pub fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(folder(path)).and_then(|folder| folder.sync_all())
}

/// Lets `write` fill a temporary file beside `path`, whose own path it is given, then puts it into place with [`persist`].
///
/// # Errors
/// That of `write`, or what the file system says; the old file at `path`, if any, is intact then.
pub fn write_atomically<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    // Dropped on any error, which removes it.
    let unfinished = unfinished(path)?;
    write(unfinished.path())?;
    Ok(persist(unfinished, path)?)
}

/// The folder that `path` lies in.
fn folder(path: &Path) -> &Path {
    // The parent of a bare name is the empty path, which is no folder.
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let failed = write_atomically(&path, |unfinished| {
            std::fs::write(unfinished, "half")?;
            Err(io::Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        write_atomically(&path, |unfinished| std::fs::write(unfinished, "new")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
