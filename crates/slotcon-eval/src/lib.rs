//! What a network learned: segments, and how well they match labels that it has never seen.

pub mod baselines;
mod clusters;
pub mod confusion;
mod draws;
mod error;
pub mod features;
pub mod kmeans;
mod labelled;
pub mod masks;
pub mod matching;
pub mod rle;
pub mod score;
mod segmenter;
mod tiles;
pub mod upsample;

pub use clusters::{Clusterer, Measured, Part, Spread, TestSet};
pub use error::Error;
pub use labelled::{Classes, LabelLayout, NameList, Pair, pairs};
pub use matching::Protocol;
pub use segmenter::{Segmenter, Which};
