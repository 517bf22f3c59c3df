//! The groups of a picture by the names that a person gave them.

use slotcon_data::Picture;

use super::Segmenter;
use super::upsample::sure_winners;
use crate::error::Error;
use crate::names::NamedGroups;

/// The named group of every pixel of a picture, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedSegments {
    /// The class of each pixel by [`NamedGroups::classes`]; [`NamedGroups::NONE`] where the winning cluster has no name.
    pub labels: Vec<u16>,
    /// The probability of each pixel's group, 0 to 1: the assignment (softmax of the scores over [`Segmenter::temperature`]) to the
    /// winning cluster, those of one name added up.
    pub probability: Vec<f32>,
}

impl NamedSegments {
    /// Mean probability over all pixels, 0 to 1.
    pub fn confidence(&self) -> f64 {
        let sum: f64 = self.probability.iter().map(|&p| f64::from(p)).sum();
        sum / self.probability.len().max(1) as f64
    }

    /// Share of the pixels that have a class, 0 to 1.
    pub fn labelled(&self) -> f64 {
        let named = self
            .labels
            .iter()
            .filter(|&&label| label != NamedGroups::NONE)
            .count();
        named as f64 / self.labels.len().max(1) as f64
    }

    /// Takes the class from every pixel whose probability is below `limit`.
    pub fn forget_unsure(&mut self, limit: f32) {
        for (label, &probability) in self.labels.iter_mut().zip(&self.probability) {
            if probability < limit {
                *label = NamedGroups::NONE;
            }
        }
    }
}

impl Segmenter {
    /// The named groups of a picture that the network sees in another size (`seen`), whole or in tiles of so many pixels
    /// ([`Segmenter::segment_in_tiles`]). The winner is that of [`Segmenter::segment_at`].
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory; groups of another number of prototypes.
    pub fn segment_named(
        &self,
        picture: &Picture,
        seen: &Picture,
        tile: Option<u32>,
        groups: &NamedGroups,
    ) -> Result<NamedSegments, Error> {
        let _guard = tch::no_grad_guard();
        let scores = match tile {
            Some(tile) => self.scores_in_tiles(seen, tile)?,
            None => self.scores(seen)?,
        };
        let size = (i64::from(picture.height()), i64::from(picture.width()));
        let found = sure_winners(&scores, size, self.temperature(), &groups.joined())?;
        Ok(NamedSegments {
            labels: groups.labels(&found.ids),
            probability: found.probability,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsure_has_no_class() {
        let mut found = NamedSegments {
            labels: vec![0, 1, NamedGroups::NONE, 2],
            probability: vec![0.5, 0.75, 1.0, 0.25],
        };
        assert_eq!((found.confidence(), found.labelled()), (0.625, 0.75));
        found.forget_unsure(0.5);
        assert_eq!(found.labels, [0, 1, NamedGroups::NONE, NamedGroups::NONE]);
        assert_eq!((found.confidence(), found.labelled()), (0.625, 0.5));
    }
}
