//! Which object a box stands for (detectron2's `Matcher`).

use slotcon_torch::Error;
use tch::{Kind, Tensor};

/// How well a box must meet an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matcher {
    /// Below this overlap a box stands for nothing,
    pub low: f64,
    /// from this one on for the object that it overlaps most, in between for neither.
    pub high: f64,
    /// Whether the boxes that overlap an object most stand for something, however little it is.
    pub low_quality: bool,
}

/// For anchors.
pub const OF_ANCHORS: Matcher = Matcher {
    low: 0.3,
    high: 0.7,
    low_quality: true,
};
/// For proposals.
pub const OF_PROPOSALS: Matcher = Matcher {
    low: 0.5,
    high: 0.5,
    low_quality: false,
};

/// What each of A boxes stands for.
#[derive(Debug)]
pub struct Matches {
    /// The object that it overlaps most, `[A]`.
    pub object: Tensor,
    /// 1: it stands for that object, 0: for nothing, -1: for neither, `[A]`.
    pub label: Tensor,
}

impl Matcher {
    /// Matches by the overlaps `[G, A]` of G objects and A boxes. Without objects every box stands for nothing.
    ///
    /// # Errors
    /// Another shape.
    pub fn matches(self, overlaps: &Tensor) -> Result<Matches, Error> {
        let (objects, boxes) = overlaps.size2()?;
        let device = overlaps.device();
        if objects == 0 || boxes == 0 {
            return Ok(Matches {
                object: Tensor::f_zeros([boxes], (Kind::Int64, device))?,
                label: Tensor::f_zeros([boxes], (Kind::Int8, device))?,
            });
        }
        let (best, object) = overlaps.f_max_dim(0, false)?;
        let mut positive = best.f_ge(self.high)?;
        let ignored = best.f_ge(self.low)?.f_logical_and(&positive.f_logical_not()?)?;
        if self.low_quality {
            let highest = overlaps.f_amax([1], true)?;
            positive = positive.f_logical_or(&overlaps.f_eq_tensor(&highest)?.f_any_dim(0, false)?)?;
        }
        let label = ignored.f_to_kind(Kind::Int8)?.f_neg()?;
        let label = label.f_masked_fill(&positive, 1)?;
        Ok(Matches { object, label })
    }
}
