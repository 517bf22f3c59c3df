//! The head that says which part of a region is its object (detectron2's `MaskRCNNConvUpsampleHead`).

use slotcon_torch::Error;
use tch::Tensor;

use super::conv_norm::ConvNorm;
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
    convolutions: Vec<ConvNorm>,
    deconv: Deconv,
    predictor: Conv2d,
}

impl MaskHead {
    /// Builds `mask_fcn1` …, `deconv` and `predictor` below `path`.
    pub fn new(path: &Path, config: MaskHeadConfig) -> Self {
        let mut channels = config.input;
        let convolutions = (1..=config.convolutions)
            .map(|i| {
                let input = std::mem::replace(&mut channels, config.channels);
                let path = path.sub(format!("mask_fcn{i}"));
                ConvNorm::new(
                    &path,
                    [input, config.channels],
                    3,
                    config.norm,
                    Init::KaimingFanOut,
                )
            })
            .collect();
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
        let mut x = regions.shallow_clone();
        for conv in &self.convolutions {
            x = conv.forward(&x, mode)?.relu_();
        }
        self.predictor.forward(&self.deconv.forward(&x)?.relu_())
    }
}
