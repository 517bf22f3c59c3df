//! What a network learned: segments, and how well they match labels that it has never seen.

pub mod baselines;
mod clusters;
pub mod confusion;
mod error;
pub mod kmeans;
mod labelled;
pub mod masks;
pub mod matching;
pub mod score;
mod segmenter;
pub mod upsample;

pub use clusters::{Clusterer, Measured, TestSet};
pub use error::Error;
pub use labelled::{Classes, Pair, pairs};
pub use matching::Protocol;
pub use segmenter::{Segmenter, Which};
