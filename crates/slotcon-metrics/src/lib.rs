//! Numbers from labels: how often predictions meet classes ([`confusion`]), which class a cluster stands for
//! ([`matching`]), what both amount to ([`cluster_score`]), and masks in COCO's terms ([`rle`]).
//!
//! Label maps are plain slices of `u16` ids, one a pixel. Nothing here knows of networks, files or libtorch.

pub mod cluster_score;
pub mod confusion;
pub mod matching;
pub mod rle;
