//! Gaussian blur as Pillow does it: three box blurs of fractional radius along the rows, then three along the columns.
//!
//! A box of radius r + a (r whole, 0 <= a < 1) weighs the 2r + 1 inner pixels alike and the two beyond by a, in 24-bit
//! fixed point, and every pass rounds to bytes. Beyond the edges the edge pixel repeats.

use crate::simd::dispatch;

/// How many box blurs stand for one Gaussian.
const PASSES: u32 = 3;

/// The box: whole radius and the 24-bit weights of the inner pixels and of the two outer ones.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    radius: usize,
    inner: u32,
    outer: u32,
}

impl Window {
    fn new(sigma: f64) -> Self {
        let box_radius = box_radius(sigma as f32);
        let radius = box_radius as usize;
        let inner = ((1 << 24) as f32 / (box_radius * 2.0 + 1.0)) as u32;
        let outer = ((1 << 24) - (radius as u32 * 2 + 1) * inner) / 2;
        Self { radius, inner, outer }
    }
}

/// The radius at which three box blurs have the variance of the Gaussian.
fn box_radius(sigma: f32) -> f32 {
    let variance = sigma * sigma / PASSES as f32;
    let ideal = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
    let whole = ((f64::from(ideal) - 1.0) / 2.0).floor() as f32;
    let part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
        / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
    whole + part
}

/// The memory a thread keeps to blur one view after another.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    a: Vec<u8>,
    b: Vec<u8>,
}

/// Blurs a `[height, width, 3]` picture by a Gaussian of `sigma` pixels.
pub fn gaussian_blur(rgb: &mut [u8], width: usize, height: usize, sigma: f64, scratch: &mut Scratch) {
    if sigma <= 0.0 || rgb.is_empty() {
        return;
    }
    let window = Window::new(sigma);
    dispatch(
        #[inline(always)]
        || match window.radius {
            // What the official sigmas, up to 2, come to.
            0 => blur::<0>(rgb, width, height, window, scratch),
            1 => blur::<1>(rgb, width, height, window, scratch),
            _ => blur_wide(rgb, width, height, window, scratch),
        },
    );
}

#[inline(always)]
fn blur<const R: usize>(rgb: &mut [u8], width: usize, height: usize, window: Window, scratch: &mut Scratch) {
    let Scratch { a, b } = scratch;
    // A row between as many repeated pixels as the window reaches beyond its ends.
    let (edge, stride) = ((R + 1) * 3, width * 3);
    a.resize(rgb.len().max(stride + 2 * edge), 0);
    b.resize(rgb.len().max(stride + 2 * edge), 0);
    {
        let (a, b) = (&mut a[..stride + 2 * edge], &mut b[..stride + 2 * edge]);
        for row in rgb.chunks_exact_mut(stride) {
            a[edge..edge + stride].copy_from_slice(row);
            repeat_ends(a, edge, stride);
            along::<R>(a, &mut b[edge..edge + stride], window);
            repeat_ends(b, edge, stride);
            along::<R>(b, &mut a[edge..edge + stride], window);
            repeat_ends(a, edge, stride);
            along::<R>(a, row, window);
        }
    }
    let (a, b) = (&mut a[..rgb.len()], &mut b[..rgb.len()]);
    down::<R>(rgb, a, stride, height, window);
    down::<R>(a, b, stride, height, window);
    down::<R>(b, rgb, stride, height, window);
}

#[inline(always)]
fn repeat_ends(row: &mut [u8], edge: usize, stride: usize) {
    for i in (0..edge).rev() {
        row[i] = row[i + 3];
    }
    for i in edge + stride..2 * edge + stride {
        row[i] = row[i - 3];
    }
}

#[inline(always)]
fn weigh(inner: u32, outer: u32, window: Window) -> u8 {
    ((inner * window.inner + outer * window.outer + (1 << 23)) >> 24) as u8
}

