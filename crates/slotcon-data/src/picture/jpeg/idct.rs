//! The inverse cosine transform of a block: the slow, exact integer one that libjpeg defines, result by result the same.
//!
//! Blocks come with their rows in the order 0 4 1 5 2 6 3 7.

use super::huffman::BLOCK;

/// Fractional bits of the constants, and of the values between the two passes.
const CONST_BITS: u32 = 13;
const PASS1_BITS: u32 = 2;

/// Factors of the transform, times 2^13, gathered so that each result is a sum of products of inputs: for the even
/// rows 2 and 6, and for the odd rows 1, 3, 5 and 7.
const EVEN: [[i32; 2]; 2] = [[4433, -10704], [10703, 4433]];
const ODD: [[i32; 4]; 4] = [
    [11363, 9633, 6437, 2260],
    [9633, -2259, -11362, -6436],
    [6437, -11362, 2261, 9633],
    [2260, -6436, 9633, -11363],
];

/// Where row `r` lies in a block.
const fn place(r: usize) -> usize {
    (r % 4) * 2 + r / 4
}

/// One pass over eight inputs.
#[inline(always)]
fn pass(x: [i32; 8], round: i32, shift: u32) -> [i32; 8] {
    let low = EVEN[0][0] * x[2] + EVEN[0][1] * x[6];
    let high = EVEN[1][0] * x[2] + EVEN[1][1] * x[6];
    let (sum, gap) = ((x[0] + x[4]) << CONST_BITS, (x[0] - x[4]) << CONST_BITS);
    let even = [sum + high, gap + low, gap - low, sum - high];
    let odd = ODD.map(|f| f[0] * x[1] + f[1] * x[3] + f[2] * x[5] + f[3] * x[7]);
    std::array::from_fn(|i| {
        let value = if i < 4 {
            even[i] + odd[i]
        } else {
            even[7 - i] - odd[7 - i]
        };
        (value + round) >> shift
    })
}

/// Transforms a block on any machine. `quantisation` lies as the block does; `out` takes the rows
/// `stride` bytes apart.
fn transform_anywhere(block: &[i16; BLOCK], quantisation: &[i16; 64], out: &mut [u8], stride: usize) {
    let mut between = [[0i32; 8]; 8];
    for column in 0..8 {
        let x = std::array::from_fn(|r| {
            let at = place(r) * 8 + column;
            i32::from(block[at].wrapping_mul(quantisation[at]))
        });
        let done = pass(x, 1 << (CONST_BITS - PASS1_BITS - 1), CONST_BITS - PASS1_BITS);
        for (row, value) in between.iter_mut().zip(done) {
            row[column] = i32::from(value as i16);
        }
    }
    const SHIFT: u32 = CONST_BITS + PASS1_BITS + 3;
    for (row, out) in between.iter().zip(out.chunks_mut(stride)) {
        let done = pass(*row, (128 << SHIFT) + (1 << (SHIFT - 1)), SHIFT);
        (0..8).for_each(|c| out[c] = done[c].clamp(0, 255) as u8);
    }
}

/// A block whose only coefficient is DC: one value.
#[inline(always)]
fn fill(dc: i16, quantisation: i16, out: &mut [u8], stride: usize) {
    let value = ((i32::from(dc.wrapping_mul(quantisation)) + 4) >> 3) + 128;
    let row = [value.clamp(0, 255) as u8; 8];
    for out in out.chunks_mut(stride) {
        out[..8].copy_from_slice(&row);
    }
}

/// How blocks are transformed on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transform {
    /// By the code above.
    Anywhere,
    /// Eight columns at once.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
}

