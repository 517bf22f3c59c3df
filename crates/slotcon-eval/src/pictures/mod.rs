//! The pictures of a folder, one after the other, in the size in which the network sees them.

mod progress;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rayon::prelude::*;
use slotcon_data::loader::Reader;
use slotcon_data::picture::{DecodeOptions, decode_rgb_bytes};
use slotcon_data::resize::{CenterSquare, Filter, resize_short_side};
use slotcon_data::sampler::evenly;
use slotcon_data::source::{LeftOut, labels};
use slotcon_data::{Dataset, Layout, Picture, PictureError};

pub use progress::{BadPicture, BadPictures, ProgressSink, Silent};

use crate::error::Error;

/// How a picture is brought to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputConfig {
    /// Length of the short side in pixels.
    pub side: u32,
    /// Cut out the central square; the whole picture if none.
    pub square: Option<CenterSquare>,
    /// Turn the picture as its EXIF orientation says.
    pub exif_orientation: bool,
    /// How long to wait for a file; for ever if zero.
    pub timeout: Duration,
}

impl InputConfig {
    /// The central square of `side` pixels, antialiased bilinear, as labelled pictures are measured.
    pub fn squares(side: u32) -> Self {
        Self {
            side,
            square: Some(CenterSquare {
                side,
                filter: Filter::Bilinear,
            }),
            ..Self::default()
        }
    }
}

impl Default for InputConfig {
    fn default() -> Self {
        Self {
            side: 320,
            square: None,
            exif_orientation: false,
            timeout: Duration::from_secs(60),
        }
    }
}

/// A picture as the network sees it.
#[derive(Debug, Clone)]
pub struct InputPicture {
    /// Its number in the folder's list.
    pub index: usize,
    /// The resized pixels.
    pub picture: Picture,
    /// Width and height in the file.
    pub original: (u32, u32),
}

/// Pictures decoded at a time: enough to keep all cores busy, few enough to fit into memory.
const CHUNK: usize = 16;

/// The pictures below some folders, seen in one way.
#[derive(Debug)]
pub struct Pictures {
    data: Arc<Dataset>,
    /// The folders, and what stands in front of the names of their pictures.
    roots: Vec<(PathBuf, PathBuf)>,
    /// Numbers in the data set of those that are looked at.
    chosen: Vec<usize>,
    input: InputConfig,
    /// Readers that nobody uses now: as many as ever worked at a time. Each has a thread of its own.
    readers: Mutex<Vec<Reader>>,
}

impl Pictures {
    /// All pictures of `roots`, or `limit` of them, evenly spread over the list.
    ///
    /// # Errors
    /// A folder that is missing, of another layout, or holds no picture.
    pub fn open(
        roots: &[PathBuf],
        layout: Layout,
        input: InputConfig,
        limit: Option<usize>,
    ) -> Result<Self, Error> {
        let data = Arc::new(Dataset::open(roots, layout)?);
        let chosen = evenly(data.len(), limit.unwrap_or(data.len())).collect();
        Ok(Self {
            data,
            roots: roots.iter().cloned().zip(labels(roots)).collect(),
            chosen,
            input,
            readers: Mutex::default(),
        })
    }

    /// The numbers of the pictures that are looked at, ascending.
    pub fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// The number of pictures below the folders, looked at or not.
    pub fn in_all(&self) -> usize {
        self.data.len()
    }

    /// How pictures are brought to the network.
    pub fn input(&self) -> InputConfig {
        self.input
    }

    /// The path of picture `index` below its folder, with the folder's name in front where there are several; the whole path
    /// where it is in none.
    pub fn name(&self, index: usize) -> PathBuf {
        let path = self.data.path(index);
        let inside = self.roots.iter().filter(|(root, _)| path.starts_with(root));
        let root = inside.max_by_key(|(root, _)| root.components().count());
        match root {
            Some((root, label)) => label.join(path.strip_prefix(root).unwrap_or(&path)),
            None => path,
        }
    }

    /// What lies beside the pictures and was not taken.
    pub fn left_out(&self) -> &LeftOut {
        self.data.left_out()
    }

