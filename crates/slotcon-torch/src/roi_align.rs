//! RoIAlign: features of boxes, in a grid of bins (arXiv 1703.06870, section 3).

use tch::Tensor;

use crate::backend::Backend;
use crate::error::Error;
use crate::ffi::{at, bridge, owned};

/// How boxes are pooled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoiAlign {
    /// Bins along y and along x.
    pub bins: (i64, i64),
    /// Positions of the map per pixel in which boxes are given: 1 / stride.
    pub scale: f64,
    /// Samples of a bin along each side; 0: as many as it covers positions, rounded up.
    pub sampling: i64,
    /// Whether the centre of the first position lies at half a position (detectron2's `ROIAlignV2`), not at 0.
    pub aligned: bool,
}

impl RoiAlign {
    /// Maps `[B, C, H, W]`, boxes `[R, 4]` (x1, y1, x2, y2) and the picture of each, `[R]` (0 .. B), to `[R, C, bins]`. The
    /// features get a gradient, the boxes none.
    ///
    /// A bin is the mean of bilinear samples on a grid; a sample further than one position outside the map is zero. Coordinates
    /// are computed in the type of the features (half precision: in f32). Boxes are read by the host: those on a GPU are waited
    /// for.
    ///
    /// # Errors
    /// Other shapes, a picture that is not in the batch, coordinates that are not finite.
    pub fn apply(self, features: &Tensor, boxes: &Tensor, pictures: &Tensor) -> Result<Tensor, Error> {
        self.apply_by(Backend::Fastest, features, boxes, pictures)
    }

    /// The same, with a choice of who computes it.
    ///
    /// # Errors
    /// As [`RoiAlign::apply`].
    pub fn apply_by(
        self,
        backend: Backend,
        features: &Tensor,
        boxes: &Tensor,
        pictures: &Tensor,
    ) -> Result<Tensor, Error> {
        let rule = bridge::RoiAlignRule {
            height: self.bins.0,
            width: self.bins.1,
            scale: self.scale,
            sampling: self.sampling,
            aligned: self.aligned,
            operations: backend == Backend::Operations,
        };
        Ok(owned(bridge::roi_align(
            at(features),
            at(boxes),
            at(pictures),
            &rule,
        )?))
    }
}
