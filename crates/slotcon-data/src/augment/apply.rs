//! The pixels of a view, as its plan says.

use crate::augment::{JitterOp, ViewPlan, blur, color, hue};
use crate::picture::Picture;
use crate::resize::{self, Filter, resize_crop};

/// The memory a thread keeps to make one view after another.
#[derive(Debug, Default)]
pub struct Workspace {
    resize: resize::Scratch,
    blur: blur::Scratch,
}

/// Makes one view of `picture`: `side` x `side` pixels into `out` (`[side, side, 3]`).
///
/// # Panics
/// When the plan's crop leaves the picture, or `out` has another size.
pub fn make_view(picture: &Picture, plan: &ViewPlan, side: u32, out: &mut [u8], workspace: &mut Workspace) {
    resize_crop(
        picture,
        &plan.crop,
        (side, side),
        Filter::Bicubic,
        out,
        &mut workspace.resize,
    );
    let side = side as usize;
    if plan.flip {
        mirror(out, side);
    }
    for op in plan.jitter.iter().flatten() {
        match *op {
            JitterOp::Brightness(factor) => color::brightness(out, factor),
            JitterOp::Contrast(factor) => color::contrast(out, factor),
            JitterOp::Saturation(factor) => color::saturation(out, factor),
            JitterOp::Hue(turn) => hue::shift_hue(out, turn),
        }
    }
    if plan.gray {
        color::grayscale(out);
    }
    if let Some(sigma) = plan.blur {
        blur::gaussian_blur(out, side, side, sigma, &mut workspace.blur);
    }
    if let Some(threshold) = plan.solarize {
        color::solarize(out, threshold);
    }
}

/// Mirrors every row left to right.
fn mirror(rgb: &mut [u8], width: usize) {
    for row in rgb.chunks_exact_mut(width * 3) {
        for x in 0..width / 2 {
            for c in 0..3 {
                row.swap(x * 3 + c, (width - 1 - x) * 3 + c);
            }
        }
    }
}
