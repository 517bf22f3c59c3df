//! The random part: where the two crops lie, how colours change, what is blurred. No pixel is touched here.

use crate::augment::{AugmentConfig, ColorJitter, ViewAugment};
use crate::geometry::{CropBox, mirror_coords, overlap_coords};
use crate::rng::Stream;

/// How often a crop is drawn until it fits into the picture; then the largest centred one is taken.
const CROP_TRIES: u32 = 10;

/// One of the four colour changes, with its strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JitterOp {
    /// Multiplies all values.
    Brightness(f64),
    /// Stretches values about the mean gray.
    Contrast(f64),
    /// Blends with the gray picture.
    Saturation(f64),
    /// Turns the colour circle, 1 being a whole turn.
    Hue(f64),
}

/// The colour changes of a view in the order in which they are done.
pub type Jitter = [JitterOp; 4];

/// All that is random about one view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewPlan {
    /// The crop.
    pub crop: CropBox,
    /// Mirrored left to right.
    pub flip: bool,
    /// Colour changes, if any.
    pub jitter: Option<Jitter>,
    /// Colours dropped.
    pub gray: bool,
    /// Standard deviation of the blur in pixels, if blurred.
    pub blur: Option<f64>,
    /// Threshold of solarizing, if solarized.
    pub solarize: Option<u8>,
}

/// All that is random about the two views of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PairPlan {
    /// The views.
    pub views: [ViewPlan; 2],
    /// The region that both crops show, in each view, x1, y1, x2, y2 in 0..1, after mirroring.
    pub coords: [[f32; 4]; 2],
}

/// Draws the two views of a picture of `width` x `height` pixels.
///
/// The second crop is drawn anew until at least `min_overlap` of its area lies in the first one; after `overlap_tries`
/// tries any crop is taken.
pub fn plan_pair(config: &AugmentConfig, width: u32, height: u32, random: &mut Stream) -> PairPlan {
    let first = any_crop(config, width, height, random);
    let second = overlapping_crop(config, width, height, &first, random);
    let mut coords = [overlap_coords(&first, &second), overlap_coords(&second, &first)];
    let flips = [0, 1].map(|v| random.chance(config.views[v].flip_prob));
    for (coords, &flip) in coords.iter_mut().zip(&flips) {
        if flip {
            *coords = mirror_coords(*coords);
        }
    }
    let a = plan_view(&config.views[0], first, flips[0], random);
    let b = plan_view(&config.views[1], second, flips[1], random);
    PairPlan {
        views: [a, b],
        coords,
    }
}

fn plan_view(view: &ViewAugment, crop: CropBox, flip: bool, random: &mut Stream) -> ViewPlan {
    let jitter = random
        .chance(view.jitter_prob)
        .then(|| draw_jitter(&view.jitter, random));
    let gray = random.chance(view.gray_prob);
    let [from, to] = view.blur_sigma;
    let blur = random.chance(view.blur_prob).then(|| random.uniform(from, to));
    let solarize = random
        .chance(view.solarize_prob)
        .then_some(view.solarize_threshold);
    ViewPlan {
        crop,
        flip,
        jitter,
        gray,
        blur,
        solarize,
    }
}

fn draw_jitter(range: &ColorJitter, random: &mut Stream) -> Jitter {
    let mut factor = |x: f64| random.uniform((1.0 - x).max(0.0), 1.0 + x);
    let mut ops = [
        JitterOp::Brightness(factor(range.brightness)),
        JitterOp::Contrast(factor(range.contrast)),
        JitterOp::Saturation(factor(range.saturation)),
        JitterOp::Hue(random.uniform(-range.hue, range.hue)),
    ];
    random.shuffle(&mut ops);
    ops
}

/// A crop of random area and shape, if it fits, and the area aimed at (before rounding to pixels).
fn try_crop(config: &AugmentConfig, width: u32, height: u32, random: &mut Stream) -> Option<(CropBox, f64)> {
    let area = f64::from(width) * f64::from(height) * random.uniform(config.min_scale, config.max_scale);
    let ratio = random.uniform(config.ratio[0].ln(), config.ratio[1].ln()).exp();
    let w = (area * ratio).sqrt().round_ties_even() as u32;
    let h = (area / ratio).sqrt().round_ties_even() as u32;
    if w == 0 || h == 0 || w > width || h > height {
        return None;
    }
    let top = random.below(u64::from(height - h) + 1) as u32;
    let left = random.below(u64::from(width - w) + 1) as u32;
    Some((
        CropBox {
            top,
            left,
            height: h,
            width: w,
        },
        area,
    ))
}

fn any_crop(config: &AugmentConfig, width: u32, height: u32, random: &mut Stream) -> CropBox {
    for _ in 0..CROP_TRIES {
        if let Some((crop, _)) = try_crop(config, width, height, random) {
            return crop;
        }
    }
    central_crop(config.ratio, width, height)
}

fn overlapping_crop(
    config: &AugmentConfig,
    width: u32,
    height: u32,
    first: &CropBox,
    random: &mut Stream,
) -> CropBox {
    for _ in 0..config.overlap_tries {
        if let Some((crop, area)) = try_crop(config, width, height, random)
            && crop.intersection(first) as f64 >= config.min_overlap * area
        {
            return crop;
        }
    }
    any_crop(config, width, height, random)
}

/// The largest centred crop of an allowed shape.
fn central_crop([narrow, wide]: [f64; 2], width: u32, height: u32) -> CropBox {
    let ratio = f64::from(width) / f64::from(height);
    let (w, h) = if ratio < narrow {
        (width, (f64::from(width) / narrow).round_ties_even() as u32)
    } else if ratio > wide {
        ((f64::from(height) * wide).round_ties_even() as u32, height)
    } else {
        (width, height)
    };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    CropBox {
        top: (height - h) / 2,
        left: (width - w) / 2,
        height: h,
        width: w,
    }
}
