//! What a batch is.

use std::path::PathBuf;

use super::pool::PixelBuffer;

/// `B` samples.
#[derive(Debug)]
pub struct Batch<I> {
    /// Epoch that the batch belongs to, from 0.
    pub epoch: u64,
    /// Global step, from 0 over all epochs.
    pub step: u64,
    /// The bytes of all samples, one after the other, in each of the maker's buffers: of pairs the two views,
    /// `[B, side, side, 3]`.
    pub pixels: Vec<PixelBuffer>,
    /// What belongs to each sample besides its bytes: `[B]`.
    pub info: Vec<I>,
    /// Number of each sample's picture in the data set: `[B]`.
    pub indices: Vec<u32>,
    /// Pictures that could not be used and were replaced.
    pub bad: Vec<BadPicture>,
}

/// A picture that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPicture {
    /// Its number in the data set.
    pub index: u32,
    /// Where it lies.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub reason: String,
}

impl std::fmt::Display for BadPicture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path.display(), self.reason)
    }
}
