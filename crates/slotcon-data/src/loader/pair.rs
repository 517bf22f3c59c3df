//! Pairs of views: a picture read, decoded and made into two views that share a region.

use super::make::MakeSample;
use super::reader::Reader;
use crate::augment::{
    Augment, AugmentConfig, PairPlan, Workspace, blur_and_solarize, change_colours, crop_and_resize,
    plan_pair,
};
use crate::error::{PictureError, Result};
use crate::picture::Decoder;
use crate::rng::Stream;

/// Makes the two views of a picture, 8-bit RGB, `[side, side, 3]` each, not normalised.
#[derive(Clone, Debug)]
pub struct PairMaker {
    augment: Augment,
}

/// What belongs to a pair of views.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairInfo {
    /// For each view the region shared with the other one, x1, y1, x2, y2 in units of the view's side, after mirroring.
    pub coords: [[f32; 4]; 2],
    /// Whether each view is mirrored.
    pub flips: [bool; 2],
}

/// What is done to a picture, in order; from the third on once for each view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Read,
    Decode,
    CropResize,
    Colour,
    Blur,
}

/// The memory of a thread: it grows to the largest picture seen.
#[derive(Debug, Default)]
pub struct PairScratch {
    bytes: Vec<u8>,
    decoder: Decoder,
    workspace: Workspace,
}

impl PairMaker {
    /// A maker with these settings.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn new(config: AugmentConfig) -> Result<Self> {
        Ok(Self {
            augment: Augment::new(config)?,
        })
    }

    /// Makes the views of one picture; `done` hears of every stage that is over.
    pub(crate) fn make_timed(
        &self,
        reader: &mut Reader,
        scratch: &mut PairScratch,
        index: u32,
        random: &mut Stream,
        out: &mut [Vec<u8>],
        mut done: impl FnMut(Stage),
    ) -> std::result::Result<PairPlan, PictureError> {
        reader.read(index as usize, &mut scratch.bytes)?;
        done(Stage::Read);
        make_views(&self.augment, scratch, random, out, done)
    }
}

impl MakeSample for PairMaker {
    type Info = PairInfo;
    type Scratch = PairScratch;

    fn scratch(&self) -> PairScratch {
        PairScratch::default()
    }

    fn sample_bytes(&self) -> Vec<usize> {
        vec![self.augment.view_bytes(); 2]
    }

    fn make(
        &self,
        reader: &mut Reader,
        scratch: &mut PairScratch,
        index: u32,
        random: &mut Stream,
        out: &mut [Vec<u8>],
    ) -> std::result::Result<PairInfo, PictureError> {
        let plan = self.make_timed(reader, scratch, index, random, out, |_| ())?;
        Ok(PairInfo {
            coords: plan.coords,
            flips: plan.views.each_ref().map(|view| view.flip),
        })
    }
}

/// Makes the two views of the file in the memory's `bytes`.
fn make_views(
    augment: &Augment,
    scratch: &mut PairScratch,
    random: &mut Stream,
    out: &mut [Vec<u8>],
    mut done: impl FnMut(Stage),
) -> std::result::Result<PairPlan, PictureError> {
    let config = augment.config();
    let PairScratch {
        bytes,
        decoder,
        workspace,
    } = scratch;
    // Only what the two crops show needs to be decoded.
    let part = decoder.decode_part(bytes, &config.decode_options(), |width, height| {
        let plan = plan_pair(config, width, height, random);
        let boxes = [plan.views[0].crop, plan.views[1].crop];
        (plan, boxes)
    })?;
    done(Stage::Decode);
    let side = config.image_size;
    for (view, out) in part.plan.views.iter().zip(out) {
        let crop = view.crop.seen_from(part.top, part.left);
        crop_and_resize(&decoder.picture, &crop, view.flip, side, out, workspace);
        done(Stage::CropResize);
        change_colours(view, out, workspace);
        done(Stage::Colour);
        blur_and_solarize(view, (side, side), out, workspace);
        done(Stage::Blur);
    }
    Ok(part.plan)
}

/// Makes the two views of one picture from the bytes of its file, the way the loader does.
///
/// # Errors
/// When the bytes hold no whole picture, or one with too many pixels.
pub fn make_pair(
    bytes: &[u8],
    augment: &Augment,
    random: &mut Stream,
) -> std::result::Result<(PairPlan, [Vec<u8>; 2]), PictureError> {
    let mut scratch = PairScratch {
        bytes: bytes.to_vec(),
        ..PairScratch::default()
    };
    let mut views = [(); 2].map(|()| vec![0; augment.view_bytes()]);
    let plan = make_views(augment, &mut scratch, random, &mut views, |_| ())?;
    Ok((plan, views))
}