    /// Reads, decodes and resizes picture `index`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn load(&self, index: usize) -> Result<InputPicture, PictureError> {
        let bytes = self.read(index)?;
        let options = DecodeOptions {
            exif_orientation: self.input.exif_orientation,
            ..DecodeOptions::default()
        };
        let whole = decode_rgb_bytes(&bytes, &options)?;
        let original = (whole.width(), whole.height());
        let picture = match self.input.square {
            Some(square) => square.of(&whole, self.input.side),
            None => resize_short_side(&whole, self.input.side),
        };
        Ok(InputPicture {
            index,
            picture,
            original,
        })
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, PictureError> {
        let idle = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = idle().pop();
        let mut reader = reader.unwrap_or_else(|| Reader::new(Arc::clone(&self.data), self.input.timeout));
        let mut bytes = Vec::new();
        let read = reader.read(index, &mut bytes);
        idle().push(reader);
        read.map(|()| bytes)
    }

    /// Hands over `indices` in their order, decoded on all cores, a few at a time. What cannot be used is told to `progress`
    /// and left out; which pictures these were comes back.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn each<E>(
        &self,
        indices: &[usize],
        progress: &mut dyn ProgressSink,
        mut take: impl FnMut(InputPicture) -> Result<(), E>,
    ) -> Result<BadPictures, E> {
        let mut bad = BadPictures::default();
        for chunk in indices.chunks(CHUNK) {
            let loaded: Vec<_> = chunk.par_iter().map(|&index| (index, self.load(index))).collect();
            for (index, seen) in loaded {
                match seen {
                    Ok(seen) => take(seen)?,
                    Err(reason) => {
                        let (path, reason) = (self.data.path(index), reason.to_string());
                        progress.bad(&path, &reason);
                        bad.add(&path, &reason);
                    }
                }
                progress.done();
            }
        }
        Ok(bad)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_limit_spreads_over_the_whole_list() {
        let folder = tempfile::tempdir().unwrap();
        slotcon_data::scenes::write_folder(&folder.path().join("scenes"), 1, 10, 1, 64).unwrap();
        let root = folder.path().join("scenes/images/train");
        let open = |limit| {
            Pictures::open(
                std::slice::from_ref(&root),
                Layout::Folder,
                InputConfig::default(),
                limit,
            )
            .unwrap()
        };
        assert_eq!(open(Some(4)).chosen(), [0, 2, 5, 7]);
        assert_eq!(open(Some(99)).chosen().len(), 10);
        assert_eq!(open(None).chosen(), (0..10).collect::<Vec<_>>());
        assert_eq!(open(None).name(3), Path::new("000003.png"));
    }

    #[test]
    fn a_bad_picture_is_told_and_left_out() {
        #[derive(Default)]
        struct Told(Vec<String>, usize);
        impl ProgressSink for Told {
            fn done(&mut self) {
                self.1 += 1;
            }
            fn bad(&mut self, path: &Path, reason: &str) {
                self.0.push(format!("{}: {reason}", path.display()));
            }
        }
        let folder = tempfile::tempdir().unwrap();
        slotcon_data::scenes::write_folder(&folder.path().join("scenes"), 1, 3, 1, 64).unwrap();
        let root = folder.path().join("scenes/images/train");
        std::fs::write(root.join("000001.png"), "no picture").unwrap();
        let pictures = Pictures::open(&[root], Layout::Folder, InputConfig::squares(16), None).unwrap();
        let (mut told, mut seen) = (Told::default(), Vec::new());
        let bad = pictures
            .each::<Error>(pictures.chosen(), &mut told, |s| {
                assert_eq!(
                    (s.picture.width(), s.picture.height(), s.original),
                    (16, 16, (64, 64))
                );
                seen.push(s.index);
                Ok(())
            })
            .unwrap();
        assert_eq!((seen, told.1), (vec![0, 2], 3));
        assert_eq!(bad.count, 1);
        let last = bad.last.unwrap();
        assert_eq!(format!("{}: {}", last.path, last.reason), told.0[0]);
        assert!(
            told.0.len() == 1 && told.0[0].contains("000001.png"),
            "{:?}",
            told.0
        );
    }

    #[test]
    fn readers_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        slotcon_data::scenes::write_folder(&folder.path().join("scenes"), 1, 40, 1, 32).unwrap();
        let root = folder.path().join("scenes/images/train");
        let pictures = Pictures::open(&[root], Layout::Folder, InputConfig::default(), None).unwrap();
        let bad = pictures
            .each::<Error>(pictures.chosen(), &mut Silent, |_| Ok(()))
            .unwrap();
        assert_eq!(bad, BadPictures::default());
        let readers = pictures.readers.lock().unwrap().len();
        assert!((1..=rayon::current_num_threads()).contains(&readers), "{readers}");
    }
}
