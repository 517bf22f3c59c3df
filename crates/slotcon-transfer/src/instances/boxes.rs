//! Boxes as tensors `[N, 4]` (x1, y1, x2, y2) in f32: overlap, clipping, and how one becomes another.

use slotcon_torch::Error;
use tch::Tensor;

/// Widths and heights, `[..., 1]` each.
fn sides(boxes: &Tensor) -> Result<[Tensor; 2], Error> {
    let side = |axis: i64| {
        boxes
            .f_narrow(-1, axis + 2, 1)?
            .f_sub(&boxes.f_narrow(-1, axis, 1)?)
    };
    Ok([side(0)?, side(1)?])
}

/// Areas, `[N]`.
///
/// # Errors
/// Other shapes.
pub fn areas(boxes: &Tensor) -> Result<Tensor, Error> {
    let [width, height] = sides(boxes)?;
    Ok(width.f_mul(&height)?.f_squeeze_dim(-1)?)
}

/// Intersection over union of every pair, `[G, 4]` and `[A, 4]` to `[G, A]`; 0 where they share nothing.
///
/// # Errors
/// Other shapes.
pub fn overlaps(some: &Tensor, others: &Tensor) -> Result<Tensor, Error> {
    let shared = |axis: i64| -> Result<Tensor, Error> {
        let side = |boxes: &Tensor, column: i64| boxes.f_select(1, column);
        let end = side(some, axis + 2)?.f_unsqueeze(1)?;
        let end = end.f_minimum(&side(others, axis + 2)?.f_unsqueeze(0)?)?;
        let start = side(some, axis)?.f_unsqueeze(1)?;
        let start = start.f_maximum(&side(others, axis)?.f_unsqueeze(0)?)?;
        Ok((end - start).f_clamp_min_(0)?)
    };
    let both = shared(0)? * shared(1)?;
    let sum = areas(some)?
        .f_unsqueeze(1)?
        .f_add(&areas(others)?.f_unsqueeze(0)?)?;
    let union = sum.f_sub(&both)?;
    let overlap = both.f_div(&union)?;
    Ok(overlap.f_where_self(&both.f_gt(0)?, &both.f_zeros_like()?)?)
}

/// The parts of boxes `[..., 4]` that lie within a picture of (height, width).
///
/// # Errors
/// Other shapes.
pub fn clipped(boxes: &Tensor, (height, width): (i64, i64)) -> Result<Tensor, Error> {
    let axis = |from: i64, limit: i64| boxes.f_narrow(-1, from, 1)?.f_clamp(0, limit);
    let parts = [
        axis(0, width)?,
        axis(1, height)?,
        axis(2, width)?,
        axis(3, height)?,
    ];
    Ok(Tensor::f_cat(&parts, -1)?)
}

/// Which boxes are wider and higher than nothing, `[N]`.
///
/// # Errors
/// Other shapes.
pub fn not_empty(boxes: &Tensor) -> Result<Tensor, Error> {
    let [width, height] = sides(boxes)?;
    Ok(width
        .f_gt(0)?
        .f_logical_and(&height.f_gt(0)?)?
        .f_squeeze_dim(-1)?)
}

/// How a box becomes another: its centre moves by parts of its sides, its sides grow by logarithms (arXiv 1311.2524, appendix C),
/// each times a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCoding {
    /// Of x, y, width and height.
    pub weights: [f64; 4],
}

/// For anchors.
pub const OF_ANCHORS: BoxCoding = BoxCoding { weights: [1.0; 4] };
/// For proposals.
pub const OF_PROPOSALS: BoxCoding = BoxCoding {
    weights: [10.0, 10.0, 5.0, 5.0],
};

/// Width and height of a box, and its centre, `[..., 1]` each.
fn sides_and_centre(boxes: &Tensor) -> Result<[Tensor; 4], Error> {
    let [width, height] = sides(boxes)?;
    let x = boxes.f_narrow(-1, 0, 1)?.f_add(&width.f_mul_scalar(0.5)?)?;
    let y = boxes.f_narrow(-1, 1, 1)?.f_add(&height.f_mul_scalar(0.5)?)?;
    Ok([width, height, x, y])
}

impl BoxCoding {
    /// The largest logarithm by which a side grows: from 16 to 1000 pixels.
    const MAX_LOG: f64 = 4.135_166_556_742_356;

    /// The deltas by which `from` become `to`, all `[N, 4]`.
    ///
    /// # Errors
    /// Other shapes.
    pub fn encode(self, from: &Tensor, to: &Tensor) -> Result<Tensor, Error> {
        let [width, height, x, y] = sides_and_centre(from)?;
        let [to_width, to_height, to_x, to_y] = sides_and_centre(to)?;
        let parts = [
            to_x.f_sub(&x)?.f_mul_scalar(self.weights[0])?.f_div(&width)?,
            to_y.f_sub(&y)?.f_mul_scalar(self.weights[1])?.f_div(&height)?,
            to_width.f_div(&width)?.f_log()?.f_mul_scalar(self.weights[2])?,
            to_height.f_div(&height)?.f_log()?.f_mul_scalar(self.weights[3])?,
        ];
        Ok(Tensor::f_cat(&parts, -1)?)
    }

    /// What boxes `[..., 4]` become by deltas of a shape that fits theirs.
    ///
    /// # Errors
    /// Other shapes.
    pub fn decode(self, boxes: &Tensor, deltas: &Tensor) -> Result<Tensor, Error> {
        let [width, height, x, y] = sides_and_centre(boxes)?;
        let delta = |i: usize| deltas.f_narrow(-1, i as i64, 1)?.f_div_scalar(self.weights[i]);
        let x = delta(0)?.f_mul(&width)?.f_add(&x)?;
        let y = delta(1)?.f_mul(&height)?.f_add(&y)?;
        let half = |delta: Tensor, side: &Tensor| {
            let grown = delta.f_clamp_max(Self::MAX_LOG)?.f_exp()?.f_mul(side)?;
            grown.f_mul_scalar(0.5)
        };
        let (across, down) = (half(delta(2)?, &width)?, half(delta(3)?, &height)?);
        let parts = [
            x.f_sub(&across)?,
            y.f_sub(&down)?,
            x.f_add(&across)?,
            y.f_add(&down)?,
        ];
        Ok(Tensor::f_cat(&parts, -1)?)
    }
}
