//! Automatic mixed precision on any device.

use tch::{Device, Kind};

use crate::error::Error;
use crate::ffi::bridge;

/// Runs `f` with matrix products and convolutions in `kind` (`None`: as they are), by libtorch's own lists of what
/// is safe. Regions do not nest with different kinds.
///
/// # Errors
/// A device that libtorch has no autocast for; a `kind` that is neither bf16 nor f16.
pub fn autocast<T>(device: Device, kind: Option<Kind>, f: impl FnOnce() -> T) -> Result<T, Error> {
    let Some(kind) = kind else { return Ok(f()) };
    let bfloat16 = match kind {
        Kind::BFloat16 => true,
        Kind::Half => false,
        other => {
            let text = format!("autocast computes in bf16 or f16, not in {other:?}");
            return Err(Error::new(text));
        }
    };
    let cuda = device.is_cuda();
    bridge::autocast_enter(cuda, bfloat16)?;
    /// Leaves the region on panic, too.
    struct Exit(bool);
    impl Drop for Exit {
        fn drop(&mut self) {
            // Cannot throw once entered; a destructor has nobody to tell.
            let _ = bridge::autocast_exit(self.0);
        }
    }
    let _exit = Exit(cuda);
    Ok(f())
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn products_are_in_the_kind_that_was_asked_for() {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        for kind in [Kind::BFloat16, Kind::Half] {
            let product = autocast(Device::Cpu, Some(kind), || x.matmul(&x)).unwrap();
            assert_eq!(product.kind(), kind);
        }
        let product = autocast(Device::Cpu, None, || x.matmul(&x)).unwrap();
        assert_eq!(product.kind(), Kind::Float);
    }

    #[test]
    fn a_kind_that_is_no_half_precision_is_refused() {
        for kind in [Kind::Float, Kind::Double, Kind::Int64] {
            let refused = autocast(Device::Cpu, Some(kind), || ()).unwrap_err().to_string();
            assert!(refused.contains(&format!("{kind:?}")), "{refused}");
        }
    }
}
