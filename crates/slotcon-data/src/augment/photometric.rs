//! MMSegmentation's photometric distortion of 8-bit pictures, by OpenCV's arithmetic, to the byte: brightness, contrast,
//! saturation and hue, the last two through 8-bit HSV (hue 0..180), each of which rounds.

use super::pixel_block::{Block, LANES};
use crate::rng::Stream;
use crate::simd::dispatch;

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
        if *self == Self::default() {
            return;
        }
        dispatch(
            #[inline(always)]
            || {
                for part in rgb.chunks_mut(LANES * 3) {
                    let mut block = Block::load(part);
                    self.change(&mut block, part.len() == LANES * 3);
                    block.store(part);
                }
            },
        );
    }

    /// Changes a block of a row, which is `whole` unless the row ends in it.
    #[inline(always)]
    fn change(&self, block: &mut Block, whole: bool) {
        if let Some(beta) = self.brightness {
            convert(block, 1.0, beta);
        }
        if let (true, Some(alpha)) = (self.contrast_first, self.contrast) {
            convert(block, alpha, 0.0);
        }
        if let Some(alpha) = self.saturation {
            let alpha = alpha as f32;
            through_hsv(block, whole, |h, s| (h, converted(s, alpha, 0.0)));
        }
        if let Some(delta) = self.hue {
            let delta = delta.rem_euclid(180) as f32;
            through_hsv(block, whole, |h, s| {
                let moved = h + delta;
                (if moved >= 180.0 { moved - 180.0 } else { moved }, s)
            });
        }
        if let (false, Some(alpha)) = (self.contrast_first, self.contrast) {
            convert(block, alpha, 0.0);
        }
    }
}

/// `value * alpha + beta` in float32, limited to 0..255 and cut off, not rounded.
#[inline(always)]
fn converted(value: f32, alpha: f32, beta: f32) -> f32 {
    (value * alpha + beta).clamp(0.0, 255.0).floor()
}

#[inline(always)]
fn convert(block: &mut Block, alpha: f64, beta: f64) {
    let (alpha, beta) = (alpha as f32, beta as f32);
    block.each(
        #[inline(always)]
        |lane| {
            lane.iter_mut()
                .for_each(|value| *value = converted(*value, alpha, beta))
        },
    );
}

/// Changes hue and saturation of a block in HSV.
///
/// OpenCV's way back takes [`LANES`] pixels at once with AVX2. It cuts values off in whole blocks of a row and rounds those of the
/// rest, which its documentation does not say.
#[inline(always)]
fn through_hsv(block: &mut Block, whole: bool, change: impl Fn(f32, f32) -> (f32, f32)) {
    for i in 0..LANES {
        let [h, s, v] = to_hsv([block.r[i], block.g[i], block.b[i]]);
        let (h, s) = change(h, s);
        let rgb = to_rgb([h, s, v]);
        [block.r[i], block.g[i], block.b[i]] = rgb;
    }
    block.each(
        #[inline(always)]
        |lane| {
            for value in lane {
                let rounded = if whole {
                    value.floor()
                } else {
                    value.round_ties_even()
                };
                *value = rounded.clamp(0.0, 255.0);
            }
        },
    );
}

/// Fractions of the fixed-point division tables.
const ONE: f32 = 4096.0;

/// HSV of whole numbers from 0 to 255, with the hue in 0..180 (OpenCV's `COLOR_RGB2HSV`). All numbers on the way are whole or exact
/// in single precision.
#[inline(always)]
pub fn to_hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    // Nothing is divided where the divisor is 0: the other factor is 0 then, too.
    let divided = |numerator: f32, by: f32| (numerator / by.max(1.0)).round_ties_even();
    let fixed = |product: f32| ((product + ONE / 2.0) * (1.0 / ONE)).floor();
    let saturation = fixed(range * divided(255.0 * ONE, value));
    let sector = if value == r {
        g - b
    } else if value == g {
        b - r + 2.0 * range
    } else {
        r - g + 4.0 * range
    };
    let hue = fixed(sector * divided(30.0 * ONE, range));
    [if hue < 0.0 { hue + 180.0 } else { hue }, saturation, value]
}

