//! Pictures with their objects, each of its own size.

use std::sync::Arc;

use super::make::MakeSample;
use super::reader::Reader;
use crate::annotations::AnnotatedPicture;
use crate::augment::instances::{InstanceAugmentConfig, InstancePlan, PlacedObject};
use crate::error::{PictureError, Result};
use crate::picture::{Decoder, Picture, whole};
use crate::rng::Stream;

/// Makes a resized picture with its objects. Pictures differ in size: they travel as [`InstanceSample`].
#[derive(Clone, Debug)]
pub struct InstanceMaker {
    config: InstanceAugmentConfig,
    /// By the number of the loader's data set.
    pictures: Arc<Vec<AnnotatedPicture>>,
}

/// A picture and its objects.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSample {
    /// The picture as the network sees it.
    pub picture: Picture,
    /// Its objects; after a replacement or a cut there may be none.
    pub objects: Vec<PlacedObject>,
}

/// The memory of a thread.
pub struct InstanceScratch {
    bytes: Vec<u8>,
    decoder: Decoder,
}

impl InstanceMaker {
    /// A maker with these settings of these pictures, which are those of the loader's data set by number.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn new(config: InstanceAugmentConfig, pictures: Arc<Vec<AnnotatedPicture>>) -> Result<Self> {
        config.check()?;
        Ok(Self { config, pictures })
    }
}

impl MakeSample for InstanceMaker {
    type Info = InstanceSample;
    type Scratch = InstanceScratch;

    fn scratch(&self) -> InstanceScratch {
        InstanceScratch {
            bytes: Vec::new(),
            decoder: Decoder::default(),
        }
    }

    fn sample_bytes(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Landscape or portrait, so that little is padded (detectron2's `ASPECT_RATIO_GROUPING`).
    fn groups(&self) -> Option<Arc<Vec<u8>>> {
        let kinds = self.pictures.iter().map(|p| u8::from(p.width <= p.height));
        Some(Arc::new(kinds.collect()))
    }

    fn make(
        &self,
        reader: &mut Reader,
        scratch: &mut InstanceScratch,
        index: u32,
        random: &mut Stream,
        _: &mut [Vec<u8>],
    ) -> std::result::Result<InstanceSample, PictureError> {
        let annotated = &self.pictures[index as usize];
        reader.read(index as usize, &mut scratch.bytes)?;
        let all = |width, height| ((), [whole(width, height); 2]);
        scratch
            .decoder
            .decode_part(&scratch.bytes, &self.config.decode_options(), all)?;
        let picture = &scratch.decoder.picture;
        let size = (picture.width(), picture.height());
        if size != (annotated.width, annotated.height) {
            return Err(PictureError::Labels(format!(
                "has {}x{} pixels, the annotation file says {}x{}",
                size.0, size.1, annotated.width, annotated.height
            )));
        }
        let plan = InstancePlan::draw(&self.config, size, random);
        Ok(InstanceSample {
            picture: plan.picture(picture),
            objects: plan.objects(annotated, self.config.bitmask),
        })
    }
}
