//! Labelled crops: a picture and its label map read, decoded and made into a crop of both.

use std::sync::Arc;
use std::time::Duration;

use super::make::MakeSample;
use super::reader::Reader;
use crate::augment::semantic::{IGNORED, SemanticAugmentConfig, make_semantic, plan_semantic};
use crate::error::{Error, PictureError, Result};
use crate::labelled::{ClassTable, fit_to_picture};
use crate::picture::{Decoder, whole};
use crate::rng::Stream;
use crate::source::Dataset;

/// Makes a crop of a labelled picture: 8-bit RGB `[crop, crop, 3]`, not normalised, and a class a pixel `[crop, crop]`, 255
/// where nothing counts.
#[derive(Clone, Debug)]
pub struct LabelledMaker {
    config: SemanticAugmentConfig,
    /// The label map of each picture of the loader's data set, by the same number.
    labels: Arc<Dataset>,
    table: ClassTable,
    read_timeout: Duration,
}

/// What belongs to a labelled crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropInfo {
    /// Columns and rows of the crop that the picture fills; the rest, right of and below it, is padding.
    pub filled: (u32, u32),
}

/// The memory of a thread: it grows to the largest picture seen.
pub struct LabelledScratch {
    reader: Reader,
    bytes: Vec<u8>,
    decoder: Decoder,
    classes: Vec<u8>,
}

impl LabelledMaker {
    /// A maker with these settings; `labels` holds the label map of every picture, `table` says what their numbers mean.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn new(
        config: SemanticAugmentConfig,
        labels: Arc<Dataset>,
        table: ClassTable,
        read_timeout: Duration,
    ) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config,
            labels,
            table,
            read_timeout,
        })
    }

    fn read_classes(&self, scratch: &mut LabelledScratch, index: u32) -> Result<(u32, u32)> {
        let path = || self.labels.path(index as usize);
        let in_labels = |source| Error::Picture { path: path(), source };
        scratch
            .reader
            .read(index as usize, &mut scratch.bytes)
            .map_err(in_labels)?;
        self.table
            .decode(&scratch.bytes, &mut scratch.classes)
            .map_err(in_labels)
    }
}

impl MakeSample for LabelledMaker {
    type Info = CropInfo;
    type Scratch = LabelledScratch;

    fn scratch(&self) -> LabelledScratch {
        LabelledScratch {
            reader: Reader::new(Arc::clone(&self.labels), self.read_timeout),
            bytes: Vec::new(),
            decoder: Decoder::default(),
            classes: Vec::new(),
        }
    }

    fn sample_bytes(&self) -> Vec<usize> {
        let pixels = self.config.crop as usize * self.config.crop as usize;
        vec![pixels * 3, pixels]
    }

    fn make(
        &self,
        reader: &mut Reader,
        scratch: &mut LabelledScratch,
        index: u32,
        random: &mut Stream,
        out: &mut [Vec<u8>],
    ) -> std::result::Result<CropInfo, PictureError> {
        let labels = self.read_classes(scratch, index);
        let size = labels.map_err(|e| PictureError::Labels(e.to_string()))?;
        reader.read(index as usize, &mut scratch.bytes)?;
        let all = |width, height| ((), [whole(width, height); 2]);
        scratch
            .decoder
            .decode_part(&scratch.bytes, &self.config.decode_options(), all)?;
        let picture = &scratch.decoder.picture;
        let (map, size) = (size, (picture.width(), picture.height()));
        if !fit_to_picture(&mut scratch.classes, map, size) {
            return Err(PictureError::Labels(format!(
                "it has {}x{} pixels, its label map {} has {}x{}: other proportions",
                size.0,
                size.1,
                self.labels.path(index as usize).display(),
                map.0,
                map.1
            )));
        }
        let plan = plan_semantic(&self.config, size, &scratch.classes, random);
        let [rgb, classes] = out else {
            return Err(PictureError::Labels(format!(
                "{} buffers, there must be 2",
                out.len()
            )));
        };
        make_semantic(&plan, picture, &scratch.classes, self.config.crop, rgb, classes);
        debug_assert!(classes.iter().all(|&c| c == IGNORED || self.table.holds(c)));
        Ok(CropInfo {
            filled: (plan.region.width, plan.region.height),
        })
    }
}
