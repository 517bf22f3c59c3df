//! Both directions of resizing with AVX2.

use std::arch::x86_64::{__m128i, __m256i};

use pulp::bytemuck::cast;
use pulp::x86::V3;

use super::weights::{HALF, WEIGHT_BITS, Weights};

/// Lower bits of a weight that are multiplied apart: 22 bits do not fit into one 16-bit product.
const LOW_BITS: u32 = 11;

/// Old pixels that are weighed at once.
const TAPS: usize = 4;

/// Bytes within which the old pixels of four new ones begin where these are made together; what one of them reads
/// at most; and all that four may read.
const CLOSE: usize = 64;
const REACH: usize = 3 * TAPS * 3 + 4;
const WINDOW: usize = CLOSE + REACH;

/// The weights as the instructions want them.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    /// First byte of every new pixel.
    starts: Vec<usize>,
    /// For each new pixel and each four of its weights: the upper parts, then the lower parts, both as
    /// (0, 1) for every colour, then (2, 3).
    parts: Vec<[[i16; 16]; 2]>,
    /// How many fours every new pixel has.
    steps: usize,
    /// Whether any four new pixels beside each other have old ones that begin within `CLOSE` bytes.
    close: bool,
    pub(super) reach: usize,
}

impl Packed {
    pub(super) fn fill(&mut self, weights: &Weights) {
        let most = weights.iter().map(|(_, w)| w.len()).max().unwrap_or(0);
        self.steps = most.div_ceil(TAPS);
        self.starts.clear();
        self.parts.clear();
        self.reach = 0;
        for (first, weights) in weights.iter() {
            self.starts.push(first * 3);
            // Four pixels are 12 bytes, but 16 are read.
            self.reach = self.reach.max(first * 3 + self.steps * TAPS * 3 + 4);
            for step in 0..self.steps {
                let weight = |i: usize| weights.get(step * TAPS + i).copied().unwrap_or(0);
                let high = |i: usize| (weight(i) >> LOW_BITS) as i16;
                let low = |i: usize| (weight(i) & ((1 << LOW_BITS) - 1)) as i16;
                let spread = |w: &dyn Fn(usize) -> i16| {
                    std::array::from_fn(|lane| {
                        if lane % 8 >= 6 {
                            0
                        } else {
                            w(lane / 8 * 2 + lane % 2)
                        }
                    })
                };
                self.parts.push([spread(&high), spread(&low)]);
            }
        }
        self.close = self.starts.windows(4).all(|four| four[3] - four[0] < CLOSE);
    }
}

/// Mixes as many values as fit into whole registers, and gives how many these are.
#[inline(always)]
pub(super) fn mix_rows(simd: V3, rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) -> usize {
    const LANES: usize = 32;
    let i = simd.avx2;
    let mut done = 0;
    for out in out.chunks_exact_mut(LANES) {
        let start = cast::<[i32; 8], __m256i>([HALF; 8]);
        let [mut a, mut b, mut c, mut d] = [start; 4];
        let mut at = done;
        for &weight in weights {
            let row = &rows[at..at + LANES];
            let weight = cast::<[i32; 8], __m256i>([weight; 8]);
            a = i._mm256_add_epi32(a, i._mm256_mullo_epi32(eight(simd, &row[0..8]), weight));
            b = i._mm256_add_epi32(b, i._mm256_mullo_epi32(eight(simd, &row[8..16]), weight));
            c = i._mm256_add_epi32(c, i._mm256_mullo_epi32(eight(simd, &row[16..24]), weight));
            d = i._mm256_add_epi32(d, i._mm256_mullo_epi32(eight(simd, &row[24..32]), weight));
            at += stride;
        }
        let ab = i._mm256_packs_epi32(descale(simd, a), descale(simd, b));
        let cd = i._mm256_packs_epi32(descale(simd, c), descale(simd, d));
        // Packing works on halves; this puts the fours of values back in order.
        let order = cast::<[i32; 8], __m256i>([0, 4, 1, 5, 2, 6, 3, 7]);
        let bytes = i._mm256_permutevar8x32_epi32(i._mm256_packus_epi16(ab, cd), order);
        out.copy_from_slice(&cast::<__m256i, [u8; 32]>(bytes));
        done += LANES;
    }
    done
}

#[inline(always)]
fn descale(simd: V3, sum: __m256i) -> __m256i {
    simd.avx2._mm256_srai_epi32::<{ WEIGHT_BITS as i32 }>(sum)
}

/// Eight bytes as integers.
#[inline(always)]
fn eight(simd: V3, bytes: &[u8]) -> __m256i {
    let mut low = [0u8; 16];
    low[..8].copy_from_slice(bytes);
    simd.avx2._mm256_cvtepu8_epi32(cast(low))
}

#[inline(always)]
pub(super) fn run(simd: V3, packed: &Packed, row: &[u8], mirror: bool, out: &mut [u8]) {
    match packed.steps {
        1 => run_steps::<1>(simd, packed, row, mirror, out),
        2 => run_steps::<2>(simd, packed, row, mirror, out),
        3 => run_steps::<3>(simd, packed, row, mirror, out),
        _ => run_steps::<0>(simd, packed, row, mirror, out),
    }
}

