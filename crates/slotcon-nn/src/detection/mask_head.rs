//! The head that says which part of a region is its object (detectron2's `MaskRCNNConvUpsampleHead`).

use slotcon_torch::Error;
use tch::Tensor;

use super::conv_norm::ConvStack;
use crate::init::Init;
use crate::layers::{BatchNormMode, Conv2d, ConvConfig, Deconv};
use crate::store::Path;

/// Shape of a mask head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskHeadConfig {
    /// Channels of the regions' maps.
    pub input: i64,
    /// 3x3 convolutions.
    pub convolutions: usize,
    /// Channels of each, and of the transposed convolution.
    pub channels: i64,
    /// Whether each has a batch norm, not a bias.
    pub norm: bool,
    /// Number of classes.
    pub classes: i64,
}

/// Convolutions, a transposed one, and a mask for every class.
#[derive(Debug)]
pub struct MaskHead {
    convolutions: ConvStack,
    deconv: Deconv,
    predictor: Conv2d,
}

impl MaskHead {
    /// Builds `mask_fcn1` …, `deconv` and `predictor` below `path`.
    pub fn new(path: &Path, config: MaskHeadConfig) -> Self {
        let widths = [config.input, config.channels];
        let convolutions = ConvStack::new(path, "mask_fcn", widths, config.convolutions, config.norm);
        // What they give; without any, what comes in.
        let channels = widths[usize::from(config.convolutions > 0)];
        let predictor = ConvConfig {
            bias: true,
            init: Init::Normal(0.001),
            ..ConvConfig::default()
        };
        Self {
            convolutions,
            deconv: Deconv::new(&path.sub("deconv"), channels, config.channels),
            predictor: Conv2d::new(&path.sub("predictor"), config.channels, config.classes, predictor),
        }
    }

    /// Maps `[R, input, h, w]` to logits `[R, classes, 2h, 2w]`.
    ///
    /// # Errors
    /// Maps of another shape, a rank that is gone.
    pub fn forward(&self, regions: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let x = self.convolutions.forward(regions, mode)?;
        self.predictor.forward(&self.deconv.forward(&x)?.relu_())
    }
}
