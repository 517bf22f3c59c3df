//! The winning prototype of every pixel from scores on a coarse grid, and how sure it is, in bounded memory.

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
    let mut ids = Vec::with_capacity((height * width) as usize);
    in_bands(scores, height, width, |band| {
        append_ids(&mut ids, &band.argmax(-1, false))
    })?;
    Ok(ids)
}

/// The winner of every pixel and the probability of its group, row by row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SureWinners {
    /// The winning prototypes, as [`winners`].
    pub ids: Vec<u16>,
    /// The probability of each pixel's group, 0 to 1.
    pub probability: Vec<f32>,
}

/// [`winners`], each with the probability of its group: the assignment `softmax(scores / temperature)` over K, summed over the
/// prototypes that `groups` `[K]` gives the same number as the winner.
///
/// # Errors
/// As [`winners`]; another number of groups than of prototypes.
pub fn sure_winners(
    scores: &Tensor,
    (height, width): (i64, i64),
    temperature: f64,
    groups: &[i64],
) -> Result<SureWinners, Error> {
    let groups = Tensor::from_slice(groups).to_device(scores.device());
    let mut found = SureWinners::default();
    in_bands(scores, height, width, |band| {
        let winners = band.argmax(-1, false);
        append_ids(&mut found.ids, &winners)?;
        let own = groups.f_index_select(0, &winners.flatten(0, -1))?;
        let together = own.unsqueeze(-1).f_eq_tensor(&groups)?.reshape(band.size());
        let assignment = (band / temperature).softmax(-1, None);
        let probability = (assignment * together).sum_dim_intlist(-1, false, Kind::Float);
        let values: Vec<f32> = Vec::try_from(probability.flatten(0, -1).to_device(Device::Cpu))?;
        found.probability.extend(values);
        Ok(())
    })?;
    Ok(found)
}

fn append_ids(ids: &mut Vec<u16>, winners: &Tensor) -> Result<(), Error> {
    let winners = winners.to_kind(Kind::Int).to_device(Device::Cpu);
    let values: Vec<i32> = Vec::try_from(winners.flatten(0, -1))?;
    ids.extend(values.into_iter().map(|id| id as u16));
    Ok(())
}

/// Calls `each` with some rows at a time of the scores brought to `height` x `width`, `[rows, width, K]`, from top to bottom.
fn in_bands(
    scores: &Tensor,
    height: i64,
    width: i64,
    mut each: impl FnMut(Tensor) -> Result<(), Error>,
) -> Result<(), Error> {
    let (h, w, k) = scores.size3()?;
    let to = |matrix: Tensor| matrix.to_kind(scores.kind()).to_device(scores.device());
    let (rows, columns) = (to(interpolation(height, h)), to(interpolation(width, w)));
    let band = (BAND_BYTES / (4 * width * k).max(1)).clamp(1, height);
    let flat = scores.reshape([h, w * k]);
    for first in (0..height).step_by(band as usize) {
        let count = band.min(height - first);
        // [count, h] x [h, w K], then [width, w] x [count, w, K]
        let stretched = rows.narrow(0, first, count).matmul(&flat).reshape([count, w, k]);
        each(columns.matmul(&stretched))?;
    }
    Ok(())
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

    #[test]
    fn joined_prototypes_are_as_sure_as_all_of_them_together() {
        let scores = Tensor::randn([4, 3, 5], (Kind::Double, Device::Cpu));
        let (height, width, temperature) = (9, 8, 0.07);
        let upsampled =
            scores
                .permute([2, 0, 1])
                .unsqueeze(0)
                .upsample_bilinear2d([height, width], false, None, None);
        let assignment = (upsampled / temperature)
            .softmax(1, None)
            .squeeze_dim(0)
            .reshape([5, -1]);
        let of = |k: i64, pixel: usize| assignment.double_value(&[k, pixel as i64]);
        // Prototypes 1 and 4 are one group.
        let found = sure_winners(&scores, (height, width), temperature, &[0, 1, 2, 3, 1]).unwrap();
        assert_eq!(found.ids, winners(&scores, height, width).unwrap());
        assert_eq!(found.probability.len(), 72);
        let mut joined = 0;
        for (pixel, (&id, &probability)) in found.ids.iter().zip(&found.probability).enumerate() {
            let expected = match id {
                1 | 4 => of(1, pixel) + of(4, pixel),
                id => of(i64::from(id), pixel),
            };
            joined += usize::from(id == 1 || id == 4);
            assert!(
                (f64::from(probability) - expected).abs() < 1e-6,
                "{probability} for {expected}"
            );
        }
        assert!(joined > 0 && joined < 72, "{joined}");
    }
}
