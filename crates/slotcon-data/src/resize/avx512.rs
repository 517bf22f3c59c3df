//! Mixing rows with AVX-512: twice as many values at a time.

use std::arch::x86_64::__m512i;

use pulp::bytemuck::cast;
use pulp::x86::V4;

use super::weights::{HALF, WEIGHT_BITS};

/// Mixes as many values as fit into whole registers, and gives how many these are.
#[inline(always)]
pub(super) fn mix_rows(simd: V4, rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) -> usize {
    const LANES: usize = 32;
    let i = simd.avx512f;
    let mut done = 0;
    for out in out.chunks_exact_mut(LANES) {
        let start = cast::<[i32; 16], __m512i>([HALF; 16]);
        let [mut a, mut b] = [start; 2];
        let mut at = done;
        for &weight in weights {
            let row = &rows[at..at + LANES];
            let weight = cast::<[i32; 16], __m512i>([weight; 16]);
            a = i._mm512_add_epi32(a, i._mm512_mullo_epi32(sixteen(simd, &row[..16]), weight));
            b = i._mm512_add_epi32(b, i._mm512_mullo_epi32(sixteen(simd, &row[16..]), weight));
            at += stride;
        }
        out[..16].copy_from_slice(&bytes(simd, a));
        out[16..].copy_from_slice(&bytes(simd, b));
        done += LANES;
    }
    done
}

#[inline(always)]
fn sixteen(simd: V4, bytes: &[u8]) -> __m512i {
    let mut sixteen = [0u8; 16];
    sixteen.copy_from_slice(bytes);
    simd.avx512f._mm512_cvtepu8_epi32(cast(sixteen))
}

#[inline(always)]
fn bytes(simd: V4, sum: __m512i) -> [u8; 16] {
    let i = simd.avx512f;
    let grey = i._mm512_srai_epi32::<{ WEIGHT_BITS }>(sum);
    let positive = i._mm512_max_epi32(grey, cast([0i32; 16]));
    cast(i._mm512_cvtusepi32_epi8(positive))
}
