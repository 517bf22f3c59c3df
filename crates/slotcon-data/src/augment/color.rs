//! Changes of colour on 8-bit RGB, with Pillow's rounding at every step.
//!
//! Pixels are taken in blocks: a block goes through all changes while it is at hand, and only contrast, which needs the
//! mean of the whole view, makes a second round necessary.

use super::JitterOp;
use super::hue::shift_hue;
use super::pixel_block::{Block, LANES};
use crate::simd::dispatch;

/// A change of colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// One of the four that are jittered.
    Jitter(JitterOp),
    /// Every colour replaced by its gray value.
    Gray,
    /// Values from this one on inverted.
    Solarize(u8),
}

/// Makes the changes one after the other.
pub fn apply(rgb: &mut [u8], changes: &[Change]) {
    let is_contrast = |c: &Change| matches!(c, Change::Jitter(JitterOp::Contrast(_)));
    if changes.is_empty() {
        return;
    }
    let Some(at) = changes.iter().position(is_contrast) else {
        run(rgb, changes, 0.0, false);
        return;
    };
    // The mean is that of the picture as contrast finds it.
    let sum = run(rgb, &changes[..at], 0.0, true);
    let mean = (sum as f64 / (rgb.len() / 3).max(1) as f64 + 0.5).floor() as f32;
    let end = changes[at + 1..]
        .iter()
        .position(is_contrast)
        .map_or(changes.len(), |next| at + 1 + next);
    run(rgb, &changes[at..end], mean, false);
    apply(rgb, &changes[end..]);
}

/// Makes changes of which at most the first is contrast; gives the sum of the gray values if asked to.
fn run(rgb: &mut [u8], changes: &[Change], mean: f32, count: bool) -> u64 {
    dispatch(
        #[inline(always)]
        || {
            let mut sum = 0;
            for pixels in rgb.chunks_mut(LANES * 3) {
                let mut block = if pixels.len() == LANES * 3 {
                    Block::load(&pixels[..LANES * 3])
                } else {
                    Block::load(pixels)
                };
                for change in changes {
                    self::change(&mut block, change, mean);
                }
                if count {
                    let luma = block.luma();
                    // Small enough for the lanes to be added as they are.
                    sum += luma[..pixels.len() / 3].iter().sum::<i32>() as u64;
                }
                if !changes.is_empty() {
                    block.store(pixels);
                }
            }
            sum
        },
    )
}

/// Makes one change to a block; `mean` is the gray value that contrast moves away from.
#[inline(always)]
fn change(block: &mut Block, change: &Change, mean: f32) {
    match *change {
        Change::Jitter(JitterOp::Brightness(factor)) => block.blend(&[0.0; LANES], factor as f32),
        Change::Jitter(JitterOp::Contrast(factor)) => block.blend(&[mean; LANES], factor as f32),
        Change::Jitter(JitterOp::Saturation(factor)) => {
            let gray = block.gray();
            block.blend(&gray, factor as f32);
        }
        Change::Jitter(JitterOp::Hue(turn)) => shift_hue(block, turn),
        Change::Gray => {
            let gray = block.gray();
            *block = Block {
                r: gray,
                g: gray,
                b: gray,
            };
        }
        Change::Solarize(threshold) => {
            let threshold = f32::from(threshold);
            block.each(
                #[inline(always)]
                |lane| {
                    for v in lane {
                        *v = if *v < threshold { *v } else { 255.0 - *v };
                    }
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_are_changed_to_the_last_pixel() {
        for pixels in [1, 2, 31, 32, 33, 65] {
            let mut rgb: Vec<u8> = (0..pixels * 3).map(|i| (i * 37 % 256) as u8).collect();
            let want: Vec<u8> = rgb.iter().map(|&v| if v < 128 { v } else { 255 - v }).collect();
            apply(&mut rgb, &[Change::Solarize(128)]);
            assert_eq!(rgb, want, "{pixels}");
        }
    }
}
