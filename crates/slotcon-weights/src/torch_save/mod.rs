//! Files of `torch.save`: `read`ing the zip archive and the older chain of pickles, writing the archive, and the
//! `storage` of their tensors.

pub(crate) mod read;
pub(crate) mod storage;
mod write;

pub use write::{write_numpy, write_torch};
