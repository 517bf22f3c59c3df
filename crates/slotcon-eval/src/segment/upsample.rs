//! The winning prototype of every pixel from scores on a coarse grid, in bounded memory.

use slotcon_torch::Error;
use tch::{Device, Kind, Tensor};

/// Bytes of upsampled scores held at a time.
const BAND_BYTES: i64 = 128 << 20;

/// Scores `[h, w, K]` brought to `height` x `width` bilinearly (as `F.interpolate(…, align_corners=False)`), then the
/// arg-max over K, row by row.
///
/// # Errors
/// Scores of another rank; a failure of libtorch, such as too little memory.
pub fn winners(scores: &Tensor, height: i64, width: i64) -> Result<Vec<u16>, Error> {
    let (h, w, k) = scores.size3()?;
    let to = |matrix: Tensor| matrix.to_kind(scores.kind()).to_device(scores.device());
    let (rows, columns) = (to(interpolation(height, h)), to(interpolation(width, w)));
    let band = (BAND_BYTES / (4 * width * k).max(1)).clamp(1, height);
    let flat = scores.reshape([h, w * k]);
    let mut ids = Vec::with_capacity((height * width) as usize);
    for first in (0..height).step_by(band as usize) {
        let count = band.min(height - first);
        // [count, h] x [h, w K], then [width, w] x [count, w, K]
        let stretched = rows.narrow(0, first, count).matmul(&flat).reshape([count, w, k]);
        let winners = columns
            .matmul(&stretched)
            .argmax(-1, false)
            .to_kind(Kind::Int)
            .to_device(Device::Cpu);
        let values: Vec<i32> = Vec::try_from(winners.flatten(0, -1))?;
        ids.extend(values.into_iter().map(|id| id as u16));
    }
    Ok(ids)
}

/// `[to, from]`: row i holds the weights of the source cells for output cell i, pixel centres aligned.
fn interpolation(to: i64, from: i64) -> Tensor {
    let (to, from) = (to as usize, from as usize);
    let mut matrix = vec![0f64; to * from];
    for i in 0..to {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let low = (at as usize).min(from - 1);
        let high = (low + 1).min(from - 1);
        let fraction = at - low as f64;
        matrix[i * from + low] += 1.0 - fraction;
        matrix[i * from + high] += fraction;
    }
    Tensor::from_slice(&matrix).reshape([to as i64, from as i64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_interpolate_and_argmax() {
        for (h, w, height, width) in [
            (3i64, 5i64, 31i64, 40i64),
            (1, 4, 7, 9),
            (10, 10, 320, 320),
            (6, 4, 6, 4),
            (8, 8, 5, 3),
        ] {
            let scores = Tensor::randn([h, w, 6], (Kind::Double, Device::Cpu));
            let expected = scores.permute([2, 0, 1]).unsqueeze(0).upsample_bilinear2d(
                [height, width],
                false,
                None,
                None,
            );
            let expected: Vec<i64> = Vec::try_from(expected.argmax(1, false).flatten(0, -1)).unwrap();
            let got: Vec<i64> = winners(&scores, height, width)
                .unwrap()
                .into_iter()
                .map(i64::from)
                .collect();
            assert_eq!(got, expected, "{h}x{w} to {height}x{width}");
        }
    }
}
