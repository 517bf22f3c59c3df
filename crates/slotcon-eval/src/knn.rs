//! k-nearest-neighbour classification of whole pictures: what a backbone is worth before anything is trained on it.
//!
//! As DINO and its successors measure: short side 256 (bicubic), central square of 224 pixels, the backbone's last map averaged over
//! all positions, cosine, votes of exp(cosine/0.07).

use std::path::{Path, PathBuf};

use slotcon_data::resize::{CenterSquare, Filter};
use slotcon_data::{Layout, Picture};
use slotcon_metrics::neighbours::{KnnAccuracy, KnnCount, Vote};
use tch::Tensor;

use crate::error::Error;
use crate::neighbours::{Likeness, Memory};
use crate::pictures::{BadPictures, InputConfig, Pictures, ProgressSink};
use crate::segment::Segmenter;

/// The short side that pictures are resized to.
pub const SHORT_SIDE: u32 = 256;
/// The central square that the network sees.
pub const CROP: u32 = 224;
/// The published temperature of the votes.
pub const TEMPERATURE: f64 = 0.07;
/// Pictures that pass the network at a time.
const BATCH: usize = 16;

/// Pictures below a folder whose subfolders are their classes.
#[derive(Debug)]
pub struct ClassFolder {
    pictures: Pictures,
    /// Names of the classes, sorted.
    classes: Vec<String>,
    /// Class of every picture.
    class_of: Vec<usize>,
}

impl ClassFolder {
    /// The pictures below `root`: a picture's class is the folder in `root` that it lies in, at any depth.
    ///
    /// # Errors
    /// A folder that is missing or holds no picture; a picture in `root` itself, which has no class.
    pub fn open(root: &Path, exif_orientation: bool) -> Result<Self, Error> {
        let input = InputConfig {
            side: SHORT_SIDE,
            square: Some(CenterSquare {
                side: CROP,
                filter: Filter::Bicubic,
            }),
            exif_orientation,
            ..InputConfig::default()
        };
        let pictures = Pictures::open(&[PathBuf::from(root)], Layout::Folder, input, None)?;
        let class = |index: &usize| {
            let name = pictures.name(*index);
            let mut parts = name.components();
            match (parts.next(), parts.next()) {
                (Some(class), Some(_)) => Ok(class.as_os_str().to_string_lossy().into_owned()),
                _ => Err(Error::Argument(format!(
                    "{}: lies in no class; expected {}/CLASS/PICTURE",
                    root.join(&name).display(),
                    root.display()
                ))),
            }
        };
        let names: Vec<String> = pictures.chosen().iter().map(class).collect::<Result<_, _>>()?;
        let mut classes = names.clone();
        classes.sort();
        classes.dedup();
        let number = |name: &String| classes.binary_search(name).unwrap_or_default();
        Ok(Self {
            class_of: names.iter().map(number).collect(),
            classes,
            pictures,
        })
    }

    /// Names of the classes, sorted.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The pictures.
    pub fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// What `segmenter`'s backbone makes of them. A picture that cannot be used is told to `progress` and left out.
    ///
    /// # Errors
    /// No picture that can be used; a failure of libtorch, such as too little memory.
    pub fn embed(&self, segmenter: &Segmenter, progress: &mut dyn ProgressSink) -> Result<Embedded, Error> {
        let (mut rows, mut classes) = (Vec::new(), Vec::new());
        let mut waiting: Vec<Picture> = Vec::with_capacity(BATCH);
        progress.begin("embedding", self.pictures.chosen().len());
        let bad = self
            .pictures
            .each::<Error>(self.pictures.chosen(), progress, |seen| {
                classes.push(self.class_of[seen.index]);
                waiting.push(seen.picture);
                if waiting.len() == BATCH {
                    rows.push(segmenter.pooled(&std::mem::take(&mut waiting))?);
                }
                Ok(())
            })?;
        if !waiting.is_empty() {
            rows.push(segmenter.pooled(&waiting)?);
        }
        if rows.is_empty() {
            return Err(Error::no_picture(bad));
        }
        Ok(Embedded {
            rows: Tensor::f_cat(&rows, 0)?,
            classes,
            bad,
        })
    }
}

/// One row a picture.
#[derive(Debug)]
pub struct Embedded {
    /// `[N, C]`
    pub rows: Tensor,
    /// Class of every row.
    pub classes: Vec<usize>,
    /// Pictures that could not be used and have no row.
    pub bad: BadPictures,
}

/// Accuracy of the classes that neighbours among `memory` give to `queries`, for each of `ks` numbers of neighbours.
///
/// # Errors
/// A memory smaller than the largest of `ks`; a failure of libtorch, such as too little memory.
pub fn measure(
    (memory, memory_classes): (&Tensor, &[usize]),
    (queries, query_classes): (&Tensor, &[usize]),
    classes: usize,
    ks: Vec<usize>,
    temperature: f64,
) -> Result<Vec<KnnAccuracy>, Error> {
    let mut count = KnnCount::new(Vote::Softmax(temperature), classes, ks);
    let nearest = Memory::new(memory, Likeness::Cosine)?.nearest(queries, count.most())?;
    for (&class, (rows, cosines)) in query_classes.iter().zip(nearest.each()) {
        let theirs: Vec<usize> = rows.iter().map(|&row| memory_classes[row]).collect();
        count.add(class, &theirs, cosines);
    }
    Ok(count.accuracy()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        for class in ["b", "a"] {
            std::fs::create_dir_all(&root).unwrap();
            let scenes = folder.path().join(class);
            slotcon_data::scenes::write_folder(&scenes, 1, 2, 1, 32).unwrap();
            std::fs::rename(scenes.join("images"), root.join(class)).unwrap();
        }
        let found = ClassFolder::open(&root, false).unwrap();
        assert_eq!(found.classes(), ["a", "b"]);
        assert_eq!(found.class_of, [0, 0, 0, 1, 1, 1]);
        let seen = found.pictures().load(0).unwrap().picture;
        assert_eq!((seen.width(), seen.height()), (CROP, CROP));

        std::fs::copy(root.join("a/val/000002.png"), root.join("stray.png")).unwrap();
        let error = ClassFolder::open(&root, false).unwrap_err().to_string();
        assert!(error.contains("stray.png") && error.contains("CLASS"), "{error}");
    }
}
