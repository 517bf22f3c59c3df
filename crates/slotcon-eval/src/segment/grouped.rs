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
    /// Rows h and columns w of their grid.
    pub grid: (i64, i64),
    /// Scores of the clusters on a grid of their own, `[rows, columns, K]`.
    pub scores: Tensor,
    /// How well each place of that grid fits each cluster, `[rows columns, K]`: the cosine similarity with a prototype, the probability of
    /// a found group.
    pub fit: Tensor,
}

impl GroupedPicture {
    /// Passes a picture through the network, in the picture's own size.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn of(segmenter: &Segmenter, picture: &Picture) -> Result<Self, Error> {
        let groups = segmenter.groups(std::slice::from_ref(picture))?;
        let (h, w) = groups.grid;
        let (scores, fit) = match segmenter.found() {
            Some(found) => {
                let scores = found.scores(segmenter, picture)?;
                let fit = (&scores / found.temperature()).f_softmax(-1, None::<Kind>)?;
                (scores, fit.f_flatten(0, 1)?)
            }
            None => {
                let cosines = groups.scores.squeeze_dim(0);
                (cosines.f_reshape([h, w, -1])?, cosines)
            }
        };
        Ok(Self {
            features: groups.features.squeeze_dim(0),
            grid: groups.grid,
            scores,
            fit,
        })
    }

    /// The winning cluster of every pixel of a picture of this size, row by row.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn labels(&self, width: u32, height: u32) -> Result<Vec<u16>, Error> {
        let _guard = tch::no_grad_guard();
        Ok(winners(&self.scores, i64::from(height), i64::from(width))?)
    }
}
