//! A folder of photos in, batches of paired augmented views out.
//!
//! The way of a picture through this crate:
//! [`source`] lists it, [`sampler`] says when it is seen, [`picture`] decodes it, [`augment`] makes two views of it,
//! and [`loader`] hands over batches of such pairs. [`labelled`] pairs pictures with true label maps, [`annotations`] with outlined objects. [`scenes`] draws pictures with known label maps for when there
//! are no photos at hand. Nothing here knows of libtorch: what leaves are plain buffers of bytes.
//!
//! All randomness is a function of (seed, epoch, sample), see [`rng`].

pub mod annotations;
pub mod augment;
pub mod bench;
pub mod caught;
pub mod error;
pub mod geometry;
pub mod labelled;
pub mod loader;
pub mod picture;
pub mod resize;
pub mod rle;
pub mod rng;
pub mod sampler;
pub mod scenes;
mod simd;
pub mod source;

pub use augment::{Augment, AugmentConfig, ViewAugment};
pub use error::{Error, PictureError, Result};
pub use labelled::LabelMap;
pub use loader::{
    BadPicture, Batch, BufferBytes, BufferSource, Loader, LoaderConfig, MakeSample, PairInfo, PairMaker,
};
pub use picture::Picture;
pub use source::{Dataset, Layout, Selection};
