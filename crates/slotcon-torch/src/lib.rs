//! What libtorch has and tch does not: [`autocast()`], steps over many tensors at once ([`multi_tensor`]), several
//! processes ([`distributed`]), layouts, linear layers by oneDNN ([`linear()`]), copies that a GPU does not wait for
//! ([`upload`]).
//!
//! All C++ and `unsafe` of the project is in this crate.

mod allocator;
mod autocast;
mod backend;
pub mod distributed;
mod error;
mod ffi;
mod layout;
mod linear;
mod memory;
pub mod multi_tensor;
mod nms;
mod process;
mod roi_align;
mod stopwatch;
pub mod upload;

pub use allocator::keep_freed_memory;
pub use autocast::autocast;
pub use backend::Backend;
pub use error::Error;
pub use layout::channels_last;
pub use linear::{convolve_1x1, linear};
pub use memory::{peak_bytes, reset_peak};
pub use nms::{nms, nms_by};
pub use process::end_process;
pub use roi_align::RoiAlign;
pub use stopwatch::Stopwatch;
