//! A tar file of pictures (as WebDataset keeps them): listed once by hopping from header to header, then read picture by
//! picture where each lies.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::folder::{Kind, kind_of};
use crate::error::{Error, PictureError, Result};
use crate::picture::{Format, SNIFF_BYTES};

/// The pictures of one tar file.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    /// Opened at the first reading: to list thousands of tar files must not keep thousands open.
    file: OnceLock<File>,
    /// Where each picture's bytes begin, how many there are, and where its name ends in `names`.
    pictures: Vec<(u64, u64, usize)>,
    names: String,
}

impl Shard {
    /// Lists the pictures.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let broken = |source| Error::Shard {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(broken)?.len();
        let mut shard = Self {
            path: path.into(),
            file: OnceLock::new(),
            pictures: Vec::new(),
            names: String::new(),
        };
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let (start, size) = (entry.raw_file_position(), entry.size());
            if start.saturating_add(size) > length {
                return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            let name = entry.path().map_err(broken)?.into_owned();
            let picture = match kind_of(name.file_name().unwrap_or_default()) {
                Kind::Picture => true,
                Kind::SomethingElse => false,
                Kind::Unknown => starts_as_a_picture(path, start, size),
            };
            if picture {
                shard.names.push_str(&name.to_string_lossy());
                shard.pictures.push((start, size, shard.names.len()));
            }
        }
        Ok(shard)
    }

    pub(super) fn len(&self) -> usize {
        self.pictures.len()
    }

    /// The tar file's path, then the name inside.
    pub(super) fn path(&self, index: usize) -> PathBuf {
        let start = if index == 0 { 0 } else { self.pictures[index - 1].2 };
        self.path.join(&self.names[start..self.pictures[index].2])
    }

    pub(super) fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
        let (start, size, _) = self.pictures[index];
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let opened = File::open(&self.path)?;
                self.file.get_or_init(|| opened)
            }
        };
        bytes.resize(size as usize, 0);
        Ok(file.read_exact_at(bytes, start)?)
    }
}

fn starts_as_a_picture(path: &Path, start: u64, size: u64) -> bool {
    let mut bytes = [0; SNIFF_BYTES];
    let bytes = &mut bytes[..(size as usize).min(SNIFF_BYTES)];
    // Apart from the archive's own place in the file.
    let read = File::open(path).and_then(|mut file| {
        file.seek(std::io::SeekFrom::Start(start))?;
        file.read_exact(bytes)
    });
    read.is_ok() && Format::of(bytes).is_some()
}
