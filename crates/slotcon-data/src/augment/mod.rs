//! Two views of one picture: what is drawn at random ([`plan_pair`]) apart from what is then done to the pixels ([`make_view`]).
//!
//! The order of things is the official one: crop and resize (bicubic), mirror, colour jitter in random order, gray,
//! blur, solarize. Views leave as bytes; whoever trains normalises them.

mod apply;
pub mod blur;
pub mod color;
mod config;
mod draw;
mod hue;
pub mod instances;
pub mod photometric;
mod pixel_block;
pub mod semantic;

pub use apply::{Workspace, make_view, recolour};
pub(crate) use apply::{blur_and_solarize, change_colours, crop_and_resize};
pub use config::{AugmentConfig, ColorJitter, ViewAugment};
pub use draw::{Jitter, JitterOp, PairPlan, ViewPlan, plan_pair};

use crate::error::Result;

/// The augmentation of a run: a checked [`AugmentConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct Augment {
    config: AugmentConfig,
}

impl Augment {
    /// Checks the settings.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn new(config: AugmentConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config })
    }

    /// The settings.
    pub fn config(&self) -> &AugmentConfig {
        &self.config
    }

    /// Bytes of one view: `image_size * image_size * 3`.
    pub fn view_bytes(&self) -> usize {
        let side = self.config.image_size as usize;
        side * side * 3
    }
}