/// The way back, in float32 (OpenCV's `COLOR_HSV2RGB`), in 0..255 and not yet whole.
#[inline(always)]
pub fn to_rgb([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    let (s, v) = (saturation * (1.0 / 255.0), value * (1.0 / 255.0));
    // OpenCV's AVX2 build fuses the products of saturation and fraction with their differences to one.
    const SCALE: f32 = 6.0 / 180.0;
    let turned = hue * SCALE;
    let sector = turned.floor();
    let f = turned - sector;
    let sector = if sector >= 6.0 { sector - 6.0 } else { sector };
    let low = v * (1.0 - s);
    let falling = v * (-s).mul_add(f, 1.0);
    let rising = v * (-s).mul_add(1.0 - f, 1.0);
    [
        by_sector(sector, [v, falling, low, low, rising, v]),
        by_sector(sector, [rising, v, v, falling, low, low]),
        by_sector(sector, [low, low, rising, v, v, falling]),
    ]
    .map(|c| c * 255.0)
}

/// The value of a sector from 0 to 5, chosen without a jump.
#[inline(always)]
fn by_sector(sector: f32, values: [f32; 6]) -> f32 {
    let mut chosen = values[5];
    for i in (0..5).rev() {
        chosen = if sector <= i as f32 { values[i] } else { chosen };
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn hues_of_pure_colours() {
        for (rgb, hsv) in [
            ([255u8, 0, 0], [0u8, 255, 255]),
            ([0, 255, 0], [60, 255, 255]),
            ([0, 0, 255], [120, 255, 255]),
            ([7, 7, 7], [0, 0, 7]),
            ([0, 0, 0], [0, 0, 0]),
        ] {
            let (rgb, hsv) = (rgb.map(f32::from), hsv.map(f32::from));
            assert_eq!(to_hsv(rgb), hsv);
            assert_eq!(to_rgb(hsv).map(f32::round_ties_even), rgb);
        }
    }

    /// OpenCV makes its tables in double precision.
    #[test]
    fn divisions_in_single_precision_are_those_of_the_tables() {
        for (numerator, by) in [255u32, 30]
            .into_iter()
            .flat_map(|n| (1..256u32).map(move |by| (n << 12, by)))
        {
            let table = (f64::from(numerator) / f64::from(by)).round_ties_even();
            let here = (numerator as f32 / by as f32).round_ties_even();
            assert_eq!(f64::from(here), table, "{numerator} / {by}");
        }
    }

    /// Sums and products of HSV with whole numbers, as OpenCV has them, for colours all over the cube.
    #[test]
    fn the_way_to_hsv_is_the_one_in_whole_numbers() {
        let whole = |[r, g, b]: [u8; 3]| {
            let [r, g, b] = [r, g, b].map(i32::from);
            let (value, range) = (r.max(g).max(b), r.max(g).max(b) - r.min(g).min(b));
            let divided = |n: i32, by: i32| match by {
                0 => 0,
                by => (f64::from(n << 12) / f64::from(by)).round_ties_even() as i32,
            };
            let saturation = (range * divided(255, value) + 2048) >> 12;
            let sector = match () {
                () if value == r => g - b,
                () if value == g => b - r + 2 * range,
                () => r - g + 4 * range,
            };
            let hue = (sector * divided(30, range) + 2048) >> 12;
            [if hue < 0 { hue + 180 } else { hue }, saturation, value].map(|v| v as f32)
        };
        for i in (0..1u32 << 24).step_by(7) {
            let rgb = [(i >> 16) as u8, (i >> 8) as u8, i as u8];
            assert_eq!(to_hsv(rgb.map(f32::from)), whole(rgb), "{rgb:?}");
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
