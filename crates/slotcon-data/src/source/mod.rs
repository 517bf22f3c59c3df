//! Where pictures come from: the list of all of them, in an order that depends on nothing but their names.

mod braces;
mod folder;
mod inputs;
mod kind;
mod layout;
mod left_out;
mod list;
mod paths;
mod selection;
mod shard;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use inputs::{Inputs, labels};
pub use layout::Layout;
pub use left_out::{LeftOut, Why};
pub use paths::{PathList, from_readable, readable};
pub use selection::Selection;

use crate::error::{Error, PictureError, Result};
use crate::picture::read_into;
use folder::Found;
use shard::Shard;

/// All pictures of a run, numbered from 0.
#[derive(Debug)]
pub struct Dataset {
    parts: Vec<Part>,
    /// Number of the first picture of each part.
    starts: Vec<usize>,
    len: usize,
    left_out: LeftOut,
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
    /// Lists the pictures of all `roots`, one root after the other. A root is a folder, arranged as the layout says; a
    /// text file of paths (`.txt`); a tar file (`.tar`); or many of these by a pattern (`train-{000..127}.tar`). A folder that
    /// holds tar files and no picture is read as the tar files in it.
    ///
    /// No picture is opened, but for files whose name does not say what they are.
    ///
    /// # Errors
    /// When a root is missing or of no kind known here, is not laid out as the layout says, or holds no picture.
    pub fn open(roots: &[PathBuf], selection: impl Into<Selection>) -> Result<Self> {
        let selection = selection.into();
        if roots.is_empty() {
            return Err(Error::NoRoots);
        }
        let mut data = Self {
            parts: Vec::new(),
            starts: Vec::new(),
            len: 0,
            left_out: LeftOut::default(),
        };
        for root in roots {
            let before = data.len;
            match Root::of(root)? {
                Root::Shards(shards) => {
                    for shard in shards {
                        data.add(&shard, &selection)?;
                    }
                }
                _ => data.add(root, &selection)?,
            }
            if data.len == before {
                return Err(Error::NoPictures {
                    path: root.clone(),
                    left_out: data.left_out.lines(),
                });
            }
        }
        Ok(data)
    }

    fn add(&mut self, root: &Path, selection: &Selection) -> Result<()> {
        match Root::of(root)? {
            Root::Folder => {
                let mut found = Found {
                    left_out: std::mem::take(&mut self.left_out),
                    ..Found::default()
                };
                let listed = selection.layout.list(root, selection, &mut found);
                self.left_out = found.left_out;
                listed?;
                self.add_found(found.paths, &found.archives, selection)?;
            }
            Root::List => self.push(Part::Files(list::read(root)?)),
            Root::Shard => {
                let shard = Shard::open(root, selection, &mut self.left_out)?;
                self.push(Part::Shard(shard));
            }
            Root::Shards(_) => return Err(Error::Missing { path: root.into() }),
        }
        Ok(())
    }

    /// Pictures of a folder, or the tar files in it where there is no picture.
    fn add_found(&mut self, paths: PathList, archives: &[PathBuf], selection: &Selection) -> Result<()> {
        if !paths.is_empty() {
            archives
                .iter()
                .for_each(|path| self.left_out.add(Why::Archive, path));
            self.push(Part::Files(paths));
            return Ok(());
        }
        for path in archives {
            match shard::packed(path)? {
                Some(kind) => self.left_out.add(Why::Packed(kind), path),
                None => {
                    let shard = Shard::open(path, selection, &mut self.left_out)?;
                    self.push(Part::Shard(shard));
                }
            }
        }
        Ok(())
    }

    /// What lies beside the pictures and was not taken.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
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
            left_out: LeftOut::default(),
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
