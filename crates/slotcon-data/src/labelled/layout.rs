//! How published data sets lay out their pictures and labels.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Classes, published};
use crate::source::{Dataset, Layout};

/// Where the label map of a picture is, and what its numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelLayout {
    /// Index PNGs with the pictures' names; a file says what the classes are.
    #[default]
    Index,
    /// COCO-Stuff pixel maps (fine ids 0 to 181, 255 unlabelled) with the pictures' names, as the 27 super-categories that
    /// PiCIE and the papers after it measure.
    CocoStuff,
    /// Cityscapes: `CITY/NAME_leftImg8bit.png` and `CITY/NAME_gtFine_labelIds.png`, the 27 classes from road (7) to bicycle
    /// (33).
    Cityscapes,
    /// The same files as the 19 classes that Cityscapes itself measures; every other id counts for nothing.
    Cityscapes19,
    /// The 19 classes from `CITY/NAME_gtFine_labelTrainIds.png`, which Cityscapes' own scripts make of the polygons.
    CityscapesTrainIds,
    /// PASCAL VOC: `JPEGImages` and `SegmentationClass`, 21 classes with the background. Pictures without a map are left out.
    Voc,
    /// ADE20K as SceneParsing publishes it: 150 classes, 0 is none of them.
    Ade20k,
}

impl LabelLayout {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Index,
        Self::CocoStuff,
        Self::Cityscapes,
        Self::Cityscapes19,
        Self::CityscapesTrainIds,
        Self::Voc,
        Self::Ade20k,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::CocoStuff => "cocostuff",
            Self::Cityscapes => "cityscapes",
            Self::Cityscapes19 => "cityscapes19",
            Self::CityscapesTrainIds => "cityscapes-trainids",
            Self::Voc => "voc",
            Self::Ade20k => "ade20k",
        }
    }

    /// Its classes; `None` where a file must say.
    pub fn classes(self) -> Option<Classes> {
        match self {
            Self::Index => None,
            Self::CocoStuff => Some(published::cocostuff27()),
            Self::Cityscapes => Some(published::cityscapes27()),
            Self::Cityscapes19 => Some(published::cityscapes19()),
            Self::CityscapesTrainIds => Some(published::cityscapes_train_ids()),
            Self::Voc => Some(published::voc()),
            Self::Ade20k => Some(published::ade20k()),
        }
    }

    /// What a picture and its label map have in common, from the picture's path below its folder; `None` for a file that is no
    /// picture of the set.
    pub(super) fn of_picture(self, path: &Path) -> Option<PathBuf> {
        match self {
            Self::Cityscapes | Self::Cityscapes19 | Self::CityscapesTrainIds => without(path, "_leftImg8bit"),
            _ => Some(path.with_extension("")),
        }
    }

    /// The same from the label map's path.
    pub(super) fn of_labels(self, path: &Path) -> Option<PathBuf> {
        match self {
            Self::Cityscapes | Self::Cityscapes19 => without(path, "_gtFine_labelIds"),
            Self::CityscapesTrainIds => without(path, "_gtFine_labelTrainIds"),
            _ => Some(path.with_extension("")),
        }
    }

    /// What is learned of a set in `root`: of Cityscapes the 19 classes that it measures itself, from `labelIds` where there are any,
    /// else from `labelTrainIds`.
    pub fn to_learn(self, root: &Path) -> Self {
        if self != Self::Cityscapes {
            return self;
        }
        let folder = root.join("gtFine");
        let holds = |layout: Self| {
            let maps = Dataset::open(std::slice::from_ref(&folder), Layout::Folder);
            maps.is_ok_and(|maps| (0..maps.len()).any(|i| layout.of_labels(&maps.path(i)).is_some()))
        };
        match !holds(Self::Cityscapes19) && holds(Self::CityscapesTrainIds) {
            true => Self::CityscapesTrainIds,
            false => Self::Cityscapes19,
        }
    }

    /// Whether a label map without a picture is a mistake: COCO-Stuff's are published for more pictures than most people have.
    pub(super) fn is_labelled_throughout(self) -> bool {
        self != Self::CocoStuff
    }

    /// Whether a picture without a label map is a mistake.
    pub(super) fn is_complete(self) -> bool {
        self != Self::Voc
    }
}

/// The path without extension and without what its name must end in.
fn without(path: &Path, ending: &str) -> Option<PathBuf> {
    let name = path.file_stem()?.to_str()?.strip_suffix(ending)?;
    Some(path.with_file_name(name))
}

impl std::fmt::Display for LabelLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LabelLayout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|layout| layout.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|layout| layout.name()).collect();
            format!("'{text}' is no layout of labels; there are {}", names.join(", "))
        })
    }
}
