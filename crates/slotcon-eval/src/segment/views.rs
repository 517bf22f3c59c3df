//! Several looks at one picture, mirrored and in several sizes, whose scores are averaged.

use std::borrow::Cow;

use slotcon_data::Picture;
use slotcon_data::resize::resize_short_side;
use slotcon_torch::Error;
use tch::Tensor;

/// How often, and how, a network looks at a picture. As it comes: once, as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Views {
    /// Short sides in pixels to which the picture is resized; none: the size that it has.
    pub sides: Vec<u32>,
    /// Also mirrored, as STEGO measures: a position of a strided network looks at the left of its cell, and both together at its middle.
    pub mirror: bool,
}

impl Views {
    /// What a protocol says of them; nothing where a picture is looked at once, as it is.
    pub fn protocol(&self) -> String {
        let mut said = String::new();
        if !self.sides.is_empty() {
            let sides = Vec::from_iter(self.sides.iter().map(u32::to_string));
            said += &format!(", seen by the network at {} px", sides.join(", "));
        }
        if self.mirror {
            said += ", and mirrored";
        }
        if !said.is_empty() {
            said += ", scores averaged";
        }
        said
    }

    /// `picture` in every size.
    pub(super) fn sizes<'a>(&self, picture: &'a Picture) -> Vec<Cow<'a, Picture>> {
        if self.sides.is_empty() {
            return vec![Cow::Borrowed(picture)];
        }
        let resized = |&side: &u32| Cow::Owned(resize_short_side(picture, side));
        self.sides.iter().map(resized).collect()
    }
}

/// The mean of scores `[h, w, K]` of one picture, each brought bilinearly to the finest of their grids.
///
/// # Errors
/// None of them; another K.
pub(super) fn mean_on_finest(scores: Vec<Tensor>) -> Result<Tensor, Error> {
    let sizes = scores.iter().map(Tensor::size3);
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    let finest = |side: fn(&(i64, i64, i64)) -> i64| sizes.iter().map(side).max().unwrap_or(0);
    let (h, w) = (finest(|size| size.0), finest(|size| size.1));
    let mut brought = Vec::with_capacity(scores.len());
    for (scores, size) in scores.into_iter().zip(&sizes) {
        brought.push(if (size.0, size.1) == (h, w) {
            scores
        } else {
            scores
                .permute([2, 0, 1])
                .unsqueeze(0)
                .f_upsample_bilinear2d([h, w], false, None, None)?
                .squeeze_dim(0)
                .permute([1, 2, 0])
        });
    }
    Ok(Tensor::f_stack(&brought, 0)?.f_mean_dim([0i64].as_slice(), false, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_meet_on_the_finest_grid() {
        let fine = Tensor::from_slice(&[1.0f32, 3.0]).reshape([1, 2, 1]);
        let coarse = Tensor::from_slice(&[5.0f32]).reshape([1, 1, 1]);
        let mean = mean_on_finest(vec![coarse, fine]).unwrap();
        assert_eq!(mean.size(), [1, 2, 1]);
        assert_eq!(Vec::<f32>::try_from(mean.flatten(0, -1)).unwrap(), [3.0, 4.0]);
    }

    #[test]
    fn a_protocol_says_how_often_was_looked() {
        let views = |sides: &[u32], mirror| Views {
            sides: sides.to_vec(),
            mirror,
        };
        assert_eq!(views(&[], false).protocol(), "");
        assert_eq!(views(&[], true).protocol(), ", and mirrored, scores averaged");
        assert_eq!(
            views(&[256, 320], true).protocol(),
            ", seen by the network at 256, 320 px, and mirrored, scores averaged"
        );
    }
}
