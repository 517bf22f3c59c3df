//! How a sample is made: the one thing that differs between loading pairs of views, labelled pictures and whatever else is
//! trained on. Order, threads, memory, resuming and the counting of bad pictures are the loader's for all of them.

use std::fmt::Debug;
use std::sync::Arc;

use super::batch::BadPicture;
use super::reader::Reader;
use crate::error::PictureError;
use crate::rng::{Purpose, Stream};

/// How many pictures are tried in the place of one.
const REPLACEMENTS: u32 = 100;

/// Makes samples of pictures, on each of the loader's threads.
pub trait MakeSample: Debug + Send + Sync + 'static {
    /// What belongs to a sample besides its bytes: boxes, flips, sizes.
    type Info: Debug + Send + 'static;
    /// The memory of a thread, used from sample to sample.
    type Scratch: Send;

    /// Fresh memory for a thread.
    fn scratch(&self) -> Self::Scratch;

    /// Bytes that a sample takes in each buffer of a batch. Empty where samples differ in size: they travel as
    /// [`MakeSample::Info`] then.
    fn sample_bytes(&self) -> Vec<usize>;

    /// The kind of each picture, if those of a step should be of one kind; see [`crate::sampler::Sampler::with_groups`].
    fn groups(&self) -> Option<Arc<Vec<u8>>> {
        None
    }

    /// Makes the sample of picture `index`: fills `out`, one piece of [`MakeSample::sample_bytes`] for each buffer. All that
    /// is random comes from `random`.
    ///
    /// # Errors
    /// A picture that cannot be used; another one takes its place.
    fn make(
        &self,
        reader: &mut Reader,
        scratch: &mut Self::Scratch,
        index: u32,
        random: &mut Stream,
        out: &mut [Vec<u8>],
    ) -> Result<Self::Info, PictureError>;
}

/// A thread's maker with its memory.
pub(super) struct Maker<'a, M: MakeSample> {
    make: &'a M,
    scratch: M::Scratch,
    /// The bytes of the last sample made.
    pub(super) out: Vec<Vec<u8>>,
}

/// What came of a sample.
#[derive(Debug)]
pub(super) struct Made<I> {
    /// The picture used and what belongs to it; none when no replacement could be used either.
    pub(super) sample: Option<(u32, I)>,
    /// Those that could not be used.
    pub(super) bad: Vec<BadPicture>,
}

impl<'a, M: MakeSample> Maker<'a, M> {
    pub(super) fn new(make: &'a M) -> Self {
        Self {
            make,
            scratch: make.scratch(),
            out: make.sample_bytes().into_iter().map(|n| vec![0; n]).collect(),
        }
    }

    /// Makes the sample of picture `index` in `epoch`, or of the first replacement that can be used: a function of `seed`,
    /// `epoch` and `index` alone.
    pub(super) fn make(&mut self, reader: &mut Reader, seed: u64, epoch: u64, index: u32) -> Made<M::Info> {
        let mut bad = Vec::new();
        for attempt in 0..=REPLACEMENTS {
            let chosen = match attempt {
                0 => index,
                _ => Stream::new(seed, epoch, index.into(), Purpose::Replace, attempt)
                    .below(reader.dataset().len() as u64) as u32,
            };
            let mut random = Stream::new(seed, epoch, index.into(), Purpose::Augment, attempt);
            let tried = crate::caught::catch(|| {
                self.make
                    .make(reader, &mut self.scratch, chosen, &mut random, &mut self.out)
            });
            let tried = tried.unwrap_or_else(|text| {
                // Half-done work is not built upon.
                *self = Self::new(self.make);
                Err(PictureError::Panic(text))
            });
            match tried {
                Ok(info) => {
                    return Made {
                        sample: Some((chosen, info)),
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
        Made { sample: None, bad }
    }
}
