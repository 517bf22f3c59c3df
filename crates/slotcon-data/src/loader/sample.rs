//! One sample: a picture read, decoded and made into two views, or another one in its place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::batch::BadPicture;
use super::reader::Reader;
use crate::augment::{
    Augment, PairPlan, Workspace, blur_and_solarize, change_colours, crop_and_resize, plan_pair,
};
use crate::error::PictureError;
use crate::picture::{Decoder, panic_text};
use crate::rng::{Purpose, Stream};

/// How many pictures are tried in the place of one.
const REPLACEMENTS: u32 = 100;

/// What is done to a picture, in order; from the third on once for each view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Read,
    Decode,
    CropResize,
    Colour,
    Blur,
}

/// The memory of a thread: it is used from sample to sample and grows to the largest picture seen.
#[derive(Debug)]
pub(crate) struct SampleMaker {
    bytes: Vec<u8>,
    decoder: Decoder,
    workspace: Workspace,
    /// The two views of the last sample made.
    pub(crate) views: [Vec<u8>; 2],
}

/// What was made of a sample.
#[derive(Debug)]
pub(super) struct SampleResult {
    /// The picture used and its plan; none when no replacement could be used either.
    pub(super) made: Option<(u32, PairPlan)>,
    /// Those that could not be used.
    pub(super) bad: Vec<BadPicture>,
}

impl SampleMaker {
    pub(crate) fn new(augment: &Augment) -> Self {
        let view = || vec![0; augment.view_bytes()];
        Self {
            bytes: Vec::new(),
            decoder: Decoder::default(),
            workspace: Workspace::default(),
            views: [view(), view()],
        }
    }

    /// Makes the views of picture `index` in `epoch`, or of the first replacement that can be used.
    pub(super) fn make(
        &mut self,
        reader: &mut Reader,
        augment: &Augment,
        seed: u64,
        epoch: u64,
        index: u32,
    ) -> SampleResult {
        let mut bad = Vec::new();
        for attempt in 0..=REPLACEMENTS {
            let chosen = match attempt {
                0 => index,
                _ => Stream::new(seed, epoch, index.into(), Purpose::Replace, attempt)
                    .below(reader.dataset().len() as u64) as u32,
            };
            let mut random = Stream::new(seed, epoch, index.into(), Purpose::Augment, attempt);
            let tried = catch_unwind(AssertUnwindSafe(|| {
                self.try_one(reader, augment, chosen, &mut random, |_| ())
            }));
            let tried = tried.unwrap_or_else(|cause| {
                // Half-done work is not built upon.
                *self = Self::new(augment);
                Err(PictureError::Panic(panic_text(cause.as_ref())))
            });
            match tried {
                Ok(plan) => {
                    return SampleResult {
                        made: Some((chosen, plan)),
                        bad,
                    };
                }
                Err(reason) => bad.push(BadPicture {
                    index: chosen,
                    path: reader.dataset().path(chosen as usize),
                    reason: reason.to_string(),
                }),
            }
        }
        SampleResult { made: None, bad }
    }

    /// Makes the views of one picture; `done` hears of every stage that is over.
    pub(crate) fn try_one(
        &mut self,
        reader: &mut Reader,
        augment: &Augment,
        index: u32,
        random: &mut Stream,
        mut done: impl FnMut(Stage),
    ) -> Result<PairPlan, PictureError> {
        reader.read(index as usize, &mut self.bytes)?;
        done(Stage::Read);
        self.make_views(augment, random, done)
    }

    /// Makes the views of the file in `bytes`.
    fn make_views(
        &mut self,
        augment: &Augment,
        random: &mut Stream,
        mut done: impl FnMut(Stage),
    ) -> Result<PairPlan, PictureError> {
        let config = augment.config();
        // Only what the two crops show needs to be decoded.
        let part = self
            .decoder
            .decode_part(&self.bytes, &config.decode_options(), |width, height| {
                let plan = plan_pair(config, width, height, random);
                let boxes = [plan.views[0].crop, plan.views[1].crop];
                (plan, boxes)
            })?;
        done(Stage::Decode);
        let side = config.image_size;
        for (view, out) in part.plan.views.iter().zip(&mut self.views) {
            let crop = view.crop.seen_from(part.top, part.left);
            crop_and_resize(
                &self.decoder.picture,
                &crop,
                view.flip,
                side,
                out,
                &mut self.workspace,
            );
            done(Stage::CropResize);
            change_colours(view, out, &mut self.workspace);
            done(Stage::Colour);
            blur_and_solarize(view, side, out, &mut self.workspace);
            done(Stage::Blur);
        }
        Ok(part.plan)
    }
}

/// Makes the two views of one picture from the bytes of its file, the way the loader does.
///
/// # Errors
/// When the bytes hold no whole picture, or one with too many pixels.
pub fn make_pair(
    bytes: &[u8],
    augment: &Augment,
    random: &mut Stream,
) -> Result<(PairPlan, [Vec<u8>; 2]), PictureError> {
    let mut maker = SampleMaker::new(augment);
    maker.bytes.extend_from_slice(bytes);
    let plan = maker.make_views(augment, random, |_| ())?;
    Ok((plan, maker.views))
}
