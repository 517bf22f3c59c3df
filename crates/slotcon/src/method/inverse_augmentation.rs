//! Inverse augmentation (section 3.2): both views' scores are brought to the region that the views share, so that
//! position i means the same place in both.
//!
//! Upstream calls RoIAlign (aligned, one box a picture, h x w bins) and then undoes the flips one by one. Both are
//! linear and separable: the value of output row i is a fixed mix of input rows, and the same for columns. So
//! the whole batch is two small batched matrix products, with the flip folded into the column matrix.

use slotcon_torch::upload::to_device;
use tch::{Device, Kind, Tensor};

/// Row and column matrices of one view of a batch.
#[derive(Debug)]
pub struct InverseAugmentation {
    /// `[B, h, h]`
    rows: Tensor,
    /// `[B, w, w]`
    columns: Tensor,
}

impl InverseAugmentation {
    /// From each crop's box (x1, y1, x2, y2 of the shared region, in units of the crop) and its flip.
    ///
    /// A box of no area (crops that do not overlap) gives zeros, as RoIAlign does.
    pub fn new(
        coords: &[[f64; 4]],
        flips: &[bool],
        grid: (i64, i64),
        kind: Kind,
        device: Device,
    ) -> InverseAugmentation {
        let (h, w) = grid;
        let batch = coords.len() as i64;
        let mut rows = Vec::with_capacity(coords.len() * (h * h) as usize);
        let mut columns = Vec::with_capacity(coords.len() * (w * w) as usize);
        for (&[x1, y1, x2, y2], &flip) in coords.iter().zip(flips) {
            rows.extend(resampling(y1, y2, h as usize, false));
            columns.extend(resampling(x1, x2, w as usize, flip));
        }
        let to = |values: &[f64], side: i64| {
            let values = Tensor::from_slice(values)
                .reshape([batch, side, side])
                .to_kind(kind);
            to_device(&values, device)
        };
        Self {
            rows: to(&rows, h),
            columns: to(&columns, w),
        }
    }

    /// `[B, h w, K]` of a view to `[B, h w, K]` of the shared region.
    pub fn align(&self, scores: &Tensor) -> Tensor {
        let (h, w) = (self.rows.size()[1], self.columns.size()[1]);
        let size = scores.size();
        let (batch, k) = (size[0], size[2]);
        let x = self.rows.matmul(&scores.reshape([batch, h, w * k]));
        let columns = self
            .columns
            .unsqueeze(1)
            .expand([batch, h, w, w], false)
            .reshape([batch * h, w, w]);
        columns
            .bmm(&x.reshape([batch * h, w, k]))
            .reshape([batch, h * w, k])
    }
}

/// The `n` x `n` matrix by which RoIAlign (aligned, adaptive sampling) resamples one axis of `n` cells to the
/// stretch from `start` to `end` (in units of the axis), bins in reverse order if `flip`.
fn resampling(start: f64, end: f64, n: usize, flip: bool) -> Vec<f64> {
    let cells = n as f64;
    let mut matrix = vec![0.0; n * n];
    let origin = start * cells - 0.5;
    let bin = (end * cells - 0.5 - origin) / cells;
    let samples = bin.ceil().max(0.0) as usize;
    for i in 0..n {
        let out = if flip { n - 1 - i } else { i };
        for s in 0..samples {
            let at = origin + bin * (i as f64 + (s as f64 + 0.5) / samples as f64);
            if !(-1.0..=cells).contains(&at) {
                continue;
            }
            let at = at.max(0.0);
            let low = (at as usize).min(n - 1);
            let high = (low + 1).min(n - 1);
            let fraction = if low == high { 0.0 } else { at - low as f64 };
            matrix[out * n + low] += (1.0 - fraction) / samples as f64;
            matrix[out * n + high] += fraction / samples as f64;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One picture with one score at each of 2 x 2 positions, seen through a box and a flip.
    fn aligned(coords: [f64; 4], flip: bool) -> Vec<f64> {
        let scores = Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0]).reshape([1, 4, 1]);
        let back = InverseAugmentation::new(&[coords], &[flip], (2, 2), Kind::Double, Device::Cpu);
        Vec::try_from(back.align(&scores).view([-1])).unwrap()
    }

    #[test]
    fn the_whole_crop_stays_and_a_flip_swaps_its_columns() {
        assert_eq!(aligned([0.0, 0.0, 1.0, 1.0], false), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(aligned([0.0, 0.0, 1.0, 1.0], true), [2.0, 1.0, 4.0, 3.0]);
    }

    #[test]
    fn half_of_a_crop_is_interpolated_between_the_centres_of_its_cells() {
        // In cells, whose centres are at 0 and 1, the left half reaches from -1/2 to 1/2. Its two bins have their centres at
        // -1/4, which is taken for 0, and at 1/4.
        assert_eq!(resampling(0.0, 0.5, 2, false), [1.0, 0.0, 0.75, 0.25]);
        assert_eq!(resampling(0.5, 1.0, 2, false), [0.25, 0.75, 0.0, 1.0]);
        assert_eq!(aligned([0.0, 0.0, 0.5, 1.0], false), [1.0, 1.25, 3.0, 3.25]);
        assert_eq!(aligned([0.0, 0.5, 1.0, 1.0], false), [2.5, 3.5, 3.0, 4.0]);
    }

    #[test]
    fn a_box_of_no_area_gives_zeros() {
        assert_eq!(aligned([0.5, 0.5, 0.5, 0.5], false), [0.0; 4]);
    }
}
