//! The splits of labelled sets as their owners publish them: pictures to learn from, and pictures to measure on.

use std::path::Path;

use super::{LabelLayout, Pair, Pairs, pairs, voc};
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
    /// What lies there and is not taken, in sentences.
    pub left_out: Vec<String>,
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
        let beside = |pictures: &str, labels: &str, train: &str, val: Option<&str>| {
            let of = |name: &str| {
                let (pictures, labels) = (root.join(pictures).join(name), root.join(labels).join(name));
                pairs(&pictures, &labels, layout, None)
            };
            Ok(Self::of(of(train)?, val.map(of).transpose()?.unwrap_or_default()))
        };
        match layout {
            LabelLayout::Voc => voc::splits(root),
            LabelLayout::Cityscapes | LabelLayout::Cityscapes19 | LabelLayout::CityscapesTrainIds => {
                beside("leftImg8bit", "gtFine", "train", Some("val"))
            }
            LabelLayout::Ade20k => beside("images", "annotations", "training", Some("validation")),
            LabelLayout::Index | LabelLayout::CocoStuff => {
                let has = |name: &str| root.join("images").join(name).is_dir();
                if has("train") && has("val") {
                    return beside("images", "labels", "train", Some("val"));
                }
                let mut splits = beside("images", "labels", if has("train") { "train" } else { "" }, None)?;
                splits.notes.push(format!(
                    "{} has no images/train and images/val: nothing is measured while it learns",
                    root.display()
                ));
                Ok(splits)
            }
        }
    }

    /// The splits that were found as `train` and `val`.
    pub fn of(train: Pairs, mut val: Pairs) -> Self {
        let mut left_out = train.left_out;
        // Both may lie in one folder.
        val.left_out.retain(|line| !left_out.contains(line));
        left_out.append(&mut val.left_out);
        Self {
            train: train.all,
            val: val.all,
            notes: Vec::new(),
            left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
