//! The splits of labelled sets as their owners publish them: pictures to learn from, and pictures to measure on.

use std::path::{Path, PathBuf};

use super::{LabelLayout, NameList, Pair, pairs};
use crate::error::Error;

/// Pairs of a labelled set by their use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splits {
    /// To learn from.
    pub train: Vec<Pair>,
    /// To measure on; empty where the set has no such split.
    pub val: Vec<Pair>,
    /// What is worth knowing, in sentences.
    pub notes: Vec<String>,
}

impl Splits {
    /// The splits of the set in `root`.
    ///
    /// | layout | to learn from | to measure on |
    /// |---|---|---|
    /// | index, cocostuff | `images/train`, `labels/train`; else `images`, `labels` | `images/val`, `labels/val`, if there |
    /// | voc (the folder `VOC2012`) | `ImageSets/Segmentation/train.txt` with `SegmentationClass` and, if there, `aug.txt` with `SegmentationClassAug` | `val.txt` |
    /// | cityscapes, cityscapes19 | `leftImg8bit/train`, `gtFine/train` | the same with `val` |
    /// | ade20k | `images/training`, `annotations/training` | the same with `validation` |
    ///
    /// # Errors
    /// A folder that is missing or empty; a picture without labels, in layouts where all have some; a list that names nothing or
    /// something that is not there.
    pub fn open(root: &Path, layout: LabelLayout) -> Result<Self, Error> {
        let of = |pictures: PathBuf, labels: PathBuf| {
            pairs(&root.join(pictures), &root.join(labels), layout, None)
        };
        match layout {
            LabelLayout::Voc => Self::voc(root),
            LabelLayout::Cityscapes | LabelLayout::Cityscapes19 => {
                let split = |name| {
                    of(
                        Path::new("leftImg8bit").join(name),
                        Path::new("gtFine").join(name),
                    )
                };
                Ok(Self {
                    train: split("train")?,
                    val: split("val")?,
                    notes: Vec::new(),
                })
            }
            LabelLayout::Ade20k => {
                let split = |name| {
                    of(
                        Path::new("images").join(name),
                        Path::new("annotations").join(name),
                    )
                };
                Ok(Self {
                    train: split("training")?,
                    val: split("validation")?,
                    notes: Vec::new(),
                })
            }
            LabelLayout::Index | LabelLayout::CocoStuff => {
                let is_split = root.join("images/train").is_dir();
                let split = |name| of(Path::new("images").join(name), Path::new("labels").join(name));
                let has_val = root.join("images/val").is_dir();
                Ok(Self {
                    train: split(if is_split { "train" } else { "" })?,
                    val: if is_split && has_val {
                        split("val")?
                    } else {
                        Vec::new()
                    },
                    notes: if is_split && has_val {
                        Vec::new()
                    } else {
                        vec![format!(
                            "{} has no images/train and images/val: nothing is measured while it learns",
                            root.display()
                        )]
                    },
                })
            }
        }
    }

    fn voc(root: &Path) -> Result<Self, Error> {
        let lists = root.join("ImageSets/Segmentation");
        let pictures = root.join("JPEGImages");
        let split = |list: &str, labels: &str| {
            let list = NameList::open(&lists.join(list))?;
            pairs(&pictures, &root.join(labels), LabelLayout::Voc, Some(&list))
        };
        let mut splits = Self {
            train: split("train.txt", "SegmentationClass")?,
            val: split("val.txt", "SegmentationClass")?,
            notes: Vec::new(),
        };
        if lists.join("aug.txt").is_file() {
            splits.train.extend(split("aug.txt", "SegmentationClassAug")?);
        } else {
            splits.notes.push(format!(
                "{} is not there: only the {} pictures of train.txt are learned from; the augmented set has 10,582",
                lists.join("aug.txt").display(),
                splits.train.len()
            ));
        }
        Ok(splits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: PathBuf) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"\x89PNG\r\n\x1a\n").unwrap();
    }

    fn names(pairs: &[Pair]) -> Vec<String> {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        pairs.iter().map(|pair| name(&pair.picture)).collect()
    }

    #[test]
    fn voc_takes_the_augmented_list_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "b", "c"] {
            touch(at(&format!("JPEGImages/{name}.jpg")));
        }
        touch(at("SegmentationClass/a.png"));
        touch(at("SegmentationClass/c.png"));
        touch(at("SegmentationClassAug/b.png"));
        std::fs::create_dir_all(at("ImageSets/Segmentation")).unwrap();
        std::fs::write(at("ImageSets/Segmentation/train.txt"), "a\n").unwrap();
        std::fs::write(at("ImageSets/Segmentation/val.txt"), "c\n").unwrap();
        let plain = Splits::open(folder.path(), LabelLayout::Voc).unwrap();
        assert_eq!(
            (names(&plain.train), names(&plain.val)),
            (vec!["a.jpg".into()], vec!["c.jpg".into()])
        );
        assert!(plain.notes[0].contains("aug.txt"), "{:?}", plain.notes);
        std::fs::write(at("ImageSets/Segmentation/aug.txt"), "b\n").unwrap();
        let augmented = Splits::open(folder.path(), LabelLayout::Voc).unwrap();
        assert_eq!(names(&augmented.train), ["a.jpg", "b.jpg"]);
        std::fs::write(at("ImageSets/Segmentation/val.txt"), "\n").unwrap();
        let empty = Splits::open(folder.path(), LabelLayout::Voc)
            .unwrap_err()
            .to_string();
        assert!(
            empty.contains("val.txt") && empty.contains("names no picture"),
            "{empty}"
        );
    }

    #[test]
    fn an_index_folder_may_have_splits_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        touch(at("images/a.png"));
        touch(at("labels/a.png"));
        let whole = Splits::open(folder.path(), LabelLayout::Index).unwrap();
        assert_eq!((whole.train.len(), whole.val.len(), whole.notes.len()), (1, 0, 1));
        for split in ["train", "val"] {
            touch(at(&format!("images/{split}/{split}.png")));
            touch(at(&format!("labels/{split}/{split}.png")));
        }
        let split = Splits::open(folder.path(), LabelLayout::Index).unwrap();
        assert_eq!(
            (names(&split.train), names(&split.val)),
            (vec!["train.png".into()], vec!["val.png".into()])
        );
        std::fs::remove_file(at("labels/val/val.png")).unwrap();
        assert!(Splits::open(folder.path(), LabelLayout::Index).is_err());
    }
}
