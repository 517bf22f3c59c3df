//! Pixel buffers that are used over and over.

use std::fmt::Debug;
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::PixelBuffer;

/// Memory of one pixel buffer.
pub trait BufferBytes: DerefMut<Target = [u8]> + Debug + Send {}

impl<T: DerefMut<Target = [u8]> + Debug + Send> BufferBytes for T {}

/// Makes the memory of pixel buffers, each of which is used over and over: CUDA copies from pinned memory without waiting.
pub trait BufferSource: Debug + Send + Sync {
    /// A new buffer of `size` bytes.
    fn allocate(&self, size: usize) -> Box<dyn BufferBytes>;
}

/// Ordinary memory.
#[derive(Debug)]
pub(super) struct Heap;

impl BufferSource for Heap {
    fn allocate(&self, size: usize) -> Box<dyn BufferBytes> {
        Box::new(vec![0; size])
    }
}

/// Buffers of one size that wait for their next use.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    free: Mutex<Vec<Box<dyn BufferBytes>>>,
    source: Arc<dyn BufferSource>,
}

impl Pool {
    pub(super) fn new(size: usize, source: Arc<dyn BufferSource>) -> Self {
        Self {
            size,
            free: Mutex::new(Vec::new()),
            source,
        }
    }

    /// A buffer with whatever it held before.
    pub(super) fn take(self: &Arc<Self>) -> PixelBuffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        PixelBuffer {
            bytes: Some(free.unwrap_or_else(|| self.source.allocate(self.size))),
            pool: Arc::clone(self),
        }
    }

    pub(super) fn give_back(&self, bytes: Box<dyn BufferBytes>) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}
