//! The arrangements of folders that are understood.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Selection;
use super::folder::{Found, Walk, list_below, subfolders};
use crate::error::{Error, Result};

/// How the pictures of a data set are arranged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Any folder: all pictures below it.
    #[default]
    Folder,
    /// COCO as published: the pictures in `train2017`.
    Coco,
    /// COCO+: the pictures in `train2017`, then those in `unlabeled2017`.
    #[serde(alias = "coco+", alias = "coco_plus")]
    CocoPlus,
    /// ImageNet as published: the pictures in `train/<class>/`.
    ImageNet,
}

impl Layout {
    /// The name by which a recipe asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Coco => "coco",
            Self::CocoPlus => "cocoplus",
            Self::ImageNet => "imagenet",
        }
    }

    /// Appends the pictures of one root, sorted.
    pub(super) fn list(self, root: &Path, selection: &Selection, found: &mut Found) -> Result<()> {
        match self {
            Self::Folder => list_below(root, Walk::Deep, selection, found),
            Self::Coco => self.list_part(root, "train2017", selection, found),
            Self::CocoPlus => {
                self.list_part(root, "train2017", selection, found)?;
                self.list_part(root, "unlabeled2017", selection, found)
            }
            Self::ImageNet => {
                let train = self.part(root, "train")?;
                for class in subfolders(&train)? {
                    list_below(&class, Walk::Flat, selection, found)?;
                }
                Ok(())
            }
        }
    }

    fn list_part(
        self,
        root: &Path,
        name: &'static str,
        selection: &Selection,
        found: &mut Found,
    ) -> Result<()> {
        let part = self.part(root, name)?;
        let before = found.paths.len();
        list_below(&part, Walk::Flat, selection, found)?;
        if found.paths.len() == before {
            return Err(Error::NoPictures {
                path: part,
                left_out: found.left_out.lines(),
            });
        }
        Ok(())
    }

    fn part(self, root: &Path, name: &'static str) -> Result<std::path::PathBuf> {
        let part = root.join(name);
        if part.is_dir() {
            return Ok(part);
        }
        let expected = match name {
            "train2017" => "the folder train2017",
            "unlabeled2017" => "the folder unlabeled2017",
            _ => "the folder train with one folder a class",
        };
        Err(Error::Layout {
            path: root.into(),
            layout: self.name(),
            expected,
        })
    }
}
