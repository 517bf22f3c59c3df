//! Masks as runs down the columns, as COCO keeps them: from polygons, from pixels, and as COCO's text.

mod polygon;
mod runs;
mod text;

pub use runs::{Runs, RunsError};
pub use text::compress;