impl Transform {
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Self::Avx2(simd);
        }
        Self::Anywhere
    }

    /// Transforms a block of which coefficients up to number `last` were read, into 8 rows of `out` that lie `stride`
    /// bytes apart.
    #[inline(always)]
    pub(super) fn run(
        self,
        block: &[i16; BLOCK],
        last: usize,
        quantisation: &[i16; 64],
        out: &mut [u8],
        stride: usize,
    ) {
        if last == 0 {
            return fill(block[0], quantisation[0], out, stride);
        }
        match self {
            Self::Anywhere => transform_anywhere(block, quantisation, out, stride),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => avx2::transform(simd, block, quantisation, out, stride),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m256i;

    use pulp::bytemuck::cast;
    use pulp::x86::V3;

    use super::{BLOCK, CONST_BITS, EVEN, ODD, PASS1_BITS};

    #[inline(always)]
    fn load(values: &[i16]) -> __m256i {
        let mut sixteen = [0i16; 16];
        sixteen.copy_from_slice(&values[..16]);
        cast(sixteen)
    }

    /// The same two factors for every pair of inputs.
    #[inline(always)]
    fn pair(a: i32, b: i32) -> __m256i {
        let two = [a as i16, b as i16];
        cast([two; 8])
    }

    /// One pass over eight columns. Inputs hold two rows each: 0 and 4, 1 and 5, 2 and 6, 3 and 7; the result holds the
    /// transformed rows in the same order, transposed.
    #[inline(always)]
    fn pass<const SHIFT: i32>(simd: V3, rows: [__m256i; 4], round: i32) -> [__m256i; 4] {
        let i = simd.avx2;
        let (x04, x26) = (interleave(simd, rows[0]), interleave(simd, rows[2]));
        let low = i._mm256_unpacklo_epi16(rows[1], rows[3]);
        let high = i._mm256_unpackhi_epi16(rows[1], rows[3]);
        let x13 = i._mm256_permute2x128_si256::<0x20>(low, high);
        let x57 = i._mm256_permute2x128_si256::<0x31>(low, high);

        let one = 1 << CONST_BITS;
        let round = cast::<[i32; 8], __m256i>([round; 8]);
        let sum = i._mm256_add_epi32(i._mm256_madd_epi16(x04, pair(one, one)), round);
        let gap = i._mm256_add_epi32(i._mm256_madd_epi16(x04, pair(one, -one)), round);
        let low = i._mm256_madd_epi16(x26, pair(EVEN[0][0], EVEN[0][1]));
        let high = i._mm256_madd_epi16(x26, pair(EVEN[1][0], EVEN[1][1]));
        let (even0, even3) = (i._mm256_add_epi32(sum, high), i._mm256_sub_epi32(sum, high));
        let (even1, even2) = (i._mm256_add_epi32(gap, low), i._mm256_sub_epi32(gap, low));
        let (r0, r7) = both::<SHIFT>(simd, even0, odd(simd, x13, x57, 0));
        let (r1, r6) = both::<SHIFT>(simd, even1, odd(simd, x13, x57, 1));
        let (r2, r5) = both::<SHIFT>(simd, even2, odd(simd, x13, x57, 2));
        let (r3, r4) = both::<SHIFT>(simd, even3, odd(simd, x13, x57, 3));
        let rows = [
            i._mm256_packs_epi32(r0, r4),
            i._mm256_packs_epi32(r1, r5),
            i._mm256_packs_epi32(r2, r6),
            i._mm256_packs_epi32(r3, r7),
        ];
        transpose(simd, rows)
    }

    /// Pairs up the two rows of one register.
    #[inline(always)]
    fn interleave(simd: V3, rows: __m256i) -> __m256i {
        let mix = cast::<[i8; 32], __m256i>([
            0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15, 0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6,
            7, 14, 15,
        ]);
        let rows = simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(rows);
        simd.avx2._mm256_shuffle_epi8(rows, mix)
    }

    /// What the odd rows contribute to result `n` and, with the other sign, to result `7 - n`.
    #[inline(always)]
    fn odd(simd: V3, x13: __m256i, x57: __m256i, n: usize) -> __m256i {
        let i = simd.avx2;
        i._mm256_add_epi32(
            i._mm256_madd_epi16(x13, pair(ODD[n][0], ODD[n][1])),
            i._mm256_madd_epi16(x57, pair(ODD[n][2], ODD[n][3])),
        )
    }

    #[inline(always)]
    fn both<const SHIFT: i32>(simd: V3, even: __m256i, odd: __m256i) -> (__m256i, __m256i) {
        let i = simd.avx2;
        (
            i._mm256_srai_epi32::<SHIFT>(i._mm256_add_epi32(even, odd)),
            i._mm256_srai_epi32::<SHIFT>(i._mm256_sub_epi32(even, odd)),
        )
    }

    /// From rows (0, 4), (1, 5), (2, 6), (3, 7), each register four columns of both in its lower and four in its upper half,
    /// to columns (0 | 4), (1 | 5), (2 | 6), (3 | 7).
    #[inline(always)]
    fn transpose(simd: V3, rows: [__m256i; 4]) -> [__m256i; 4] {
        let i = simd.avx2;
        let a = i._mm256_unpacklo_epi16(rows[0], rows[1]);
        let b = i._mm256_unpackhi_epi16(rows[0], rows[1]);
        let c = i._mm256_unpacklo_epi16(rows[2], rows[3]);
        let d = i._mm256_unpackhi_epi16(rows[2], rows[3]);
        let (e, f) = (i._mm256_unpacklo_epi32(a, c), i._mm256_unpackhi_epi32(a, c));
        let (g, h) = (i._mm256_unpacklo_epi32(b, d), i._mm256_unpackhi_epi32(b, d));
        [
            i._mm256_unpacklo_epi64(e, g),
            i._mm256_unpackhi_epi64(e, g),
            i._mm256_unpacklo_epi64(f, h),
            i._mm256_unpackhi_epi64(f, h),
        ]
    }

    #[inline(always)]
    pub(super) fn transform(
        simd: V3,
        block: &[i16; BLOCK],
        quantisation: &[i16; 64],
        out: &mut [u8],
        stride: usize,
    ) {
        const FIRST: i32 = (CONST_BITS - PASS1_BITS) as i32;
        const SECOND: i32 = (CONST_BITS + PASS1_BITS + 3) as i32;
        let i = simd.avx2;
        let rows = [
            i._mm256_mullo_epi16(load(&block[0..]), load(&quantisation[0..])),
            i._mm256_mullo_epi16(load(&block[16..]), load(&quantisation[16..])),
            i._mm256_mullo_epi16(load(&block[32..]), load(&quantisation[32..])),
            i._mm256_mullo_epi16(load(&block[48..]), load(&quantisation[48..])),
        ];
        let between = pass::<FIRST>(simd, rows, 1 << (FIRST - 1));
        let done = pass::<SECOND>(simd, between, (128 << SECOND) + (1 << (SECOND - 1)));
        let upper: [[u8; 8]; 4] = cast(i._mm256_packus_epi16(done[0], done[1]));
        let lower: [[u8; 8]; 4] = cast(i._mm256_packus_epi16(done[2], done[3]));
        let order = [
            upper[0], upper[1], lower[0], lower[1], upper[2], upper[3], lower[2], lower[3],
        ];
        for (row, out) in order.iter().zip(out.chunks_mut(stride)) {
            out[..8].copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn both_ways_of_transforming_agree() {
        let mut random = Stream::new(1, 0, 0, Purpose::Scene, 0);
        for round in 0..2000u64 {
            let mut block = [0i16; BLOCK];
            let many = 1 + random.below(64);
            for _ in 0..many {
                block[random.below(64) as usize] = (random.below(401) as i16 - 200) / (1 + round as i16 % 7);
            }
            let quantisation: [i16; 64] = std::array::from_fn(|_| 1 + random.below(8) as i16);
            let (mut a, mut b) = ([0u8; 80], [0u8; 80]);
            transform_anywhere(&block, &quantisation, &mut a, 10);
            Transform::best().run(&block, 63, &quantisation, &mut b, 10);
            assert_eq!(a, b, "{block:?} {quantisation:?}");
        }
    }

    #[test]
    fn a_block_of_one_value_needs_no_transform() {
        for dc in -1100..1100i16 {
            let mut block = [0i16; BLOCK];
            block[0] = dc;
            let (mut a, mut b) = ([0u8; 64], [0u8; 64]);
            transform_anywhere(&block, &[3; 64], &mut a, 8);
            fill(dc, 3, &mut b, 8);
            assert_eq!(a, b, "{dc}");
        }
    }
}
