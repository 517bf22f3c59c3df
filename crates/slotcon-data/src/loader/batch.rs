//! What a batch is.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

use super::pool::{BufferBytes, Pool};

/// Two views of each of `B` pictures.
#[derive(Debug)]
pub struct PairedBatch {
    /// Epoch that the batch belongs to, from 0.
    pub epoch: u64,
    /// Global step, from 0 over all epochs.
    pub step: u64,
    /// The two views; sample `i` of both shows the same picture.
    pub views: [ViewBatch; 2],
    /// Number of each sample's picture in the data set.
    pub indices: Vec<u32>,
    /// Pictures that could not be used and were replaced.
    pub bad: Vec<BadPicture>,
}

/// One view of each picture of a batch.
#[derive(Debug)]
pub struct ViewBatch {
    /// 8-bit RGB, `[B, side, side, 3]`, not normalised.
    pub pixels: PixelBuffer,
    /// The region shared with the other view, x1, y1, x2, y2 in units of the view's side, after mirroring: `[B, 4]`.
    pub coords: Vec<[f32; 4]>,
    /// Whether the view is mirrored: `[B]`.
    pub flips: Vec<bool>,
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

/// Bytes that go back to the loader when they are dropped and are filled again.
#[derive(Debug)]
pub struct PixelBuffer {
    /// `None` only while it is dropped.
    pub(super) bytes: Option<Box<dyn BufferBytes>>,
    pub(super) pool: Arc<Pool>,
}

impl Deref for PixelBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().map_or(&[], |bytes| bytes)
    }
}

impl DerefMut for PixelBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().map_or(&mut [], |bytes| bytes)
    }
}

impl Drop for PixelBuffer {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.pool.give_back(bytes);
        }
    }
}
