//! A text file of paths, one a line; those that are not absolute are taken from the folder of the text file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::PathList;
use crate::error::{Error, Result};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a list. Empty lines and those that begin with `#` hold nothing; a path may stand in quotes, and a label may follow it
/// (`path label`, `path,label`).
///
/// # Errors
/// A line with quotes or a blank that names no file, by its number. A plain path is not looked at: a missing picture costs that
/// picture.
pub(super) fn read(list: &Path) -> Result<PathList> {
    let bytes = std::fs::read(list).map_err(|e| Error::io(list, e))?;
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let base = list.parent().unwrap_or(Path::new(""));
    let mut paths = PathList::default();
    for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let path = path_of(base, line).ok_or_else(|| Error::ListLine {
            path: list.into(),
            line: number + 1,
            text: String::from_utf8_lossy(line).into_owned(),
        })?;
        paths.push_path(&path);
    }
    Ok(paths)
}

fn path_of(base: &Path, line: &[u8]) -> Option<PathBuf> {
    let place = |text: &[u8]| base.join(OsStr::from_bytes(text));
    let quote = *line.first()?;
    let special = |b: &u8| b.is_ascii_whitespace() || *b == b',';
    if quote != b'"' && quote != b'\'' && !line.iter().any(special) {
        return Some(place(line));
    }
    // A name may hold quotes, blanks and commas, so what is there decides.
    let there = |text: &[u8]| Some(place(text)).filter(|path| path.exists());
    there(line).or_else(|| {
        if quote == b'"' || quote == b'\'' {
            let end = line[1..].iter().position(|&b| b == quote)?;
            return there(&line[1..=end]);
        }
        let blank = line.iter().rposition(special)?;
        there(line[..blank].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_comments_quotes_and_labels_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "my photo.jpg", "b,c.jpg"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let read = |text: &str| {
            let list = folder.path().join("list.txt");
            std::fs::write(&list, text).unwrap();
            read(&list)
        };
        let names = |text: &str| {
            let paths = read(text).unwrap();
            let name = |i| {
                paths
                    .get(i)
                    .strip_prefix(folder.path())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            };
            (0..paths.len()).map(name).collect::<Vec<_>>()
        };
        assert_eq!(
            names("\u{feff}a.jpg\r\n\n# mine\nnot/there.jpg\n"),
            ["a.jpg", "not/there.jpg"]
        );
        assert_eq!(names("a.jpg 3\na.jpg\tcat\na.jpg,7\n"), ["a.jpg"; 3]);
        assert_eq!(
            names("'a.jpg'\n\"my photo.jpg\" 4\nmy photo.jpg\nmy photo.jpg 4\nb,c.jpg"),
            ["a.jpg", "my photo.jpg", "my photo.jpg", "my photo.jpg", "b,c.jpg"]
        );
        let error = read("a.jpg\nno such photo.jpg\n").unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("no such photo.jpg"),
            "{error}"
        );
    }
}
