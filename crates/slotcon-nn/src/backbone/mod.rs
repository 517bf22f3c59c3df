//! Backbones: networks from pictures to feature maps.

mod arch;
mod naming;
mod resnet;

use std::fmt::Debug;

use slotcon_torch::Error;
use tch::Tensor;

use crate::layers::BatchNormMode;

pub use arch::{Arch, Block, OutputStride, ResNetSpec};
pub use naming::Naming;
pub use resnet::{ResNet, ResNetConfig};

/// A network from pictures to feature maps of four stages.
pub trait Backbone: Debug {
    /// Channels of each stage's map.
    fn channels(&self) -> [i64; 4];

    /// Pixels of the picture per position of each stage's map.
    fn strides(&self) -> [i64; 4];

    /// Normalised pictures `[B, 3, H, W]` to the map of each stage, `[B, channels, ceil(H/stride), ceil(W/stride)]`.
    ///
    /// # Errors
    /// Pictures of another shape, a rank that is gone.
    fn stages(&self, pictures: &Tensor, mode: BatchNormMode) -> Result<[Tensor; 4], Error>;

    /// The map of stage `number`, 1 to 4, alone: the stages after it are not run, the maps before it not kept.
    ///
    /// # Errors
    /// As [`Backbone::stages`].
    ///
    /// # Panics
    /// When there is no such stage.
    fn stage(&self, number: usize, pictures: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error>;

    /// The last stage's map alone.
    ///
    /// # Errors
    /// As [`Backbone::stages`].
    fn forward(&self, pictures: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        self.stage(4, pictures, mode)
    }
}
