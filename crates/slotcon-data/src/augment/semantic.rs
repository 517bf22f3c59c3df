//! From a picture and its label map to a crop of both, as MMSegmentation trains: resize by a random ratio, crop, mirror,
//! distort colours, pad. What is drawn at random is apart from what is then done to the pixels.

use serde::{Deserialize, Serialize};

use super::photometric::Photometric;
use crate::error::{Error, Result};
use crate::picture::{DEFAULT_MAX_PIXELS, DecodeOptions, Picture};
use crate::resize::opencv::{Region, resize_linear, resize_nearest};
use crate::rng::Stream;

/// The class that counts for nothing.
pub const IGNORED: u8 = 255;

/// How often a crop is drawn until no class fills too much of it.
const CROP_TRIES: usize = 10;

/// How a labelled picture becomes a crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SemanticAugmentConfig {
    /// Long and short side of the frame that a picture is fitted into, keeping its shape, before the random ratio.
    pub frame: [u32; 2],
    /// Smallest and largest random ratio of the frame.
    pub ratio: [f64; 2],
    /// Side of the square crop in pixels.
    pub crop: u32,
    /// A crop in which one class fills more than this part is drawn again, up to ten times; 1: any crop will do.
    pub max_class_share: f64,
    /// Probability of mirroring left to right.
    pub flip_prob: f64,
    /// Whether colours are distorted: brightness, contrast, saturation, hue.
    pub photometric: bool,
    /// A picture with more pixels than this counts as one that cannot be used.
    pub max_pixels: u64,
    /// Turn pictures as their EXIF orientation says. Label maps have none.
    pub exif_orientation: bool,
}

impl Default for SemanticAugmentConfig {
    fn default() -> Self {
        Self {
            frame: [2048, 512],
            ratio: [0.5, 2.0],
            crop: 512,
            max_class_share: 0.75,
            flip_prob: 0.5,
            photometric: true,
            max_pixels: DEFAULT_MAX_PIXELS,
            exif_orientation: false,
        }
    }
}

impl SemanticAugmentConfig {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// The setting, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &'static str, value: String, expected: &'static str| {
            Err(Error::Setting {
                name,
                value,
                expected,
            })
        };
        let [long, short] = self.frame;
        if short == 0 || long < short {
            return refuse(
                "frame",
                format!("{:?}", self.frame),
                "must be the long and the short side in pixels",
            );
        }
        let [least, most] = self.ratio;
        if !(least > 0.0 && least <= most && most.is_finite()) {
            return refuse(
                "ratio",
                format!("{:?}", self.ratio),
                "must be two numbers above 0, the smaller one first",
            );
        }
        if self.crop == 0 {
            return refuse("crop", "0".into(), "must be at least 1");
        }
        if !(self.max_class_share > 0.0 && self.max_class_share <= 1.0) {
            return refuse(
                "max_class_share",
                self.max_class_share.to_string(),
                "must be above 0 and at most 1",
            );
        }
        if !(0.0..=1.0).contains(&self.flip_prob) {
            return refuse("flip_prob", self.flip_prob.to_string(), "must be from 0 to 1");
        }
        Ok(())
    }

    /// How pictures are decoded.
    pub fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            max_pixels: self.max_pixels,
            exif_orientation: self.exif_orientation,
        }
    }
}

/// The size of a picture of `width` x `height` fitted into a frame with these sides, keeping its shape.
pub fn fitted((width, height): (u32, u32), [long, short]: [u32; 2]) -> (u32, u32) {
    let (greater, lesser) = (width.max(height), width.min(height));
    let (long, short) = (f64::from(long.max(short)), f64::from(long.min(short)));
    let factor = (long / f64::from(greater)).min(short / f64::from(lesser));
    let side = |side: u32| ((f64::from(side) * factor + 0.5) as u32).max(1);
    (side(width), side(height))
}

/// What is done to one labelled picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SemanticPlan {
    /// Width and height to which it is resized.
    pub size: (u32, u32),
    /// What is cut out of the resized picture; smaller than the crop where the picture is.
    pub region: Region,
    /// Whether it is mirrored left to right.
    pub flip: bool,
    /// What is done to the colours.
    pub photometric: Photometric,
}

/// Draws what is done to a picture of this size with these `labels` (`[height, width]`).
pub fn plan_semantic(
    config: &SemanticAugmentConfig,
    original: (u32, u32),
    labels: &[u8],
    random: &mut Stream,
) -> SemanticPlan {
    let [least, most] = config.ratio;
    let ratio = random.uniform(least, most);
    let frame = config.frame.map(|side| (f64::from(side) * ratio) as u32);
    let size = fitted(original, frame);
    let mut region = draw_region(config.crop, size, random);
    if config.max_class_share < 1.0 {
        let mut cut = Vec::new();
        for _ in 0..CROP_TRIES {
            cut.resize(region.width as usize * region.height as usize, 0);
            resize_nearest(
                labels,
                original,
                size,
                region,
                false,
                &mut cut,
                region.width as usize,
            );
            if is_varied(&cut, config.max_class_share) {
                break;
            }
            region = draw_region(config.crop, size, random);
        }
    }
    SemanticPlan {
        size,
        region,
        flip: random.chance(config.flip_prob),
        photometric: if config.photometric {
            Photometric::draw(random)
        } else {
            Photometric::default()
        },
    }
}