/// One pass along a row that has its ends repeated.
#[inline(always)]
fn along<const R: usize>(row: &[u8], out: &mut [u8], window: Window) {
    let n = out.len();
    let at = |k: usize| &row[k * 3..k * 3 + n];
    if R == 0 {
        for (((out, &l), &m), &r) in out.iter_mut().zip(at(0)).zip(at(1)).zip(at(2)) {
            *out = weigh(m.into(), u32::from(l) + u32::from(r), window);
        }
    } else {
        let outer = at(0).iter().zip(at(4));
        let inner = at(1).iter().zip(at(2)).zip(at(3));
        for ((out, (&l, &r)), ((&a, &b), &c)) in out.iter_mut().zip(outer).zip(inner) {
            *out = weigh(
                u32::from(a) + u32::from(b) + u32::from(c),
                u32::from(l) + u32::from(r),
                window,
            );
        }
    }
}

/// One pass down the columns.
#[inline(always)]
fn down<const R: usize>(rows: &[u8], out: &mut [u8], stride: usize, height: usize, window: Window) {
    for (y, out) in out.chunks_exact_mut(stride).enumerate() {
        let at = |offset: isize| {
            let y = y.saturating_add_signed(offset).min(height - 1);
            &rows[y * stride..(y + 1) * stride]
        };
        if R == 0 {
            for (((out, &l), &m), &r) in out.iter_mut().zip(at(-1)).zip(at(0)).zip(at(1)) {
                *out = weigh(m.into(), u32::from(l) + u32::from(r), window);
            }
        } else {
            let outer = at(-2).iter().zip(at(2));
            let inner = at(-1).iter().zip(at(0)).zip(at(1));
            for ((out, (&l, &r)), ((&a, &b), &c)) in out.iter_mut().zip(outer).zip(inner) {
                *out = weigh(
                    u32::from(a) + u32::from(b) + u32::from(c),
                    u32::from(l) + u32::from(r),
                    window,
                );
            }
        }
    }
}

/// Windows of any width, by sums that slide along.
fn blur_wide(rgb: &mut [u8], width: usize, height: usize, window: Window, scratch: &mut Scratch) {
    let Scratch { a: turned, b: line } = scratch;
    for row in rgb.chunks_exact_mut(width * 3) {
        slide(row, window, line);
    }
    turned.resize(rgb.len(), 0);
    transpose(rgb, width, height, turned);
    for row in turned.chunks_exact_mut(height * 3) {
        slide(row, window, line);
    }
    transpose(turned, height, width, rgb);
}

fn transpose(from: &[u8], width: usize, height: usize, to: &mut [u8]) {
    for y in 0..height {
        for x in 0..width {
            let (a, b) = ((y * width + x) * 3, (x * height + y) * 3);
            to[b..b + 3].copy_from_slice(&from[a..a + 3]);
        }
    }
}

fn slide(line: &mut [u8], window: Window, old: &mut Vec<u8>) {
    let last = line.len() as isize / 3 - 1;
    let radius = window.radius as isize;
    for _ in 0..PASSES {
        old.clear();
        old.extend_from_slice(line);
        for channel in 0..3 {
            let at = |x: isize| u32::from(old[x.clamp(0, last) as usize * 3 + channel]);
            let mut sum: u32 = (-radius..=radius).map(at).sum();
            for x in 0..=last {
                let edges = at(x - radius - 1) + at(x + radius + 1);
                line[x as usize * 3 + channel] = weigh(sum, edges, window);
                sum = sum + at(x + radius + 1) - at(x - radius);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_windows_equal_sliding_sums() {
        for (width, height) in [(1, 1), (2, 1), (1, 5), (3, 3), (40, 17), (33, 50)] {
            let picture: Vec<u8> = (0..width * height * 3)
                .map(|i| (i * i * 31 % 251) as u8)
                .collect();
            for sigma in [0.1, 0.4, 0.9, 1.3, 1.5, 2.0, 2.4] {
                let (mut fast, mut slow) = (picture.clone(), picture.clone());
                gaussian_blur(&mut fast, width, height, sigma, &mut Scratch::default());
                blur_wide(
                    &mut slow,
                    width,
                    height,
                    Window::new(sigma),
                    &mut Scratch::default(),
                );
                assert_eq!(fast, slow, "{width}x{height} {sigma}");
            }
        }
    }
}
