//! Anchors: the boxes that each position of a pyramid's maps starts from.

use slotcon_torch::Error;
use tch::{Device, Kind, Tensor};

use super::fpn::LEVELS;

/// Sizes and shapes of the anchors of each map (detectron2's `DefaultAnchorGenerator` with offset 0).
#[derive(Debug, Clone, PartialEq)]
pub struct Anchors {
    /// Square root of the anchors' area on each map, in pixels.
    pub sizes: [f64; LEVELS],
    /// Their heights over their widths, the same on every map.
    pub ratios: Vec<f64>,
}

impl Default for Anchors {
    /// 32 to 512 pixels, half, as high as, and twice as high as wide.
    fn default() -> Self {
        Self {
            sizes: [32.0, 64.0, 128.0, 256.0, 512.0],
            ratios: vec![0.5, 1.0, 2.0],
        }
    }
}

impl Anchors {
    /// Pixels per position of each map.
    pub const STRIDES: [i64; LEVELS] = [4, 8, 16, 32, 64];

    /// Anchors of a position.
    pub fn per_position(&self) -> i64 {
        self.ratios.len() as i64
    }

    /// The anchors of map `level` (from 0) of `height` x `width` positions, `[height * width * ratios, 4]` (x1, y1, x2, y2; f32):
    /// by y, then x, then ratio. The first centre is the corner of the picture.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn of_map(&self, level: usize, height: i64, width: i64, device: Device) -> Result<Tensor, Error> {
        let (size, stride) = (self.sizes[level], Self::STRIDES[level]);
        let cell: Vec<f32> = (self.ratios.iter())
            .flat_map(|ratio| {
                let width = (size * size / ratio).sqrt();
                let height = ratio * width;
                [-width / 2.0, -height / 2.0, width / 2.0, height / 2.0].map(|side| side as f32)
            })
            .collect();
        let cell = Tensor::from_slice(&cell)
            .f_to_device(device)?
            .f_view([1, -1, 4])?;
        let along = |count: i64| Tensor::f_arange(count, (Kind::Float, device))?.f_mul_scalar(stride);
        let x = along(width)?.f_view([1, -1])?.f_expand([height, width], false)?;
        let y = along(height)?.f_view([-1, 1])?.f_expand([height, width], false)?;
        let shifts = Tensor::f_stack(&[&x, &y, &x, &y], 2)?.f_view([-1, 1, 4])?;
        Ok(shifts.f_add(&cell)?.f_view([-1, 4])?)
    }
}
