//! The two directions of resizing: a row to its new width, and several rows to one.

use super::weights::{HALF, WEIGHT_BITS, Weights};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// A weighted sum back to a byte.
#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// The weighted sum of as many rows as there are weights; rows begin `stride` bytes apart.
#[inline(always)]
pub(super) fn mix_rows(rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            let done = avx512::mix_rows(simd, rows, stride, weights, out);
            return mix_rows_from(done, rows, stride, weights, out);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            let done = avx2::mix_rows(simd, rows, stride, weights, out);
            return mix_rows_from(done, rows, stride, weights, out);
        }
    }
    mix_rows_from(0, rows, stride, weights, out);
}

/// The same on any machine, from value `first` on.
#[inline(always)]
fn mix_rows_from(first: usize, rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) {
    for (i, out) in out.iter_mut().enumerate().skip(first) {
        let products = rows
            .chunks(stride)
            .zip(weights)
            .map(|(row, &weight)| i32::from(row[i]) * weight);
        *out = to_byte(products.sum::<i32>() + HALF);
    }
}

/// One row to its new width, for many rows of the same width.
#[derive(Clone, Debug, Default)]
pub(super) struct Across {
    pub(super) weights: Weights,
    #[cfg(target_arch = "x86_64")]
    packed: avx2::Packed,
    mirror: bool,
}

impl Across {
    /// Prepares for rows resized as `weights` say.
    pub(super) fn prepare(&mut self, mirror: bool) {
        self.mirror = mirror;
        #[cfg(target_arch = "x86_64")]
        self.packed.fill(&self.weights);
    }

    /// Bytes that may be read from the beginning of a row on; what lies beyond the row has no influence.
    pub(super) fn reach(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        return self.packed.reach;
        #[cfg(not(target_arch = "x86_64"))]
        0
    }

    /// Resizes one row. `row` may go on behind its end; where it is shorter than [`Self::reach`] this takes longer.
    #[inline(always)]
    pub(super) fn run(&self, row: &[u8], out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new()
            && row.len() >= self.packed.reach
        {
            return avx2::run(simd, &self.packed, row, self.mirror, out);
        }
        run_anywhere(&self.weights, row, self.mirror, out);
    }
}

/// One row to its new width on any machine.
fn run_anywhere(weights: &Weights, row: &[u8], mirror: bool, out: &mut [u8]) {
    let width = out.len() / 3;
    for (x, (first, weights)) in weights.iter().enumerate() {
        let mut sum = [HALF; 3];
        for (old, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
            for c in 0..3 {
                sum[c] += i32::from(old[c]) * weight;
            }
        }
        let x = if mirror { width - 1 - x } else { x };
        out[x * 3..x * 3 + 3].copy_from_slice(&sum.map(to_byte));
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights::Filter;
    use super::*;

    #[test]
    fn both_ways_down_agree() {
        let rows: Vec<u8> = (0..20 * 130)
            .map(|i| if i * i % 5 < 2 { 255 } else { (i % 13) as u8 })
            .collect();
        let mut weights = Weights::default();
        weights.fill(20, 7, Filter::Bicubic);
        for (first, weights) in weights.iter() {
            let (mut a, mut b) = ([0; 129], [0; 129]);
            mix_rows(&rows[first * 130..], 130, weights, &mut a);
            mix_rows_from(0, &rows[first * 130..], 130, weights, &mut b);
            assert_eq!(a, b);
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                let mut c = [0; 129];
                let done = avx2::mix_rows(simd, &rows[first * 130..], 130, weights, &mut c);
                assert_eq!((done, &c[..done]), (128, &b[..done]));
            }
        }
    }

    #[test]
    fn both_ways_across_agree() {
        for (old, new) in [
            (1, 5),
            (7, 7),
            (5, 224),
            (100, 99),
            (640, 224),
            (640, 7),
            (3000, 64),
        ] {
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                for mirror in [false, true] {
                    let mut across = Across::default();
                    across.weights.fill(old, new, filter);
                    across.prepare(mirror);
                    let row: Vec<u8> = (0..old as usize * 3)
                        .map(|i| if i * i % 7 < 3 { 255 } else { (i % 11) as u8 })
                        .collect();
                    let mut long = row.clone();
                    long.resize(across.reach().max(row.len()), 99);
                    let (mut a, mut b) = (vec![0; new as usize * 3], vec![0; new as usize * 3]);
                    across.run(&long, &mut a);
                    run_anywhere(&across.weights, &row, mirror, &mut b);
                    assert_eq!(a, b, "{old} to {new}, {filter:?}, mirror {mirror}");
                }
            }
        }
    }
}
