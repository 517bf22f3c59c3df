//! Automatic mixed precision on any device.

use tch::{Device, Kind};

use crate::error::Error;
use crate::ffi::bridge;

/// Runs `f` with matrix products and convolutions in `kind` (`None`: as they are), by libtorch's own lists of what
/// is safe. Regions do not nest with different kinds.
///
/// # Errors
/// A device that libtorch has no autocast for.
pub fn autocast<T>(device: Device, kind: Option<Kind>, f: impl FnOnce() -> T) -> Result<T, Error> {
    let Some(kind) = kind else { return Ok(f()) };
    let cuda = device.is_cuda();
    let dtype = match kind {
        Kind::BFloat16 => 15,
        Kind::Half => 5,
        _ => 6,
    };
    bridge::autocast_enter(cuda, dtype)?;
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
