//! OpenCV's resizing of 8-bit pictures and label maps, to the byte: what MMSegmentation trains with. No antialiasing, fixed
//! point with 11 bits for the picture, and a nearest neighbour without the half-pixel shift for labels. Only the region that
//! is wanted is computed.

use crate::simd::dispatch;

/// A part of the resized picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Region {
    /// All of a picture of this size.
    pub fn all(width: u32, height: u32) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }
}

/// Weights are multiples of 2^-11.
const ONE: f32 = 2048.0;

/// Where one output position along a dimension looks: two input positions and their weights.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weights: [i32; 2],
}

/// The taps of outputs `from..from + count` where `input` positions become `output`. OpenCV puts the fraction at a right-hand
/// border to zero along x, but only repeats the last row along y (`clamp_fraction`).
fn taps(input: u32, output: u32, from: u32, count: u32, clamp_fraction: bool) -> Vec<Tap> {
    let scale = f64::from(input) / f64::from(output);
    let last = i64::from(input) - 1;
    let tap = |at: u32| {
        let place = ((f64::from(at) + 0.5) * scale - 0.5) as f32;
        let mut start = place.floor() as i64;
        let mut fraction = place - start as f32;
        if clamp_fraction && start < 0 {
            (start, fraction) = (0, 0.0);
        }
        if clamp_fraction && start >= last {
            (start, fraction) = (last, 0.0);
        }
        let round = |weight: f32| (weight * ONE).round_ties_even() as i32;
        Tap {
            first: start.clamp(0, last) as usize,
            second: (start + 1).clamp(0, last) as usize,
            weights: [round(1.0 - fraction), round(fraction)],
        }
    };
    (from..from + count).map(tap).collect()
}

/// The `region` of `rgb`, `[height, width, 3]`, resized to `new_width` x `new_height` by OpenCV's `INTER_LINEAR`; written into
/// `out`, whose rows are `stride` pixels apart. `mirror`: left to right within the region.
///
/// # Panics
/// When the buffers are smaller than they are said to be, or the region leaves the resized picture.
#[allow(clippy::too_many_arguments, reason = "two pictures with their sizes")]
pub fn resize_linear(
    rgb: &[u8],
    (width, height): (u32, u32),
    (new_width, new_height): (u32, u32),
    region: Region,
    mirror: bool,
    out: &mut [u8],
    stride: usize,
) {
    assert!(region.left + region.width <= new_width && region.top + region.height <= new_height);
    let columns = taps(width, new_width, region.left, region.width, true);
    let rows = taps(height, new_height, region.top, region.height, false);
    let samples = region.width as usize * 3;
    let pitch = width as usize * 3;
    // The two input rows of an output row, resized along x; most are used for several output rows.
    let mut lines = [vec![0i32; samples], vec![0i32; samples]];
    let mut held = [usize::MAX; 2];
    for (y, row) in rows.iter().enumerate() {
        for (slot, source) in [row.first, row.second].into_iter().enumerate() {
            if held[slot] == source {
                continue;
            }
            if held[1 - slot] == source {
                let [first, second] = &mut lines;
                match slot {
                    0 => first.copy_from_slice(second),
                    _ => second.copy_from_slice(first),
                }
            } else {
                let input = &rgb[source * pitch..(source + 1) * pitch];
                resize_line(input, &columns, mirror, &mut lines[slot]);
            }
            held[slot] = source;
        }
        let [above, below] = &lines;
        let out = &mut out[y * stride * 3..][..samples];
        dispatch(
            #[inline(always)]
            || mix(above, below, row.weights, out),
        );
    }
}

/// Two lines of resized rows to one of bytes.
#[inline(always)]
fn mix(above: &[i32], below: &[i32], [b0, b1]: [i32; 2], out: &mut [u8]) {
    for ((out, a), b) in out.iter_mut().zip(above).zip(below) {
        let value = ((b0 * (a >> 4)) >> 16) + ((b1 * (b >> 4)) >> 16) + 2;
        *out = (value >> 2).clamp(0, 255) as u8;
    }
}