fn draw_region(crop: u32, (width, height): (u32, u32), random: &mut Stream) -> Region {
    let mut offset = |side: u32| random.below(u64::from(side.saturating_sub(crop)) + 1) as u32;
    let (top, left) = (offset(height), offset(width));
    Region {
        left,
        top,
        width: crop.min(width),
        height: crop.min(height),
    }
}

/// Whether more than one class is there and none fills `share` of what is not ignored.
fn is_varied(labels: &[u8], share: f64) -> bool {
    let mut counts = [0u64; 256];
    labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts[usize::from(IGNORED)] = 0;
    let (total, most) = (
        counts.iter().sum::<u64>(),
        counts.iter().max().copied().unwrap_or(0),
    );
    counts.iter().filter(|&&count| count > 0).count() > 1 && (most as f64) < share * total as f64
}

/// Does to a picture and its labels what `plan` says. `rgb` is `[crop, crop, 3]`, `classes` `[crop, crop]`; what lies right of
/// and below the region is 0 and ignored.
///
/// # Panics
/// When the label map has another size than the picture.
pub fn make_semantic(
    plan: &SemanticPlan,
    picture: &Picture,
    labels: &[u8],
    crop: u32,
    rgb: &mut [u8],
    classes: &mut [u8],
) {
    let original = (picture.width(), picture.height());
    let stride = crop as usize;
    let SemanticPlan {
        size, region, flip, ..
    } = *plan;
    if region.width < crop || region.height < crop {
        rgb.fill(0);
        classes.fill(IGNORED);
    }
    resize_linear(picture.rgb(), original, size, region, flip, rgb, stride);
    resize_nearest(labels, original, size, region, flip, classes, stride);
    for row in rgb.chunks_exact_mut(stride * 3).take(region.height as usize) {
        plan.photometric.apply(&mut row[..region.width as usize * 3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn sizes_of_the_published_configurations() {
        // Cityscapes at test time, VOC at ratio 0.5, a picture in portrait format.
        assert_eq!(fitted((2048, 1024), [2049, 1025]), (2049, 1025));
        assert_eq!(fitted((500, 375), [1024, 256]), (341, 256));
        assert_eq!(fitted((375, 500), [2049, 513]), (513, 684));
        assert_eq!(fitted((1000, 10), [100, 50]), (100, 1));
    }

    #[test]
    fn crops_stay_inside_and_avoid_one_class() {
        let config = SemanticAugmentConfig {
            frame: [96, 48],
            crop: 24,
            ..SemanticAugmentConfig::default()
        };
        // Left half class 0, right half class 1: a crop at one side holds one class only.
        let (width, height) = (96, 48);
        let labels = Vec::from_iter((0..width * height).map(|i| u8::from(i % width >= width / 2)));
        let mut varied = 0;
        for sample in 0..300 {
            let mut random = Stream::new(0, 0, sample, Purpose::Augment, 0);
            let plan = plan_semantic(&config, (width, height), &labels, &mut random);
            let Region {
                left,
                top,
                width: w,
                height: h,
            } = plan.region;
            assert!(left + w <= plan.size.0 && top + h <= plan.size.1);
            assert!(w == 24 && h == 24);
            let mut cut = vec![0; 24 * 24];
            resize_nearest(
                &labels,
                (width, height),
                plan.size,
                plan.region,
                false,
                &mut cut,
                24,
            );
            varied += usize::from(is_varied(&cut, 0.75));
        }
        assert!(varied > 230, "{varied} of 300 crops hold both classes");
    }

    #[test]
    fn what_is_too_small_is_padded_right_and_below() {
        let picture = Picture::new(4, 3, vec![100; 36]);
        let labels = [1; 12];
        let plan = SemanticPlan {
            size: (4, 3),
            region: Region::all(4, 3),
            flip: false,
            photometric: Photometric {
                brightness: Some(20.0),
                ..Photometric::default()
            },
        };
        let (mut rgb, mut classes) = (vec![7; 75], vec![7; 25]);
        make_semantic(&plan, &picture, &labels, 5, &mut rgb, &mut classes);
        for y in 0..5 {
            for x in 0..5 {
                let inside = x < 4 && y < 3;
                assert_eq!(classes[y * 5 + x], if inside { 1 } else { IGNORED });
                assert_eq!(rgb[(y * 5 + x) * 3], if inside { 120 } else { 0 });
            }
        }
    }
}
