//! What the network makes of one picture: features, scores, and the group of every pixel.

use slotcon_data::Picture;
use tch::{Kind, Tensor};

use super::Segmenter;
use super::upsample::winners;
use crate::error::Error;

/// A picture seen by the network.
#[derive(Debug)]
pub struct GroupedPicture {
    /// Dense features, `[h w, D]`.
    pub features: Tensor,
    /// Scores of the clusters, `[h w, K]`.
    pub scores: Tensor,
    /// How well a place fits each cluster, `[h w, K]`: the cosine similarity with a prototype, the probability of a found group.
    pub fit: Tensor,
    /// Rows h and columns w of the network's grid.
    pub grid: (i64, i64),
}

impl GroupedPicture {
    /// Passes a picture through the network, in the picture's own size.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn of(segmenter: &Segmenter, picture: &Picture) -> Result<Self, Error> {
        let groups = segmenter.groups(std::slice::from_ref(picture))?;
        let cosines = groups.scores.squeeze_dim(0);
        let (scores, fit) = match segmenter.found() {
            Some(found) => {
                let scores = found.scores(segmenter, picture)?.f_flatten(0, 1)?;
                let fit = (&scores / found.temperature()).f_softmax(-1, None::<Kind>)?;
                (scores, fit)
            }
            None => (cosines.shallow_clone(), cosines),
        };
        Ok(Self {
            features: groups.features.squeeze_dim(0),
            scores,
            fit,
            grid: groups.grid,
        })
    }

    /// The winning cluster of every pixel of a picture of this size, row by row.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn labels(&self, width: u32, height: u32) -> Result<Vec<u16>, Error> {
        let _guard = tch::no_grad_guard();
        let (h, w) = self.grid;
        let scores = self.scores.reshape([h, w, -1]);
        Ok(winners(&scores, i64::from(height), i64::from(width))?)
    }
}
