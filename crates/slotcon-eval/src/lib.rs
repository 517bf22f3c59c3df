//! What a network learned: cluster matching, segments, reports.

pub mod baselines;
pub mod confusion;
pub mod kmeans;
pub mod matching;
pub mod score;
