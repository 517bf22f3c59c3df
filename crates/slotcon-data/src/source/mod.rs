//! Where pictures come from: the list of all of them, in an order that depends on nothing but their names.

mod folder;
mod layout;
mod paths;

use std::path::{Path, PathBuf};

pub use layout::Layout;
pub use paths::PathList;

use crate::error::{Error, PictureError, Result};
use crate::picture::read_into;

/// All pictures of a run, numbered from 0.
#[derive(Clone, Debug)]
pub struct Dataset {
    paths: PathList,
}

impl Dataset {
    /// Lists the pictures below `roots`, one root after the other, each sorted by path. No picture is opened, but for
    /// files whose name does not say what they are.
    ///
    /// # Errors
    /// When a root is missing, is no folder, is not laid out as `layout` says, or holds no picture.
    pub fn open(roots: &[PathBuf], layout: Layout) -> Result<Self> {
        if roots.is_empty() {
            return Err(Error::NoRoots);
        }
        let mut paths = PathList::default();
        for root in roots {
            let before = paths.len();
            layout.list(root, &mut paths)?;
            if paths.len() == before {
                return Err(Error::NoPictures { path: root.clone() });
            }
        }
        Ok(Self { paths })
    }

    /// A data set of just these files.
    pub fn from_paths<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Self {
        let mut paths = PathList::default();
        for file in files {
            paths.push_path(file.as_ref());
        }
        Self { paths }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where picture `index` lies.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn path(&self, index: usize) -> PathBuf {
        self.paths.get(index)
    }

    /// Reads the file of picture `index` into `bytes`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
        read_into(&self.path(index), bytes)
    }
}