/// With the number of steps known beforehand where it is small; 0 stands for any.
#[inline(always)]
fn run_steps<const STEPS: usize>(simd: V3, packed: &Packed, row: &[u8], mirror: bool, out: &mut [u8]) {
    let steps = if STEPS == 0 { packed.steps } else { STEPS };
    let mut x = 0;
    // Four at a time where the old pixels of four lie close together.
    while STEPS != 0 && packed.close && x + 4 <= packed.starts.len() {
        let base = packed.starts[x];
        let Some(window) = row.get(base..).and_then(|row| row.first_chunk::<WINDOW>()) else {
            break;
        };
        let place = |i: usize| (packed.starts[x + i] - base) % CLOSE;
        let places = [place(0), place(1), place(2), place(3)];
        let parts = &packed.parts[x * STEPS..(x + 4) * STEPS];
        let a = weigh(simd, &parts[..STEPS], &window[places[0]..places[0] + REACH]);
        let b = weigh(
            simd,
            &parts[STEPS..2 * STEPS],
            &window[places[1]..places[1] + REACH],
        );
        let c = weigh(
            simd,
            &parts[2 * STEPS..3 * STEPS],
            &window[places[2]..places[2] + REACH],
        );
        let d = weigh(simd, &parts[3 * STEPS..], &window[places[3]..places[3] + REACH]);
        let first = if mirror { packed.starts.len() - x - 4 } else { x };
        out[first * 3..first * 3 + 12].copy_from_slice(&four_pixels(simd, [a, b, c, d], mirror));
        x += 4;
    }
    for (x, &start) in packed.starts.iter().enumerate().skip(x) {
        let parts = &packed.parts[x * steps..(x + 1) * steps];
        let sum = weigh(simd, parts, &row[start..start + steps * TAPS * 3 + 4]);
        let x = if mirror { packed.starts.len() - 1 - x } else { x };
        out[x * 3..x * 3 + 3].copy_from_slice(&one_pixel(simd, sum));
    }
}

/// The weighted sums of one new pixel: one half of the result for the first, one for the second two of each four old
/// pixels.
#[inline(always)]
fn weigh(simd: V3, parts: &[[[i16; 16]; 2]], old: &[u8]) -> __m256i {
    // From four RGB pixels to pairs of the same colour, two pixels in each half, widened by zeros (-1).
    let pairs = cast::<[i8; 32], __m256i>([
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1,
        -1, -1, -1, -1,
    ]);
    let i = simd.avx2;
    let mut high = cast::<[i32; 8], __m256i>([0; 8]);
    let mut low = high;
    for (step, [upper, lower]) in parts.iter().enumerate() {
        let mut sixteen = [0u8; 16];
        sixteen.copy_from_slice(&old[step * TAPS * 3..step * TAPS * 3 + 16]);
        let both = i._mm256_broadcastsi128_si256(cast::<[u8; 16], __m128i>(sixteen));
        let values = i._mm256_shuffle_epi8(both, pairs);
        high = i._mm256_add_epi32(high, i._mm256_madd_epi16(values, cast(*upper)));
        low = i._mm256_add_epi32(low, i._mm256_madd_epi16(values, cast(*lower)));
    }
    i._mm256_add_epi32(i._mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low)
}

#[inline(always)]
fn one_pixel(simd: V3, sum: __m256i) -> [u8; 3] {
    let (i, s) = (simd.avx2, simd.sse2);
    let (a, b) = (
        simd.avx._mm256_castsi256_si128(sum),
        i._mm256_extracti128_si256::<1>(sum),
    );
    let sum = s._mm_add_epi32(s._mm_add_epi32(a, b), cast([HALF; 4]));
    let scaled = s._mm_srai_epi32::<{ WEIGHT_BITS as i32 }>(sum);
    let words = s._mm_packs_epi32(scaled, scaled);
    let bytes: [u8; 16] = cast(s._mm_packus_epi16(words, words));
    [bytes[0], bytes[1], bytes[2]]
}

#[inline(always)]
fn four_pixels(simd: V3, [a, b, c, d]: [__m256i; 4], mirror: bool) -> [u8; 12] {
    let i = simd.avx2;
    let (ab, cd) = (
        descale(simd, add_halves(simd, a, b)),
        descale(simd, add_halves(simd, c, d)),
    );
    // a and c in the lower, b and d in the upper half.
    let words = i._mm256_packs_epi32(ab, cd);
    let bytes = i._mm256_packus_epi16(words, words);
    let order: [i32; 8] = if mirror {
        [5, 1, 4, 0, 0, 0, 0, 0]
    } else {
        [0, 4, 1, 5, 0, 0, 0, 0]
    };
    let pixels = i._mm256_permutevar8x32_epi32(bytes, cast(order));
    // Four bytes a pixel to three.
    let close_up = cast::<[i8; 16], __m128i>([0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1]);
    let pixels = simd
        .ssse3
        ._mm_shuffle_epi8(simd.avx._mm256_castsi256_si128(pixels), close_up);
    let bytes: [u8; 16] = cast(pixels);
    let mut twelve = [0; 12];
    twelve.copy_from_slice(&bytes[..12]);
    twelve
}

/// The two halves of both added, and half a grey level.
#[inline(always)]
fn add_halves(simd: V3, a: __m256i, b: __m256i) -> __m256i {
    let i = simd.avx2;
    let lower = i._mm256_permute2x128_si256::<0x20>(a, b);
    let upper = i._mm256_permute2x128_si256::<0x31>(a, b);
    i._mm256_add_epi32(i._mm256_add_epi32(lower, upper), cast([HALF; 8]))
}
