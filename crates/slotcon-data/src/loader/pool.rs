//! Pixel buffers that are used over and over.

use std::sync::{Arc, Mutex, PoisonError};

use super::batch::PixelBuffer;

/// Buffers of one size that wait for their next use.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            free: Mutex::new(Vec::new()),
        }
    }

    /// A buffer with whatever it held before.
    pub(super) fn take(self: &Arc<Self>) -> PixelBuffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        PixelBuffer {
            bytes: free.unwrap_or_else(|| vec![0; self.size]),
            pool: Arc::clone(self),
        }
    }

    pub(super) fn give_back(&self, bytes: Vec<u8>) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}
