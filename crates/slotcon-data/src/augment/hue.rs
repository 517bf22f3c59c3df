//! Turning the hue: to 8-bit HSV, the hue moved, and back, with Pillow's rounding on the way.
//!
//! Pillow computes the hue partly in double precision. What is done here in single precision, carrying the rounding
//! errors along, gives the same bytes for all 16.7 million colours (see the tests).

use super::pixel_block::{Block, LANES};

/// Moves the hue by `turn` of the colour circle (-0.5 to 0.5; steps of 1/255, fraction dropped).
#[inline(always)]
pub(super) fn shift_hue(block: &mut Block, turn: f64) {
    // Dropping the fraction towards 0 and wrapping at 256 is what the official transforms do.
    let step = f32::from((turn * 255.0) as i32 as u8);
    for i in 0..LANES {
        let (h, s, v) = to_hsv(block.r[i], block.g[i], block.b[i]);
        let moved = h + step;
        let moved = if moved >= 256.0 { moved - 256.0 } else { moved };
        (block.r[i], block.g[i], block.b[i]) = to_rgb(moved, s, v);
    }
}

/// Division by a constant, rounded as a division is: a product, and one step of correction.
#[inline(always)]
fn divide(value: f32, by: f32) -> f32 {
    let reciprocal = 1.0 / by;
    let quotient = value * reciprocal;
    (-quotient).mul_add(by, value).mul_add(reciprocal, quotient)
}

/// A colour of whole numbers from 0 to 255, to hue, saturation and value of the same kind.
#[inline(always)]
fn to_hsv(r: f32, g: f32, b: f32) -> (f32, f32, f32) {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = max - min;
    let (red, green) = (r == max, g == max);
    // The two colours whose distance from the largest makes the hue, and where on the circle it begins.
    let far = if red {
        max - b
    } else if green {
        max - r
    } else {
        max - g
    };
    let near = if red {
        max - g
    } else if green {
        max - b
    } else {
        max - r
    };
    let start = if red {
        0.0
    } else if green {
        2.0
    } else {
        4.0
    };
    let divisor = range.max(1.0);
    let (far, near) = (far / divisor, near / divisor);
    // start + far - near, with what each step rounds away added at the end.
    let first = start + far;
    let lost_first = far - (first - start);
    let second = first - near;
    let kept = second - first;
    let lost_second = (first - (second - kept)) - (near + kept);
    let sixths = if red {
        far - near
    } else {
        second + (lost_first + lost_second)
    };
    let turn = divide(sixths, 6.0);
    let turn = if sixths < 0.0 { turn + 1.0 } else { turn };
    let hue = if range == 0.0 { 0.0 } else { (turn * 255.0).floor() };
    let saturation = (range / max.max(1.0) * 255.0).floor();
    (hue, saturation, max)
}

/// And back.
#[inline(always)]
fn to_rgb(h: f32, s: f32, v: f32) -> (f32, f32, f32) {
    let sixths = divide(h * 6.0, 255.0);
    let sector = sixths.floor();
    let within = sixths - sector;
    let saturation = divide(s, 255.0);
    let round = |x: f32| (x + 0.5).floor();
    // The least colour, and the middle one, which falls in the odd sectors and rises in the even ones.
    let falls = sector == 1.0 || sector == 3.0 || sector == 5.0;
    let part = if falls { within } else { 1.0 - within };
    let least = round(v * (1.0 - saturation));
    let middle = round(v * (1.0 - saturation * part));
    let sector = if sector == 6.0 { 0.0 } else { sector };
    // Each colour is largest in the two sectors about its own, middle in the next two, least in the last two.
    let pick = |away: f32| {
        let lower = if away < 2.0 { middle } else { least };
        if away < 1.0 { v } else { lower }
    };
    (
        pick(3.0 - (sector - 2.5).abs()),
        pick((sector - 1.5).abs()),
        pick((sector - 3.5).abs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow's conversion step by step, with its mixture of single and double precision.
    fn to_hsv_as_pillow(r: u8, g: u8, b: u8) -> (u8, u8, u8) {
        let (max, min) = (r.max(g).max(b), r.min(g).min(b));
        if max == min {
            return (0, 0, max);
        }
        let range = f32::from(max - min);
        let part = |v: u8| f32::from(max - v) / range;
        let (rc, gc, bc) = (part(r), part(g), part(b));
        let sixths = if r == max {
            bc - gc
        } else if g == max {
            (2.0 + f64::from(rc) - f64::from(bc)) as f32
        } else {
            (4.0 + f64::from(gc) - f64::from(rc)) as f32
        };
        let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
        let saturation = range / f32::from(max);
        (
            (f64::from(hue) * 255.0) as u8,
            (f64::from(saturation) * 255.0) as u8,
            max,
        )
    }

    fn to_rgb_as_pillow(h: u8, s: u8, v: u8) -> (u8, u8, u8) {
        if s == 0 {
            return (v, v, v);
        }
        let sixths = (f64::from(h) * 6.0 / 255.0) as f32;
        let within = sixths - sixths.floor();
        let (saturation, value) = (f32::from(s) / 255.0, f32::from(v));
        let round = |x: f32| x.round() as u8;
        let p = round(value * (1.0 - saturation));
        let q = round(value * (1.0 - saturation * within));
        let t = round(value * (1.0 - saturation * (1.0 - within)));
        match sixths as u8 % 6 {
            0 => (v, t, p),
            1 => (q, v, p),
            2 => (p, v, t),
            3 => (p, q, v),
            4 => (t, p, v),
            _ => (v, p, q),
        }
    }

    fn all(fast: impl Fn(f32, f32, f32) -> (f32, f32, f32), exact: impl Fn(u8, u8, u8) -> (u8, u8, u8)) {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                for c in 0..=255u8 {
                    let got = fast(f32::from(a), f32::from(b), f32::from(c));
                    assert_eq!(
                        (got.0 as u8, got.1 as u8, got.2 as u8),
                        exact(a, b, c),
                        "{a} {b} {c}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_colours_convert_as_pillow_converts_them() {
        // Dispatched, so that fused multiplication is an instruction and not a slow call.
        crate::simd::dispatch(
            #[inline(always)]
            || all(to_hsv, to_hsv_as_pillow),
        );
        all(to_rgb, to_rgb_as_pillow);
    }
}
