//! Labelled pictures that a checkpoint is measured on: the arguments of every probe that compares with label maps.

use std::path::{Path, PathBuf};

use slotcon_data::labelled::{Classes, LabelLayout, NameList, Pair, pairs};
use slotcon_data::picture::DecodeOptions;
use slotcon_eval::{Segmenter, TestSet};

use crate::arguments::OrientationArg;

/// Pictures, their label maps, and the size at which both are measured.
#[derive(Debug, clap::Args)]
pub struct LabelledArgs {
    /// Folder of pictures.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Folder of label maps.
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// index: index PNGs with the pictures' names, classes from --classes. cocostuff: COCO-Stuff pixel maps as the 27
    /// super-categories. cityscapes (leftImg8bit, gtFine; 27 classes), voc (JPEGImages, SegmentationClass; 21), ade20k (150):
    /// as they are published.
    #[arg(long, default_value_t, value_name = "NAME")]
    layout: LabelLayout,
    /// {"classes": ["sky", …], "ignore_index": 255}; if wanted also "things": so many classes, the first ones, are things,
    /// and "ids": class of every id in the files. Needed for the layout index.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Measure only the pictures that this file names, one a line without ending. cocostuff takes
    /// curated/val2017/Coco164kFull_Stuff_Coarse_7.txt beside the folder of pictures by itself.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Short side to which pictures and labels are resized before the centre is cut out.
    #[arg(long, default_value_t = 320, value_name = "PIXELS")]
    side: u32,
    /// Short side at which the network sees the pictures, if not --side: its own crops may have shown everything smaller.
    /// Labels, and the measure, stay at --side.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(33..=4096))]
    pub network_side: Option<u32>,
    #[command(flatten)]
    orientation: OrientationArg,
}

impl LabelledArgs {
    /// The classes of the label maps.
    ///
    /// # Errors
    /// A layout whose classes a file must name, and no such file; one that cannot be used.
    pub fn classes(&self) -> anyhow::Result<Classes> {
        match (&self.classes, self.layout.classes()) {
            (Some(file), _) => Ok(Classes::open(file)?),
            (None, Some(published)) => Ok(published),
            (None, None) => anyhow::bail!(
                "--layout {} needs --classes FILE: {{\"classes\": [\"sky\", …], \"ignore_index\": 255}}",
                self.layout
            ),
        }
    }

    /// Pictures of other folders with label maps of the same layout; what is left out is said.
    ///
    /// # Errors
    /// See [`pairs`].
    pub fn pairs(&self, images: &Path, labels: &Path, list: Option<&NameList>) -> anyhow::Result<Vec<Pair>> {
        let pairs = pairs(images, labels, self.layout, list)?;
        pairs.left_out.iter().for_each(|line| eprintln!("{line}"));
        Ok(pairs.all)
    }

    /// Reads all pictures with their labels, and says what one should know of them; what the protocol says of them.
    ///
    /// # Errors
    /// A folder, list or pair that cannot be used.
    pub fn open(&self, classes: Classes) -> anyhow::Result<(TestSet, String)> {
        let list = match &self.list {
            Some(file) => Some(NameList::open(file)?),
            None if self.layout == LabelLayout::CocoStuff => NameList::curated(&self.images)?,
            None => None,
        };
        let pairs = self.pairs(&self.images, &self.labels, list.as_ref())?;
        let set = TestSet::load(&pairs, classes, self.side, &self.options())?;
        set.notes().iter().for_each(|note| eprintln!("{note}"));
        let mut protocol = String::new();
        if self.layout != LabelLayout::Index {
            protocol += &format!(" ({})", self.layout);
        }
        if let Some(side) = self.network_side {
            protocol += &format!(", seen by the network at {side} px");
        }
        if let Some(list) = &list {
            protocol += &format!(", the pictures in {}", list.path().display());
        }
        Ok((set, protocol))
    }

    /// The network as it is to see the pictures.
    pub fn seen_by(&self, segmenter: Segmenter) -> Segmenter {
        match self.network_side {
            Some(side) => segmenter.with_input_size(side),
            None => segmenter,
        }
    }

    /// How files are decoded.
    pub fn options(&self) -> DecodeOptions {
        DecodeOptions {
            exif_orientation: self.orientation.exif_orientation,
            ..DecodeOptions::default()
        }
    }

    /// The short side that is measured at.
    pub fn side(&self) -> u32 {
        self.side
    }
}
