//! One sample: a picture read, decoded and made into two views, or another one in its place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::batch::BadPicture;
use crate::augment::{Augment, PairPlan, Workspace, make_view, plan_pair};
use crate::error::PictureError;
use crate::picture::{Picture, decode_into, panic_text};
use crate::rng::{Purpose, Stream};
use crate::source::Dataset;

/// How many pictures are tried in the place of one.
const REPLACEMENTS: u32 = 100;

/// The memory of a thread: it is used from sample to sample and grows to the largest picture seen.
#[derive(Debug)]
pub(super) struct SampleMaker {
    bytes: Vec<u8>,
    picture: Picture,
    workspace: Workspace,
    /// The two views of the last sample made.
    pub(super) views: [Vec<u8>; 2],
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
    pub(super) fn new(augment: &Augment) -> Self {
        let view = || vec![0; augment.view_bytes()];
        Self {
            bytes: Vec::new(),
            picture: Picture::default(),
            workspace: Workspace::default(),
            views: [view(), view()],
        }
    }

    /// Makes the views of picture `index` in `epoch`, or of the first replacement that can be used.
    pub(super) fn make(
        &mut self,
        dataset: &Dataset,
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
                    .below(dataset.len() as u64) as u32,
            };
            let mut random = Stream::new(seed, epoch, index.into(), Purpose::Augment, attempt);
            let tried = catch_unwind(AssertUnwindSafe(|| {
                self.try_one(dataset, augment, chosen, &mut random)
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
                    path: dataset.path(chosen as usize),
                    reason: reason.to_string(),
                }),
            }
        }
        SampleResult { made: None, bad }
    }

    fn try_one(
        &mut self,
        dataset: &Dataset,
        augment: &Augment,
        index: u32,
        random: &mut Stream,
    ) -> Result<PairPlan, PictureError> {
        let config = augment.config();
        dataset.read(index as usize, &mut self.bytes)?;
        decode_into(&self.bytes, &config.decode_options(), &mut self.picture)?;
        let plan = plan_pair(config, self.picture.width(), self.picture.height(), random);
        for (view, out) in plan.views.iter().zip(&mut self.views) {
            make_view(&self.picture, view, config.image_size, out, &mut self.workspace);
        }
        Ok(plan)
    }
}
