//! The settings of the augmentation, with the official values as defaults.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::picture::{DEFAULT_MAX_PIXELS, DecodeOptions};

/// How a picture becomes two views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Side of the square views in pixels. The network's output grid is a 32nd of it.
    pub image_size: u32,
    /// Smallest area of a crop, as a fraction of the picture. Raise it (0.2) when pictures show one thing each.
    pub min_scale: f64,
    /// Largest area of a crop, as a fraction of the picture.
    pub max_scale: f64,
    /// Narrowest and widest shape of a crop (width / height).
    pub ratio: [f64; 2],
    /// What is done to each view.
    pub views: [ViewAugment; 2],
    /// The part of the second crop's area that must lie in the first crop.
    pub min_overlap: f64,
    /// How often a second crop is drawn until it overlaps enough; then any crop will do.
    pub overlap_tries: u32,
    /// A picture with more pixels than this counts as one that cannot be used.
    pub max_pixels: u64,
    /// Turn pictures as their EXIF orientation says. The official code does not.
    pub exif_orientation: bool,
}

/// What is done to one view after cropping. Probabilities are per view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewAugment {
    /// Probability of mirroring left to right.
    pub flip_prob: f64,
    /// Probability that the colours are jittered.
    pub jitter_prob: f64,
    /// How far.
    pub jitter: ColorJitter,
    /// Probability of dropping the colours.
    pub gray_prob: f64,
    /// Probability of a Gaussian blur.
    pub blur_prob: f64,
    /// Its standard deviation in pixels, from and to.
    pub blur_sigma: [f64; 2],
    /// Probability of inverting all values from `solarize_threshold` on.
    pub solarize_prob: f64,
    /// See `solarize_prob`.
    pub solarize_threshold: u8,
}

/// How far colours are jittered. Factors are uniform in [1 - x, 1 + x], but not below 0; hue moves by up to `hue` of the
/// colour circle to either side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Brightness.
    pub brightness: f64,
    /// Contrast.
    pub contrast: f64,
    /// Saturation.
    pub saturation: f64,
    /// Hue, at most 0.5.
    pub hue: f64,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self {
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.2,
            hue: 0.1,
        }
    }
}

impl Default for ViewAugment {
    /// The first view of the paper: blur always, solarize never.
    fn default() -> Self {
        Self {
            flip_prob: 0.5,
            jitter_prob: 0.8,
            jitter: ColorJitter::default(),
            gray_prob: 0.2,
            blur_prob: 1.0,
            blur_sigma: [0.1, 2.0],
            solarize_prob: 0.0,
            solarize_threshold: 128,
        }
    }
}

impl Default for AugmentConfig {
    fn default() -> Self {
        let first = ViewAugment::default();
        let second = ViewAugment {
            blur_prob: 0.1,
            solarize_prob: 0.2,
            ..first.clone()
        };
        Self {
            image_size: 224,
            min_scale: 0.08,
            max_scale: 1.0,
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            views: [first, second],
            min_overlap: 0.01,
            overlap_tries: 10,
            max_pixels: DEFAULT_MAX_PIXELS,
            exif_orientation: false,
        }
    }
}

impl AugmentConfig {
    /// How pictures are to be decoded.
    pub fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            max_pixels: self.max_pixels,
            exif_orientation: self.exif_orientation,
        }
    }

    /// Refuses settings that cannot work.
    ///
    /// # Errors
    /// Names the setting, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |good: bool, name, value: String, expected| {
            if good {
                Ok(())
            } else {
                Err(Error::Setting {
                    name,
                    value,
                    expected,
                })
            }
        };
        let side = self.image_size;
        need(
            (1..=8192).contains(&side),
            "image_size",
            side.to_string(),
            "must be from 1 to 8192 pixels",
        )?;
        let (low, high) = (self.min_scale, self.max_scale);
        need(
            low > 0.0 && low <= high,
            "min_scale",
            low.to_string(),
            "must be above 0 and at most max_scale",
        )?;
        need(high <= 1.0, "max_scale", high.to_string(), "must be at most 1")?;
        let [narrow, wide] = self.ratio;
        need(
            narrow > 0.0 && narrow <= wide && wide.is_finite(),
            "ratio",
            format!("{:?}", self.ratio),
            "must be two numbers above 0, the smaller first",
        )?;
        need(
            (0.0..=1.0).contains(&self.min_overlap),
            "min_overlap",
            self.min_overlap.to_string(),
            "must be from 0 to 1",
        )?;
        need(
            self.max_pixels > 0,
            "max_pixels",
            "0".into(),
            "must be at least 1",
        )?;
        for view in &self.views {
            for (name, p) in [
                ("flip_prob", view.flip_prob),
                ("jitter_prob", view.jitter_prob),
                ("gray_prob", view.gray_prob),
                ("blur_prob", view.blur_prob),
                ("solarize_prob", view.solarize_prob),
            ] {
                need(
                    (0.0..=1.0).contains(&p),
                    name,
                    p.to_string(),
                    "is a probability: from 0 to 1",
                )?;
            }
            for (name, x) in [
                ("jitter.brightness", view.jitter.brightness),
                ("jitter.contrast", view.jitter.contrast),
                ("jitter.saturation", view.jitter.saturation),
            ] {
                need(
                    (0.0..=10.0).contains(&x),
                    name,
                    x.to_string(),
                    "must be from 0 to 10",
                )?;
            }
            let hue = view.jitter.hue;
            need(
                (0.0..=0.5).contains(&hue),
                "jitter.hue",
                hue.to_string(),
                "must be from 0 to 0.5",
            )?;
            let [from, to] = view.blur_sigma;
            need(
                from >= 0.0 && from <= to && to <= 100.0,
                "blur_sigma",
                format!("{:?}", view.blur_sigma),
                "must be two numbers from 0 to 100 pixels, the smaller first",
            )?;
        }
        Ok(())
    }
}
