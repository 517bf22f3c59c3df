//! What a network learned: segments, and how well they match labels that it has never seen.

mod error;
mod labelled;
mod segmenter;

pub use error::Error;
pub use labelled::{Classes, Pair, pairs};
pub use segmenter::{Segmenter, Which};
