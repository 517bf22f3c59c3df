//! The splits of labelled sets as their owners publish them: pictures to learn from, and pictures to measure on.

use std::path::{Path, PathBuf};

use super::{LabelLayout, Pair, pairs, voc};
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
    /// | voc (the folder `VOC2012`) | `ImageSets/Segmentation/train.txt` with `SegmentationClass` and, if there, the augmented set: `aug.txt`, else SBD's lists without VOC's own pictures, with `SegmentationClassAug` or SBD's `.mat` files (`benchmark_RELEASE/dataset` in, beside or above the folder) | `val.txt` |
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
            LabelLayout::Voc => voc::splits(root),
            LabelLayout::Cityscapes | LabelLayout::Cityscapes19 | LabelLayout::CityscapesTrainIds => {
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