fn resize_line(input: &[u8], columns: &[Tap], mirror: bool, line: &mut [i32]) {
    let one = |out: &mut [i32], tap: &Tap| {
        let (a, b) = (&input[tap.first * 3..][..3], &input[tap.second * 3..][..3]);
        for channel in 0..3 {
            out[channel] = i32::from(a[channel]) * tap.weights[0] + i32::from(b[channel]) * tap.weights[1];
        }
    };
    if mirror {
        line.chunks_exact_mut(3)
            .rev()
            .zip(columns)
            .for_each(|(out, tap)| one(out, tap));
    } else {
        line.chunks_exact_mut(3)
            .zip(columns)
            .for_each(|(out, tap)| one(out, tap));
    }
}

/// The `region` of a map of one value a pixel, `[height, width]`, resized by OpenCV's `INTER_NEAREST`, written as
/// [`resize_linear`] writes.
///
/// # Panics
/// As [`resize_linear`].
#[allow(clippy::too_many_arguments, reason = "two maps with their sizes")]
pub fn resize_nearest<T: Copy>(
    map: &[T],
    (width, height): (u32, u32),
    (new_width, new_height): (u32, u32),
    region: Region,
    mirror: bool,
    out: &mut [T],
    stride: usize,
) {
    assert!(region.left + region.width <= new_width && region.top + region.height <= new_height);
    let columns = nearest(width, new_width, region.left, region.width);
    for (y, source) in nearest(height, new_height, region.top, region.height)
        .into_iter()
        .enumerate()
    {
        let input = &map[source * width as usize..][..width as usize];
        let out = &mut out[y * stride..][..columns.len()];
        if mirror {
            out.iter_mut()
                .rev()
                .zip(&columns)
                .for_each(|(out, &x)| *out = input[x]);
        } else {
            out.iter_mut().zip(&columns).for_each(|(out, &x)| *out = input[x]);
        }
    }
}

fn nearest(input: u32, output: u32, from: u32, count: u32) -> Vec<usize> {
    let step = 1.0 / (f64::from(output) / f64::from(input));
    let place = |at: u32| ((f64::from(at) * step).floor() as usize).min(input as usize - 1);
    (from..from + count).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32) -> Vec<u8> {
        (0..width * height * 3).map(|i| (i * 7919 % 251) as u8).collect()
    }

    #[test]
    fn a_region_is_that_part_of_the_whole_mirrored_or_not() {
        let (size, new) = ((23, 17), (41, 12));
        let rgb = picture(size.0, size.1);
        let mut whole = vec![0; (new.0 * new.1 * 3) as usize];
        resize_linear(
            &rgb,
            size,
            new,
            Region::all(new.0, new.1),
            false,
            &mut whole,
            new.0 as usize,
        );
        let region = Region {
            left: 9,
            top: 3,
            width: 20,
            height: 7,
        };
        for mirror in [false, true] {
            let mut part = vec![9; 32 * 7 * 3];
            resize_linear(&rgb, size, new, region, mirror, &mut part, 32);
            for y in 0..7usize {
                for x in 0..20usize {
                    let from = if mirror { 19 - x } else { x };
                    let want = &whole[((y + 3) * 41 + from + 9) * 3..][..3];
                    assert_eq!(&part[(y * 32 + x) * 3..][..3], want, "{x} {y} {mirror}");
                }
                assert!(part[(y * 32 + 20) * 3..(y + 1) * 32 * 3].iter().all(|&v| v == 9));
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let rgb = picture(9, 5);
        let mut out = vec![0; rgb.len()];
        resize_linear(&rgb, (9, 5), (9, 5), Region::all(9, 5), false, &mut out, 9);
        assert_eq!(out, rgb);
        let mut map = vec![0; 45];
        resize_nearest(&rgb[..45], (9, 5), (9, 5), Region::all(9, 5), false, &mut map, 9);
        assert_eq!(map, rgb[..45]);
    }

    #[test]
    fn half_the_size_is_the_mean_of_four_and_every_second_label() {
        let rgb = [10u8, 10, 10, 20, 20, 20, 30, 30, 30, 43, 43, 43];
        let mut out = [0; 3];
        resize_linear(&rgb, (2, 2), (1, 1), Region::all(1, 1), false, &mut out, 1);
        assert_eq!(out, [26; 3]);
        let mut label = [0];
        resize_nearest(
            &[1u8, 2, 3, 4],
            (2, 2),
            (1, 1),
            Region::all(1, 1),
            false,
            &mut label,
            1,
        );
        assert_eq!(label, [1]);
    }
}
