//! The settings of the loader.

use std::time::Duration;

/// How batches are put together.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Pictures in a batch of this rank.
    pub batch: usize,
    /// This process among `world_size`.
    pub rank: usize,
    /// Number of processes that share the data set.
    pub world_size: usize,
    /// Threads that decode and augment; 0 takes as many as the machine has cores.
    pub threads: usize,
    /// Batches that may be ready or in the making ahead of their use. Bounds the memory; 2 keep a trainer fed that takes
    /// batches at a steady pace, more help where reading is uneven.
    pub prefetch: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Global step of the first batch.
    pub first_step: u64,
    /// Pictures of tar files are shuffled within a window of so many, see [`crate::sampler::Sampler::with_shards`].
    pub shuffle_window: usize,
    /// A picture that is not read within this time counts as one that cannot be used, so that a file system that stalls
    /// on one file does not stop the run. Zero waits for ever.
    pub read_timeout: Duration,
    /// The run ends when more than this fraction of the pictures tried cannot be used,
    pub max_bad_fraction: f64,
    /// once this many have been tried.
    pub bad_grace: u64,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch: 64,
            rank: 0,
            world_size: 1,
            threads: 0,
            prefetch: 2,
            seed: 0,
            first_step: 0,
            shuffle_window: 2000,
            read_timeout: Duration::ZERO,
            max_bad_fraction: 0.1,
            bad_grace: 100,
        }
    }
}
