//! The pixels of a view, as its plan says.

use crate::augment::color::{self, Change};
use crate::augment::{ViewPlan, blur};
use crate::geometry::CropBox;
use crate::picture::Picture;
use crate::resize::{self, Filter, resize_crop};

/// The memory a thread keeps to make one view after another.
#[derive(Debug, Default)]
pub struct Workspace {
    resize: resize::Scratch,
    blur: blur::Scratch,
    changes: Vec<Change>,
}

/// Makes one view of `picture`: `side` x `side` pixels into `out` (`[side, side, 3]`).
///
/// # Panics
/// When the plan's crop leaves the picture, or `out` has another size.
pub fn make_view(picture: &Picture, plan: &ViewPlan, side: u32, out: &mut [u8], workspace: &mut Workspace) {
    crop_and_resize(picture, &plan.crop, plan.flip, side, out, workspace);
    change_colours(plan, out, workspace);
    blur_and_solarize(plan, (side, side), out, workspace);
}

/// The whole `picture`, neither cropped nor mirrored, with the colours, the blur and the solarization of `plan`: each pixel shows what it
/// showed.
pub fn recolour(picture: &Picture, plan: &ViewPlan, workspace: &mut Workspace) -> Picture {
    let size = (picture.width(), picture.height());
    let mut out = picture.rgb().to_vec();
    change_colours(plan, &mut out, workspace);
    blur_and_solarize(plan, size, &mut out, workspace);
    Picture::new(size.0, size.1, out).seen_through(picture.window())
}

/// The first stage of [`make_view`]: crop, resize, mirror.
pub(crate) fn crop_and_resize(
    picture: &Picture,
    crop: &CropBox,
    mirror: bool,
    side: u32,
    out: &mut [u8],
    workspace: &mut Workspace,
) {
    resize_crop(
        picture,
        crop,
        (side, side),
        Filter::Bicubic,
        mirror,
        out,
        &mut workspace.resize,
    );
}

/// The second stage: jitter and gray.
pub(crate) fn change_colours(plan: &ViewPlan, out: &mut [u8], workspace: &mut Workspace) {
    let changes = &mut workspace.changes;
    changes.clear();
    changes.extend(plan.jitter.iter().flatten().map(|&op| Change::Jitter(op)));
    if plan.gray {
        changes.push(Change::Gray);
    }
    color::apply(out, changes);
}

/// The third stage: blur and solarize `width` x `height` pixels.
pub(crate) fn blur_and_solarize(
    plan: &ViewPlan,
    (width, height): (u32, u32),
    out: &mut [u8],
    workspace: &mut Workspace,
) {
    if let Some(sigma) = plan.blur {
        blur::gaussian_blur(out, width as usize, height as usize, sigma, &mut workspace.blur);
    }
    if let Some(threshold) = plan.solarize {
        color::apply(out, &[Change::Solarize(threshold)]);
    }
}
