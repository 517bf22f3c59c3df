//! A text file of paths, one a line; those that are not absolute are taken from the folder of the text file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::PathList;
use crate::error::{Error, Result};

pub(super) fn read(list: &Path) -> Result<PathList> {
    let bytes = std::fs::read(list).map_err(|e| Error::io(list, e))?;
    let base = list.parent().unwrap_or(Path::new(""));
    let mut paths = PathList::default();
    for line in bytes.split(|&b| b == b'\n') {
        let line = line.trim_ascii();
        if !line.is_empty() {
            paths.push_path(&base.join(OsStr::from_bytes(line)));
        }
    }
    Ok(paths)
}
