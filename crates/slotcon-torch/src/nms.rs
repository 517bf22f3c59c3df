//! Non-maximum suppression.

use tch::{Kind, Tensor};

use crate::backend::Backend;
use crate::error::Error;
use crate::ffi::{at, bridge, owned};

/// Boxes `[N, 4]` (x1, y1, x2, y2) and their scores `[N]` to the positions of the boxes that are kept, `[K]`, highest score
/// first (of equal scores the first position first): every box is left out that overlaps a kept one with a higher score by an
/// intersection over union of more than `threshold`. With `groups` `[N]` (classes, or levels) only boxes of one group compete.
///
/// Scores and geometry are f32, as in torchvision. Boxes on a GPU are waited for.
///
/// # Errors
/// Other shapes.
pub fn nms(
    boxes: &Tensor,
    scores: &Tensor,
    groups: Option<&Tensor>,
    threshold: f64,
) -> Result<Tensor, Error> {
    nms_by(Backend::Fastest, boxes, scores, groups, threshold)
}

/// The same, with a choice of who computes it. [`Backend::Operations`] holds the overlaps of all pairs in memory.
///
/// # Errors
/// As [`nms`].
pub fn nms_by(
    backend: Backend,
    boxes: &Tensor,
    scores: &Tensor,
    groups: Option<&Tensor>,
    threshold: f64,
) -> Result<Tensor, Error> {
    let one_group;
    let groups = match groups {
        Some(groups) => groups,
        None => {
            one_group = scores.f_zeros_like()?.f_to_kind(Kind::Int64)?;
            &one_group
        }
    };
    let operations = backend == Backend::Operations;
    Ok(owned(bridge::nms(
        at(boxes),
        at(scores),
        at(groups),
        threshold,
        operations,
    )?))
}
