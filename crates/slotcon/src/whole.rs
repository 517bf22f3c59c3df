//! Files that are written whole or not at all.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// A nameless file beside `path`, to be filled and renamed to it; dropped before that, nothing of it stays.
///
/// # Errors
/// A folder that is missing or cannot be written.
pub fn unfinished(path: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
}

/// The folder that `path` lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    // The parent of a bare name is the empty path, which is no folder.
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
