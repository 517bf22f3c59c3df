//! Batches, made by threads ahead of their use, in an order that no number of threads changes. What a sample is, the maker
//! says: [`PairMaker`] makes two views of a picture, [`LabelledMaker`] a crop of a picture and its label map,
//! [`InstanceMaker`] a resized picture and its objects.

mod batch;
mod config;
mod instances;
mod labelled;
mod make;
mod pair;
mod policy;
mod pool;
mod reader;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;

pub use batch::{BadPicture, Batch};
pub use config::LoaderConfig;
pub use instances::{InstanceMaker, InstanceSample, InstanceScratch};
pub use labelled::{CropInfo, LabelledMaker, LabelledScratch};
pub use make::MakeSample;
pub(crate) use pair::Stage;
pub use pair::{PairInfo, PairMaker, PairScratch, make_pair};
pub use pool::{BufferBytes, BufferSource, PixelBuffer};
pub use reader::Reader;

use crate::error::{Error, Result};
use crate::sampler::Sampler;
use crate::source::Dataset;
use policy::BadPolicy;
use worker::Shared;

/// Hands over batches for ever, epoch after epoch.
///
/// What a batch holds is a function of the data set, the settings and its step alone: the same whatever the number of
/// threads, and, pictures taken over all ranks together, whatever the number of ranks. A picture that cannot be used is
/// replaced by another one, chosen as a function of (seed, epoch, picture).
///
/// Memory: at most `prefetch` batches here, those that the caller keeps, and for each thread one decoded picture and
/// one sample.
#[derive(Debug)]
pub struct Loader<M: MakeSample> {
    shared: Arc<Shared<M>>,
    threads: Vec<JoinHandle<()>>,
    policy: BadPolicy,
    steps_per_epoch: u64,
    ended: bool,
}

impl<M: MakeSample> Loader<M> {
    /// Starts the threads. The first batch is that of global step `first_step`; nothing before it is read.
    ///
    /// # Errors
    /// When the data set has fewer pictures than a batch over all ranks takes, or a setting cannot work.
    pub fn new(dataset: Arc<Dataset>, maker: M, config: LoaderConfig) -> Result<Self> {
        Self::with_buffers(dataset, maker, config, Arc::new(pool::Heap))
    }

    /// The same, with pixel buffers whose memory comes from `source`.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn with_buffers(
        dataset: Arc<Dataset>,
        maker: M,
        config: LoaderConfig,
        source: Arc<dyn BufferSource>,
    ) -> Result<Self> {
        let policy = BadPolicy::new(&config)?;
        if config.prefetch == 0 {
            return Err(Error::Setting {
                name: "prefetch",
                value: "0".into(),
                expected: "must be at least 1",
            });
        }
        let sampler = Sampler::new(
            dataset.len(),
            config.batch,
            config.rank,
            config.world_size,
            config.seed,
        )?
        .with_shards(dataset.shards(), config.shuffle_window);
        let sampler = match maker.groups() {
            Some(groups) => sampler.with_groups(groups)?,
            None => sampler,
        };
        let steps_per_epoch = sampler.steps_per_epoch();
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let shared = Arc::new(Shared::new(dataset, maker, &config, sampler, &source));
        let mut loader = Self {
            shared,
            threads: Vec::new(),
            policy,
            steps_per_epoch,
            ended: false,
        };
        for i in 0..threads {
            let shared = Arc::clone(&loader.shared);
            let thread = std::thread::Builder::new()
                .name(format!("loader-{i}"))
                .spawn(move || shared.work())
                .map_err(|e| Error::Stopped {
                    reason: format!("no thread could be started: {e}"),
                })?;
            loader.threads.push(thread);
        }
        Ok(loader)
    }

    /// Batches an epoch has.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Pictures tried so far, and those of them that could not be used.
    pub fn counts(&self) -> (u64, u64) {
        self.policy.counts()
    }

    /// The next batch; waits until it is made.
    ///
    /// # Errors
    /// When too many pictures cannot be used. The loader has then ended.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator would hide that an error ends it"
    )]
    pub fn next(&mut self) -> Result<Batch<M::Info>> {
        if self.ended {
            return Err(Error::Stopped {
                reason: "an earlier error ended it".into(),
            });
        }
        let taken = self.shared.take().and_then(|batch| {
            self.policy.judge(&batch)?;
            Ok(batch.into_batch())
        });
        self.ended = taken.is_err();
        taken
    }
}

impl<M: MakeSample> Drop for Loader<M> {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so through the state already.
            let _ = thread.join();
        }
    }
}
