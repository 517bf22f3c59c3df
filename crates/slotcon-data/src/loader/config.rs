//! The settings of the loader.

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
            max_bad_fraction: 0.1,
            bad_grace: 100,
        }
    }
}
