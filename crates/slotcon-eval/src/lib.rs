//! What a network learned: segments, and how well they match labels that it has never seen.

pub mod baselines;
mod clusters;
mod draws;
pub mod embed;
mod error;
pub mod features;
pub mod kmeans;
pub mod masks;
pub mod pictures;
mod segmenter;
pub mod survey;
mod tiles;
pub mod upsample;
pub mod whole;

pub use clusters::{Clusterer, Measured, Part, Spread, TestSet};
pub use error::Error;
pub use pictures::{Pictures, Sight, Watch};
pub use segmenter::{Segmenter, Which};
