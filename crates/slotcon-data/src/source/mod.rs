//! Where pictures come from: the list of all of them, in an order that depends on nothing but their names.

mod braces;
mod folder;
mod layout;
mod list;
mod paths;
mod shard;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use layout::Layout;
pub use paths::PathList;

use crate::error::{Error, PictureError, Result};
use crate::picture::read_into;
use shard::Shard;

/// All pictures of a run, numbered from 0.
#[derive(Debug)]
pub struct Dataset {
    parts: Vec<Part>,
    /// Number of the first picture of each part.
    starts: Vec<usize>,
    len: usize,
}

/// Pictures that are kept in one way.
#[derive(Debug)]
enum Part {
    /// Each in a file of its own.
    Files(PathList),
    /// In a tar file.
    Shard(Shard),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Files(paths) => paths.len(),
            Self::Shard(shard) => shard.len(),
        }
    }
}

/// What a root is, by its kind and name.
enum Root {
    Folder,
    Shard,
    List,
    Shards(Vec<PathBuf>),
}

impl Root {
    fn of(path: &Path) -> Result<Self> {
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Self::Folder),
            Ok(_) if extension == "tar" => Ok(Self::Shard),
            Ok(_) if extension == "txt" || extension == "list" => Ok(Self::List),
            Ok(_) => Err(Error::NotASource { path: path.into() }),
            Err(_) if path.to_string_lossy().contains('{') => Ok(Self::Shards(braces::expand(path)?)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing { path: path.into() }),
            Err(e) => Err(Error::io(path, e)),
        }
    }
}

impl Dataset {
    /// Lists the pictures of all `roots`, one root after the other. A root is a folder, arranged as `layout` says; a
    /// text file of paths (`.txt`); a tar file (`.tar`); or many of these by a pattern (`train-{000..127}.tar`).
    ///
    /// No picture is opened, but for files whose name does not say what they are.
    ///
    /// # Errors
    /// When a root is missing or of no kind known here, is not laid out as `layout` says, or holds no picture.
    pub fn open(roots: &[PathBuf], layout: Layout) -> Result<Self> {
        if roots.is_empty() {
            return Err(Error::NoRoots);
        }
        let mut data = Self {
            parts: Vec::new(),
            starts: Vec::new(),
            len: 0,
        };
        for root in roots {
            let before = data.len;
            match Root::of(root)? {
                Root::Shards(shards) => {
                    for shard in shards {
                        data.add(&shard, layout)?;
                    }
                }
                _ => data.add(root, layout)?,
            }
            if data.len == before {
                return Err(Error::NoPictures { path: root.clone() });
            }
        }
        Ok(data)
    }

    fn add(&mut self, root: &Path, layout: Layout) -> Result<()> {
        let part = match Root::of(root)? {
            Root::Folder => {
                let mut paths = PathList::default();
                layout.list(root, &mut paths)?;
                Part::Files(paths)
            }
            Root::List => Part::Files(list::read(root)?),
            Root::Shard => Part::Shard(Shard::open(root)?),
            Root::Shards(_) => return Err(Error::Missing { path: root.into() }),
        };
        self.push(part);
        Ok(())
    }

    fn push(&mut self, part: Part) {
        self.starts.push(self.len);
        self.len += part.len();
        self.parts.push(part);
    }

    /// A data set of just these files.
    pub fn from_paths<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Self {
        let mut paths = PathList::default();
        for file in files {
            paths.push_path(file.as_ref());
        }
        let mut data = Self {
            parts: Vec::new(),
            starts: Vec::new(),
            len: 0,
        };
        data.push(Part::Files(paths));
        data
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pictures that lie one behind the other in a tar file, tar file by tar file. All others can be read in any order.
    pub fn shards(&self) -> Vec<Range<usize>> {
        let ranges = self.parts.iter().zip(&self.starts);
        let shards = ranges.filter(|(part, _)| matches!(part, Part::Shard(_)));
        shards.map(|(part, &start)| start..start + part.len()).collect()
    }

    /// The part that holds picture `index`, and its number therein.
    fn find(&self, index: usize) -> (&Part, usize) {
        assert!(index < self.len, "there is no picture {index} among {}", self.len);
        let part = self.starts.partition_point(|&start| start <= index) - 1;
        (&self.parts[part], index - self.starts[part])
    }

    /// Where picture `index` lies. Inside a tar file this is the tar file's path followed by the name therein.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn path(&self, index: usize) -> PathBuf {
        match self.find(index) {
            (Part::Files(paths), i) => paths.get(i),
            (Part::Shard(shard), i) => shard.path(i),
        }
    }

    /// Reads the file of picture `index` into `bytes`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
        match self.find(index) {
            (Part::Files(paths), i) => read_into(&paths.get(i), bytes),
            (Part::Shard(shard), i) => shard.read(i, bytes),
        }
    }
}
