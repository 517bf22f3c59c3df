//! Numbers from labels: how often predictions meet classes (`confusion`), which class a cluster stands for
//! (`matching`) and what that amounts to (`cluster_score`), mean IoU and accuracy of predicted classes (`semantic`),
//! masks in COCO's terms (`rle`), what nearest neighbours say of a class (`neighbours`), and how much two
//! partitions agree (`partition`).
//!
//! Label maps are plain slices of `u16` ids, one a pixel. Nothing here knows of networks, files or libtorch.

mod cluster_score;
pub mod coco;
mod confusion;
mod error;
mod matching;
pub mod neighbours;
mod partition;
pub mod rle;
mod semantic;

pub use cluster_score::ClusterScore;
pub use confusion::Confusion;
pub use error::Error;
pub use matching::{Assignment, Matching};
pub use partition::adjusted_rand_index;
pub use semantic::SemanticScore;
