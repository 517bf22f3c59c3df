//! MMSegmentation's photometric distortion of 8-bit pictures, by OpenCV's arithmetic, to the byte: brightness, contrast,
//! saturation and hue, the last two through 8-bit HSV (hue 0..180), each of which rounds.

use crate::rng::Stream;

/// What is done to the colours of a picture; `None` and `0` leave them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Photometric {
    /// Added to every value, -32 to 32.
    pub brightness: Option<f64>,
    /// Every value is multiplied by it, 0.5 to 1.5.
    pub contrast: Option<f64>,
    /// Whether the contrast comes before saturation and hue, or after.
    pub contrast_first: bool,
    /// Saturations are multiplied by it, 0.5 to 1.5.
    pub saturation: Option<f64>,
    /// Added to every hue modulo 180, -18 to 17.
    pub hue: Option<i32>,
}

impl Photometric {
    /// Draws it as MMSegmentation does: each change with probability one half.
    pub fn draw(random: &mut Stream) -> Self {
        let mut change = Self {
            brightness: random.chance(0.5).then(|| random.uniform(-32.0, 32.0)),
            contrast_first: random.chance(0.5),
            ..Self::default()
        };
        let factor = |random: &mut Stream| random.chance(0.5).then(|| random.uniform(0.5, 1.5));
        if change.contrast_first {
            change.contrast = factor(random);
        }
        change.saturation = factor(random);
        change.hue = random.chance(0.5).then(|| random.below(36) as i32 - 18);
        if !change.contrast_first {
            change.contrast = factor(random);
        }
        change
    }

    /// Changes one row of a picture, `[width, 3]`.
    pub fn apply(&self, rgb: &mut [u8]) {
        if let Some(beta) = self.brightness {
            convert(rgb, 1.0, beta);
        }
        if self.contrast_first {
            self.change_contrast(rgb);
        }
        if let Some(alpha) = self.saturation {
            through_hsv(rgb, |[_, saturation, _]| {
                *saturation = converted(*saturation, alpha, 0.0)
            });
        }
        if let Some(delta) = self.hue {
            through_hsv(rgb, |[hue, ..]| {
                *hue = (i32::from(*hue) + delta).rem_euclid(180) as u8
            });
        }
        if !self.contrast_first {
            self.change_contrast(rgb);
        }
    }

    fn change_contrast(&self, rgb: &mut [u8]) {
        if let Some(alpha) = self.contrast {
            convert(rgb, alpha, 0.0);
        }
    }
}

/// `value * alpha + beta` in float32, limited to 0..255 and cut off, not rounded.
fn converted(value: u8, alpha: f64, beta: f64) -> u8 {
    (f32::from(value) * alpha as f32 + beta as f32).clamp(0.0, 255.0) as u8
}

fn convert(values: &mut [u8], alpha: f64, beta: f64) {
    let table: [u8; 256] = std::array::from_fn(|value| converted(value as u8, alpha, beta));
    values
        .iter_mut()
        .for_each(|value| *value = table[usize::from(*value)]);
}

/// Pixels that OpenCV's way back from HSV takes at once with AVX2. It cuts values off in whole blocks of a row and rounds those
/// of the rest, which its documentation does not say.
const BLOCK: usize = 32;

/// Changes one row in HSV.
fn through_hsv(rgb: &mut [u8], change: impl Fn(&mut [u8; 3])) {
    let in_blocks = rgb.len() / 3 / BLOCK * BLOCK;
    for (place, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let mut hsv = to_hsv([pixel[0], pixel[1], pixel[2]]);
        change(&mut hsv);
        let rounded = if place < in_blocks {
            f32::floor
        } else {
            f32::round_ties_even
        };
        pixel.copy_from_slice(&to_rgb(hsv, rounded));
    }
}

/// Fractions of the fixed-point division tables.
const SHIFT: i32 = 12;

/// 8-bit HSV with the hue in 0..180 (OpenCV's `COLOR_RGB2HSV`).
pub fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(i32::from);
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    let divided = |numerator: f64, by: i32| match by {
        0 => 0,
        by => (numerator / f64::from(by)).round_ties_even() as i32,
    };
    let half = 1 << (SHIFT - 1);
    let saturation = (range * divided(f64::from(255 << SHIFT), value) + half) >> SHIFT;
    let sector = if value == r {
        g - b
    } else if value == g {
        b - r + 2 * range
    } else {
        r - g + 4 * range
    };
    let hue = (sector * divided(f64::from(180 << SHIFT) / 6.0, range) + half) >> SHIFT;
    [hue + if hue < 0 { 180 } else { 0 }, saturation, value].map(|v| v.clamp(0, 255) as u8)
}

/// The way back, in float32 (OpenCV's `COLOR_HSV2RGB`); `rounded` makes whole numbers of values in 0..255.
pub fn to_rgb([hue, saturation, value]: [u8; 3], rounded: impl Fn(f32) -> f32) -> [u8; 3] {
    let (s, v) = (
        f32::from(saturation) * (1.0 / 255.0),
        f32::from(value) * (1.0 / 255.0),
    );
    // OpenCV's AVX2 build fuses the products of saturation and fraction with their differences to one.
    const SCALE: f32 = 6.0 / 180.0;
    let sector = (f32::from(hue) * SCALE).floor();
    let f = f32::from(hue) * SCALE - sector;
    let table = [
        v,
        v * (1.0 - s),
        v * (-s).mul_add(f, 1.0),
        v * (-s).mul_add(1.0 - f, 1.0),
    ];
    // Blue, green, red.
    const ORDER: [[usize; 3]; 6] = [[1, 3, 0], [1, 0, 2], [3, 0, 1], [0, 2, 1], [0, 1, 3], [2, 1, 0]];
    let [b, g, r] = ORDER[sector as usize % 6].map(|i| table[i]);
    [r, g, b].map(|c| rounded(c * 255.0).clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn hues_of_pure_colours() {
        for (rgb, hsv) in [
            ([255, 0, 0], [0, 255, 255]),
            ([0, 255, 0], [60, 255, 255]),
            ([0, 0, 255], [120, 255, 255]),
            ([7, 7, 7], [0, 0, 7]),
            ([0, 0, 0], [0, 0, 0]),
        ] {
            assert_eq!(to_hsv(rgb), hsv);
            assert_eq!(to_rgb(hsv, f32::round_ties_even), rgb);
        }
    }

    #[test]
    fn contrast_is_cut_off_and_not_rounded() {
        let change = Photometric {
            contrast: Some(0.5),
            ..Photometric::default()
        };
        let mut rgb = [3, 255, 1];
        change.apply(&mut rgb);
        assert_eq!(rgb, [1, 127, 0]);
    }

    #[test]
    fn half_of_the_changes_are_drawn_within_their_ranges() {
        let drawn = Vec::from_iter(
            (0..2000).map(|i| Photometric::draw(&mut Stream::new(1, 0, i, Purpose::Augment, 0))),
        );
        let share =
            |is: &dyn Fn(&Photometric) -> bool| drawn.iter().filter(|p| is(p)).count() as f64 / 2000.0;
        for part in [
            share(&|p| p.brightness.is_some()),
            share(&|p| p.contrast.is_some()),
            share(&|p| p.saturation.is_some()),
            share(&|p| p.hue.is_some()),
            share(&|p| p.contrast_first),
        ] {
            assert!((0.46..0.54).contains(&part), "{part}");
        }
        let hues = drawn.iter().filter_map(|p| p.hue);
        assert_eq!((hues.clone().min(), hues.max()), (Some(-18), Some(17)));
    }
}
