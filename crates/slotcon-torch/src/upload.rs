//! From memory to a GPU while it computes.

use std::ops::Deref;

use cxx::UniquePtr;
use tch::{Device, Tensor};

use crate::error::Error;
use crate::ffi::{address, bridge};

/// Copies bytes to one device: to a GPU on a stream of its own, so that neither its work nor the host waits.
pub struct Uploader {
    /// `None` on a CPU.
    stream: Option<UniquePtr<bridge::Uploader>>,
}

impl std::fmt::Debug for Uploader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

    /// Begins to copy `bytes`, which the copy owns until they have been read. From pinned memory ([`pin`]) this returns at
    /// once; from other memory when the bytes have been read.
    ///
    /// # Errors
    /// A GPU out of memory.
    pub fn start<B: Deref<Target = [u8]>>(&self, bytes: B) -> Result<Upload<B>, Error> {
        let under_way = self.stream.as_ref().map(|stream| stream.start(&bytes));
        Ok(Upload {
            under_way: under_way.transpose()?,
            bytes,
        })
    }
}

/// Bytes on their way. Dropping it waits until they have been read, then drops them.
pub struct Upload<B: Deref<Target = [u8]>> {
    under_way: Option<UniquePtr<bridge::Upload>>,
    bytes: B,
}

impl<B: Deref<Target = [u8]>> std::fmt::Debug for Upload<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
        let Some(under_way) = &self.under_way else {
            return Ok(Tensor::from_slice(&self.bytes));
        };
        let out = Tensor::new();
        under_way.receive(address(&out))?;
        Ok(out)
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

/// A small tensor of the host on `device`, without waiting for what the device is doing.
pub fn to_device(x: &Tensor, device: Device) -> Tensor {
    if !device.is_cuda() {
        return x.to_device(device);
    }
    // libtorch keeps the pinned copy until it has been read.
    x.pin_memory(Device::Cuda(0))
        .to_device_(device, x.kind(), true, false)
}

/// Makes memory readable by GPUs without the host's help. It must be unpinned before it is freed.
///
/// # Errors
/// No GPU, or more pinned memory than the system allows.
pub fn pin(bytes: &[u8]) -> Result<(), Error> {
    Ok(bridge::pin(bytes)?)
}

/// Undoes [`pin`].
///
/// # Errors
/// Memory that is not pinned.
pub fn unpin(bytes: &[u8]) -> Result<(), Error> {
    Ok(bridge::unpin(bytes)?)
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

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        if tch::Cuda::is_available() {
            let uploader = Uploader::new(Device::Cuda(0)).unwrap();
            let bytes = vec![1u8, 2, 250];
            pin(&bytes).unwrap();
            let upload = uploader.start(bytes.as_slice()).unwrap();
            let there = upload.tensor().unwrap();
            assert_eq!(there.device(), Device::Cuda(0));
            assert_eq!(there.to_device(Device::Cpu), Tensor::from_slice(&[1u8, 2, 250]));
            drop(upload);
            unpin(&bytes).unwrap();
        } else {
            assert!(Uploader::new(Device::Cuda(0)).is_err());
            let said = pin(&[0; 4096]).unwrap_err().to_string();
            assert!(!said.is_empty());
            assert!(unpin(&[0; 4096]).is_err());
        }
    }

    #[test]
    fn small_tensors_arrive() {
        let x = Tensor::from_slice(&[1.5f32, 2.5]).to_kind(tch::Kind::Double);
        assert_eq!(to_device(&x, Device::Cpu), x);
    }
}
