//! Numbers from labels: how often predictions meet classes (`confusion`), which class a cluster stands for
//! (`matching`) and what that amounts to (`cluster_score`), mean IoU and accuracy of predicted classes (`semantic`),
//! masks in COCO's terms (`rle`), and what nearest neighbours say of a class (`neighbours`).
//!
//! Label maps are plain slices of `u16` ids, one a pixel. Nothing here knows of networks, files or libtorch.

mod cluster_score;
pub mod coco;
mod confusion;
mod error;
mod matching;
pub mod neighbours;
pub mod rle;
mod semantic;

pub use cluster_score::ClusterScore;
pub use confusion::Confusion;
pub use error::Error;
pub use matching::{Assignment, Matching};
pub use semantic::SemanticScore;
