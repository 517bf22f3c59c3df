//! Pixel buffers that are used over and over.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that go back to the loader when they are dropped and are filled again.
#[derive(Debug)]
pub struct PixelBuffer {
    /// `None` only while it is dropped.
    bytes: Option<Box<dyn BufferBytes>>,
    pool: Arc<Pool>,
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

    fn give_back(&self, bytes: Box<dyn BufferBytes>) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}
