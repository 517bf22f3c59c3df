//! Gaussian blur as Pillow does it: three box blurs of fractional radius along the rows, then three along the columns.
//!
//! A box of radius r + a (r whole, 0 <= a < 1) weighs the 2r + 1 inner pixels alike and the two beyond by a, in 24-bit
//! fixed point, and every pass rounds to bytes. Beyond the edges the edge pixel repeats.

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
    turned: Vec<u8>,
    line: Vec<u8>,
}

/// Blurs a `[height, width, 3]` picture by a Gaussian of `sigma` pixels.
pub fn gaussian_blur(rgb: &mut [u8], width: usize, height: usize, sigma: f64, scratch: &mut Scratch) {
    let window = Window::new(sigma);
    if sigma <= 0.0 || rgb.is_empty() {
        return;
    }
    let Scratch { turned, line } = scratch;
    for row in rgb.chunks_exact_mut(width * 3) {
        blur_line(row, window, line);
    }
    turned.resize(rgb.len(), 0);
    transpose(rgb, width, height, turned);
    for row in turned.chunks_exact_mut(height * 3) {
        blur_line(row, window, line);
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

fn blur_line(line: &mut [u8], window: Window, old: &mut Vec<u8>) {
    let last = line.len() as isize / 3 - 1;
    let Window { radius, inner, outer } = window;
    let radius = radius as isize;
    for _ in 0..PASSES {
        old.clear();
        old.extend_from_slice(line);
        for channel in 0..3 {
            let at = |x: isize| u32::from(old[x.clamp(0, last) as usize * 3 + channel]);
            let mut sum: u32 = (-radius..=radius).map(at).sum();
            for x in 0..=last {
                let edges = at(x - radius - 1) + at(x + radius + 1);
                let blurred = (sum * inner + edges * outer + (1 << 23)) >> 24;
                line[x as usize * 3 + channel] = blurred as u8;
                sum = sum + at(x + radius + 1) - at(x - radius);
            }
        }
    }
}
