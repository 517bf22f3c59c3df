//! Brightness, contrast, saturation, gray and solarize on 8-bit RGB, with Pillow's rounding.

/// The gray value of a pixel: ITU-R 601 luma in 16-bit fixed point.
#[inline(always)]
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// `base + factor * (value - base)` in single precision, cut to 0..=255, fraction dropped.
#[inline(always)]
fn blend(base: u8, value: u8, factor: f32) -> u8 {
    let base = f32::from(base);
    // The cast saturates and drops the fraction.
    (base + factor * (f32::from(value) - base)) as u8
}

fn map_values(rgb: &mut [u8], table: &[u8; 256]) {
    for value in rgb {
        *value = table[*value as usize];
    }
}

fn table(f: impl Fn(u8) -> u8) -> [u8; 256] {
    std::array::from_fn(|i| f(i as u8))
}

/// Blends with black: 0 gives black, 1 the picture, more a brighter one.
pub fn brightness(rgb: &mut [u8], factor: f64) {
    map_values(rgb, &table(|v| blend(0, v, factor as f32)));
}

/// Blends with the mean gray of the picture.
pub fn contrast(rgb: &mut [u8], factor: f64) {
    let pixels = (rgb.len() / 3).max(1) as f64;
    let sum: u64 = rgb
        .chunks_exact(3)
        .map(|p| u64::from(luma(p[0], p[1], p[2])))
        .sum();
    let mean = (sum as f64 / pixels + 0.5) as u8;
    map_values(rgb, &table(|v| blend(mean, v, factor as f32)));
}

/// Blends with the gray picture.
pub fn saturation(rgb: &mut [u8], factor: f64) {
    let factor = factor as f32;
    for p in rgb.chunks_exact_mut(3) {
        let gray = luma(p[0], p[1], p[2]);
        for value in p {
            *value = blend(gray, *value, factor);
        }
    }
}

/// Replaces every colour by its gray value.
pub fn grayscale(rgb: &mut [u8]) {
    for p in rgb.chunks_exact_mut(3) {
        p.fill(luma(p[0], p[1], p[2]));
    }
}

/// Inverts the values from `threshold` on.
pub fn solarize(rgb: &mut [u8], threshold: u8) {
    map_values(rgb, &table(|v| if v < threshold { v } else { 255 - v }));
}
