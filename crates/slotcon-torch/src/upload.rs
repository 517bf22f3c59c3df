//! From memory to a GPU while it computes.

#![allow(unsafe_code, reason = "memory that a GPU reads while the host goes on")]

use std::fmt;
use std::ops::{Deref, DerefMut};

use cxx::UniquePtr;
use tch::{Device, Tensor};

use crate::error::Error;
use crate::ffi::{bridge, owned};

/// Copies bytes to one device: to a GPU on a stream of its own, so that neither its work nor the host waits.
pub struct Uploader {
    /// `None` on a CPU.
    stream: Option<UniquePtr<bridge::Uploader>>,
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader")
            .field("stream", &self.stream.is_some())
            .finish()
    }
}

impl Uploader {
    /// To `device`.
    ///
    /// # Errors
    /// A GPU that is not there.
    pub fn new(device: Device) -> Result<Self, Error> {
        let stream = match device {
            Device::Cuda(index) => Some(bridge::new_uploader(index as i8)?),
            _ => None,
        };
        Ok(Self { stream })
    }

    /// Whether copies go on beside the host's work.
    pub fn is_async(&self) -> bool {
        self.stream.is_some()
    }

    /// Begins to copy `bytes`, which the copy owns until they have been read. From [`Pinned`] memory this returns at once;
    /// from other memory when the bytes have been read.
    ///
    /// # Errors
    /// A GPU out of memory.
    pub fn start<B: Deref<Target = [u8]> + 'static>(&self, bytes: B) -> Result<Upload<B>, Error> {
        // An owner may hold its bytes inline: in the box they stay where they are while the upload moves.
        let bytes = Box::new(bytes);
        let under_way = match &self.stream {
            // SAFETY: the box is neither opened nor written to until `Upload` is dropped, which waits for the end of the copy
            // first. An upload that is leaked leaks the box as well, and `B` borrows nothing that could end before it.
            Some(stream) => Some(unsafe { stream.start(&bytes) }?),
            None => None,
        };
        Ok(Upload { under_way, bytes })
    }
}

/// Bytes on their way. Dropping it waits until they have been read, then drops them.
pub struct Upload<B: Deref<Target = [u8]>> {
    under_way: Option<UniquePtr<bridge::Upload>>,
    bytes: Box<B>,
}

impl<B: Deref<Target = [u8]>> fmt::Debug for Upload<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl<B: Deref<Target = [u8]>> Upload<B> {
    /// The bytes on the device, flat. Work that is queued there from now on waits for them; the host does not.
    ///
    /// # Errors
    /// A copy that failed.
    pub fn tensor(&self) -> Result<Tensor, Error> {
        match &self.under_way {
            Some(under_way) => Ok(owned(under_way.receive()?)),
            None => Ok(Tensor::from_slice(&self.bytes)),
        }
    }
}

impl<B: Deref<Target = [u8]>> Drop for Upload<B> {
    fn drop(&mut self) {
        if let Some(under_way) = &self.under_way {
            // A copy that failed reads no more; whoever uses the tensor is told.
            let _ = under_way.finish();
        }
    }
}

/// Memory that GPUs read without the host's help, so that a copy from it goes on beside the host's work.
pub struct Pinned(Box<[u8]>);

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pinned").field(&self.0.len()).finish()
    }
}

impl Pinned {
    /// `size` bytes of zero.
    ///
    /// # Errors
    /// No GPU, or more pinned memory than the system allows.
    pub fn zeroed(size: usize) -> Result<Self, Error> {
        let bytes = vec![0; size].into_boxed_slice();
        // SAFETY: dropping it unpins the bytes before it frees them.
        unsafe { bridge::pin(&bytes) }?;
        Ok(Self(bytes))
    }
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pinned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: a copy from these bytes owns them: none is under way.
        if unsafe { bridge::unpin(&self.0) }.is_err() {
            // What the GPU may still read is never freed.
            std::mem::forget(std::mem::take(&mut self.0));
        }
    }
}

/// A small tensor of the host on `device`, without waiting for what the device is doing.
pub fn to_device(x: &Tensor, device: Device) -> Tensor {
    if !device.is_cuda() {
        return x.to_device(device);
    }
    // libtorch keeps the pinned copy until it has been read.
    x.pin_memory(Device::Cuda(0))
        .to_device_(device, x.kind(), true, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_on_a_cpu() {
        let uploader = Uploader::new(Device::Cpu).unwrap();
        let upload = uploader.start(vec![1u8, 2, 250]).unwrap();
        assert_eq!(upload.tensor().unwrap(), Tensor::from_slice(&[1u8, 2, 250]));
    }

    /// Bytes that lie in their owner itself.
    struct Inline([u8; 3]);

    impl Deref for Inline {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn bytes_stay_where_they_are_while_their_upload_moves() {
        let uploader = Uploader::new(Device::Cpu).unwrap();
        let upload = uploader.start(Inline([1, 2, 250])).unwrap();
        let before = upload.bytes.as_ptr();
        let moved = Box::new(upload);
        assert_eq!(moved.bytes.as_ptr(), before);
        assert_eq!(moved.tensor().unwrap(), Tensor::from_slice(&[1u8, 2, 250]));
    }

    #[test]
    fn pinned_bytes_arrive_on_a_gpu() {
        if !tch::Cuda::is_available() {
            eprintln!("IGNORED: no GPU");
            return;
        }
        let uploader = Uploader::new(Device::Cuda(0)).unwrap();
        let mut bytes = Pinned::zeroed(3).unwrap();
        bytes.copy_from_slice(&[1, 2, 250]);
        let upload = uploader.start(bytes).unwrap();
        let there = upload.tensor().unwrap();
        assert_eq!(there.device(), Device::Cuda(0));
        assert_eq!(there.to_device(Device::Cpu), Tensor::from_slice(&[1u8, 2, 250]));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        if tch::Cuda::is_available() {
            eprintln!("IGNORED: a GPU is there");
            return;
        }
        assert!(Uploader::new(Device::Cuda(0)).is_err());
        let said = Pinned::zeroed(4096).unwrap_err().to_string();
        assert!(!said.is_empty());
    }

    #[test]
    fn small_tensors_arrive() {
        let x = Tensor::from_slice(&[1.5f32, 2.5]).to_kind(tch::Kind::Double);
        assert_eq!(to_device(&x, Device::Cpu), x);
    }
}
