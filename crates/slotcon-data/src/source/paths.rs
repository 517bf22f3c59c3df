//! A million paths in little memory: each folder once, the names of files end to end in one block.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A list of file paths. A file costs its name's length plus 12 bytes.
#[derive(Clone, Debug, Default)]
pub struct PathList {
    folders: Vec<PathBuf>,
    names: Vec<u8>,
    /// Folder of each file, and where its name ends in `names`.
    files: Vec<(u32, u32, u32)>,
}

impl PathList {
    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a folder whose files follow, and gives its number.
    pub fn push_folder(&mut self, folder: &Path) -> u32 {
        self.folders.push(folder.to_path_buf());
        self.folders.len() as u32 - 1
    }

    /// Adds a file of a folder added before.
    pub fn push(&mut self, folder: u32, name: &OsStr) {
        self.names.extend_from_slice(name.as_bytes());
        let end = self.names.len() as u64;
        self.files.push((folder, (end >> 32) as u32, end as u32));
    }

    /// Adds a file by its whole path.
    pub fn push_path(&mut self, path: &Path) {
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = match self.folders.last() {
            Some(last) if last == parent => self.folders.len() as u32 - 1,
            _ => self.push_folder(parent),
        };
        self.push(folder, path.file_name().unwrap_or_default());
    }

    fn end(&self, index: usize) -> usize {
        let (_, high, low) = self.files[index];
        (u64::from(high) << 32 | u64::from(low)) as usize
    }

    /// The path of file `index`.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn get(&self, index: usize) -> PathBuf {
        let start = if index == 0 { 0 } else { self.end(index - 1) };
        let name = OsStr::from_bytes(&self.names[start..self.end(index)]);
        self.folders[self.files[index].0 as usize].join(name)
    }

    /// Bytes of memory that the list takes.
    pub fn memory(&self) -> usize {
        let folders: usize = self
            .folders
            .iter()
            .map(|f| f.as_os_str().len() + size_of::<PathBuf>())
            .sum();
        folders + self.names.capacity() + self.files.capacity() * size_of::<(u32, u32, u32)>()
    }
}

/// A path as text from which it can be found again: as it is where it is UTF-8; any other byte as `\\xFF`.
pub fn readable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    text
}

/// The path that [`readable`] made `text` of.
pub fn from_readable(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        bytes.extend(&rest.as_bytes()[..at]);
        let byte = rest
            .get(at + 2..at + 4)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        // Only bytes that are no text were written so.
        match byte.filter(|byte| !byte.is_ascii()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                bytes.extend(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    bytes.extend(rest.as_bytes());
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_no_text_stay_distinct() {
        let of = |bytes: &[u8]| readable(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(of("größe/1.jpg".as_bytes()), "größe/1.jpg");
        assert_eq!(of(b"gr\xf6\xdfe/1.jpg"), "gr\\xF6\\xDFe/1.jpg");
        assert_ne!(of(b"\xf6.jpg"), of(b"\xf7.jpg"));
        for bytes in [
            b"gr\xf6\xdfe/1.jpg".as_slice(),
            b"plain.jpg",
            b"a\\x41",
            b"\\x",
            "größe".as_bytes(),
        ] {
            assert_eq!(from_readable(&of(bytes)).as_os_str().as_bytes(), bytes);
        }
    }

    #[test]
    fn a_million_paths_take_little() {
        let mut list = PathList::default();
        for folder in 0..1000 {
            let number = list.push_folder(Path::new(&format!("/data/train/n{folder:08}")));
            for file in 0..1000 {
                list.push(number, OsStr::new(&format!("n{folder:08}_{file}.JPEG")));
            }
        }
        assert_eq!(list.len(), 1_000_000);
        assert_eq!(list.get(0), Path::new("/data/train/n00000000/n00000000_0.JPEG"));
        assert_eq!(
            list.get(999_999),
            Path::new("/data/train/n00000999/n00000999_999.JPEG")
        );
        assert!(list.memory() < 64 << 20, "{} bytes", list.memory());
    }

    #[test]
    fn whole_paths_come_back() {
        let mut list = PathList::default();
        let paths = ["a/b/c.jpg", "a/b/d.jpg", "/x.png", "plain.gif", "a/b/e.jpg"];
        paths.iter().for_each(|p| list.push_path(Path::new(p)));
        for (i, path) in paths.iter().enumerate() {
            assert_eq!(list.get(i), Path::new(path));
        }
    }
}
