//! The head that says class and box of a region (detectron2's `FastRCNNConvFCHead` and `FastRCNNOutputLayers`).

use slotcon_torch::Error;
use tch::Tensor;

use super::conv_norm::ConvStack;
use crate::init::Init;
use crate::layers::{BatchNormMode, Linear};
use crate::store::Path;

/// Shape of a box head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxHeadConfig {
    /// Channels of the regions' maps.
    pub input: i64,
    /// Side of the regions' maps.
    pub side: i64,
    /// 3x3 convolutions.
    pub convolutions: usize,
    /// Channels of each.
    pub channels: i64,
    /// Whether each has a batch norm, not a bias.
    pub norm: bool,
    /// Fully connected layers.
    pub layers: usize,
    /// Features of each.
    pub features: i64,
}

/// Convolutions and fully connected layers, each with ReLU: a region's map to its features.
#[derive(Debug)]
pub struct BoxHead {
    convolutions: ConvStack,
    layers: Vec<Linear>,
}

impl BoxHead {
    /// Builds `conv1` … and `fc1` … below `path`.
    pub fn new(path: &Path, config: BoxHeadConfig) -> Self {
        let widths = [config.input, config.channels];
        let convolutions = ConvStack::new(path, "conv", widths, config.convolutions, config.norm);
        // What they give; without any, what comes in.
        let channels = widths[usize::from(config.convolutions > 0)];
        let mut features = channels * config.side * config.side;
        let layers = (1..=config.layers)
            .map(|i| {
                let input = std::mem::replace(&mut features, config.features);
                Linear::new(&path.sub(format!("fc{i}")), input, config.features, Init::Xavier)
            })
            .collect();
        Self { convolutions, layers }
    }

    /// Maps `[R, input, side, side]` to features `[R, features]`.
    ///
    /// # Errors
    /// Maps of another shape, a rank that is gone.
    pub fn forward(&self, regions: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        // By channel, then y, then x, whatever the order in memory is.
        let mut x = self.convolutions.forward(regions, mode)?.f_flatten(1, -1)?;
        for layer in &self.layers {
            x = layer.forward(&x)?.relu_();
        }
        Ok(x)
    }
}

/// Two linear layers: the logits of every class and of none (the last), and four deltas for every class.
#[derive(Debug)]
pub struct BoxPredictor {
    classes: Linear,
    deltas: Linear,
}

impl BoxPredictor {
    /// Builds `cls_score` and `bbox_pred` below `path`.
    pub fn new(path: &Path, features: i64, classes: i64) -> Self {
        Self {
            classes: Linear::new(&path.sub("cls_score"), features, classes + 1, Init::Normal(0.01)),
            deltas: Linear::new(&path.sub("bbox_pred"), features, 4 * classes, Init::Normal(0.001)),
        }
    }

    /// Features `[R, features]` to logits `[R, classes + 1]` and deltas `[R, 4 * classes]`.
    ///
    /// # Errors
    /// Another number of features.
    pub fn forward(&self, features: &Tensor) -> Result<[Tensor; 2], Error> {
        Ok([self.classes.forward(features)?, self.deltas.forward(features)?])
    }
}
