//! Pixel buffers that are used over and over.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that go back to the loader when they are dropped and are filled again: their address never changes, so that
/// they can be pinned once.
#[derive(Debug)]
pub struct PixelBuffer {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Deref for PixelBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for PixelBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for PixelBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

/// Told of every pixel buffer, so that it can be prepared once: CUDA copies from pinned memory without waiting.
pub trait BufferHook: Debug + Send + Sync {
    /// A buffer has come into being. Its address stays the same until it is freed.
    fn allocated(&self, bytes: &mut [u8]);
    /// A buffer will be gone after this call.
    fn freed(&self, bytes: &mut [u8]);
}

/// Buffers of one size that wait for their next use.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    free: Mutex<Vec<Vec<u8>>>,
    hook: Option<Arc<dyn BufferHook>>,
}

impl Pool {
    pub(super) fn new(size: usize, hook: Option<Arc<dyn BufferHook>>) -> Self {
        Self {
            size,
            free: Mutex::new(Vec::new()),
            hook,
        }
    }

    /// A buffer with whatever it held before.
    pub(super) fn take(self: &Arc<Self>) -> PixelBuffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| {
            let mut bytes = vec![0; self.size];
            if let Some(hook) = &self.hook {
                hook.allocated(&mut bytes);
            }
            bytes
        });
        PixelBuffer {
            bytes,
            pool: Arc::clone(self),
        }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let Some(hook) = &self.hook else { return };
        for bytes in self.free.get_mut().unwrap_or_else(PoisonError::into_inner) {
            hook.freed(bytes);
        }
    }
}
