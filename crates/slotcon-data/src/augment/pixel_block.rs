//! A block of pixels, colour by colour: taken apart from RGB bytes, blended, put together again.

/// Pixels that are worked on together.
pub(super) const LANES: usize = 32;

/// Values of one colour of a block; whole numbers from 0 to 255.
pub(super) type Lane = [f32; LANES];

/// A block of pixels, colour by colour.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) r: Lane,
    pub(super) g: Lane,
    pub(super) b: Lane,
}

impl Block {
    #[inline(always)]
    pub(super) fn load(rgb: &[u8]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let (Some(simd), true) = (pulp::x86::V3::try_new(), rgb.len() == LANES * 3) {
            return avx2::load(simd, rgb);
        }
        let mut block = Self {
            r: [0.0; LANES],
            g: [0.0; LANES],
            b: [0.0; LANES],
        };
        for (i, p) in rgb.chunks_exact(3).take(LANES).enumerate() {
            (block.r[i], block.g[i], block.b[i]) = (f32::from(p[0]), f32::from(p[1]), f32::from(p[2]));
        }
        block
    }

    #[inline(always)]
    pub(super) fn store(&self, rgb: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if let (Some(simd), true) = (pulp::x86::V3::try_new(), rgb.len() == LANES * 3) {
            return avx2::store(simd, self, rgb);
        }
        for (i, p) in rgb.chunks_exact_mut(3).take(LANES).enumerate() {
            (p[0], p[1], p[2]) = (byte(self.r[i]), byte(self.g[i]), byte(self.b[i]));
        }
    }

    /// The gray values: ITU-R 601 luma in 16-bit fixed point.
    #[inline(always)]
    pub(super) fn luma(&self) -> [i32; LANES] {
        let mut luma = [0; LANES];
        for (i, luma) in luma.iter_mut().enumerate() {
            let (r, g, b) = (whole(self.r[i]), whole(self.g[i]), whole(self.b[i]));
            *luma = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
        }
        luma
    }

    #[inline(always)]
    pub(super) fn each(&mut self, change: impl Fn(&mut Lane)) {
        change(&mut self.r);
        change(&mut self.g);
        change(&mut self.b);
    }

    /// `base + factor * (value - base)` in single precision, cut to 0..=255, fraction dropped (Pillow's `blend`).
    #[inline(always)]
    pub(super) fn blend(&mut self, base: &Lane, factor: f32) {
        self.each(
            #[inline(always)]
            |lane| {
                for i in 0..LANES {
                    lane[i] = (base[i] + factor * (lane[i] - base[i])).clamp(0.0, 255.0).trunc();
                }
            },
        );
    }

    #[inline(always)]
    pub(super) fn gray(&self) -> Lane {
        let luma = self.luma();
        let mut gray = [0.0; LANES];
        for i in 0..LANES {
            gray[i] = luma[i] as f32;
        }
        gray
    }
}

/// A number known to be whole and small, as an integer.
#[inline(always)]
pub(super) fn whole(value: f32) -> i32 {
    // The plain cast asks whether the number fits; this one is a single instruction.
    (value + 12_582_912.0).to_bits() as i32 - 0x4b40_0000
}

#[inline(always)]
fn byte(value: f32) -> u8 {
    whole(value) as u8
}

/// Taking colours apart and putting them together again, eight pixels at a time.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m256i;

    use pulp::bytemuck::cast;
    use pulp::x86::V3;

    use super::{Block, LANES};

    /// For each of four pixels the byte of one colour, widened by zeros (-1), in both halves.
    const fn every_third(first: i8) -> [i8; 32] {
        let mut mask = [-1; 32];
        let mut pixel = 0;
        while pixel < 8 {
            mask[pixel * 4] = (pixel % 4 * 3) as i8 + first;
            pixel += 1;
        }
        mask
    }

    #[inline(always)]
    pub(super) fn load(simd: V3, rgb: &[u8]) -> Block {
        let mut block = Block {
            r: [0.0; LANES],
            g: [0.0; LANES],
            b: [0.0; LANES],
        };
        // Twelve bytes are wanted, but sixteen are read where there are as many.
        for part in 0..LANES / 8 {
            let mut halves = [0u8; 32];
            halves[..16].copy_from_slice(&rgb[part * 24..part * 24 + 16]);
            if part + 1 < LANES / 8 {
                halves[16..].copy_from_slice(&rgb[part * 24 + 12..part * 24 + 28]);
            } else {
                halves[16..28].copy_from_slice(&rgb[part * 24 + 12..part * 24 + 24]);
            }
            let pixels: __m256i = cast(halves);
            let (i, f) = (simd.avx2, simd.avx);
            let r = f._mm256_cvtepi32_ps(i._mm256_shuffle_epi8(pixels, cast(every_third(0))));
            let g = f._mm256_cvtepi32_ps(i._mm256_shuffle_epi8(pixels, cast(every_third(1))));
            let b = f._mm256_cvtepi32_ps(i._mm256_shuffle_epi8(pixels, cast(every_third(2))));
            block.r[part * 8..part * 8 + 8].copy_from_slice(&cast::<_, [f32; 8]>(r));
            block.g[part * 8..part * 8 + 8].copy_from_slice(&cast::<_, [f32; 8]>(g));
            block.b[part * 8..part * 8 + 8].copy_from_slice(&cast::<_, [f32; 8]>(b));
        }
        block
    }

    #[inline(always)]
    fn integers(simd: V3, values: &[f32]) -> __m256i {
        let mut eight = [0.0f32; 8];
        eight.copy_from_slice(values);
        simd.avx._mm256_cvttps_epi32(cast(eight))
    }

    #[inline(always)]
    pub(super) fn store(simd: V3, block: &Block, rgb: &mut [u8]) {
        // Four bytes a pixel to three.
        let close_up = cast::<[i8; 32], __m256i>([
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14,
            -1, -1, -1, -1,
        ]);
        let i = simd.avx2;
        for (part, rgb) in rgb.chunks_exact_mut(24).enumerate() {
            let lanes = part * 8..part * 8 + 8;
            let r = integers(simd, &block.r[lanes.clone()]);
            let g = i._mm256_slli_epi32::<8>(integers(simd, &block.g[lanes.clone()]));
            let b = i._mm256_slli_epi32::<16>(integers(simd, &block.b[lanes]));
            let pixels = i._mm256_or_si256(r, i._mm256_or_si256(g, b));
            let bytes: [u8; 32] = cast(i._mm256_shuffle_epi8(pixels, close_up));
            rgb[..12].copy_from_slice(&bytes[..12]);
            rgb[12..].copy_from_slice(&bytes[16..28]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gray_value_and_factor_blends_as_pillow_does() {
        let pillow = |base: i32, v: i32, f: f32| (base as f32 + f * (v - base) as f32) as u8;
        for factor in [0.0f32, 0.6, 0.77, 0.9999, 1.0, 1.1, 1.4, 3.0] {
            for base in [0, 1, 90, 128, 255] {
                for v in 0..=255 {
                    let mut block = Block {
                        r: [v as f32; LANES],
                        g: [0.0; LANES],
                        b: [0.0; LANES],
                    };
                    block.blend(&[base as f32; LANES], factor);
                    assert_eq!(byte(block.r[5]), pillow(base, v, factor), "{base} {v} {factor}");
                }
            }
        }
    }
}
