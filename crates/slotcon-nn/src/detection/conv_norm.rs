//! A convolution with its batch norm, as detectron2 nests them.

use slotcon_torch::Error;
use tch::Tensor;

use crate::init::Init;
use crate::layers::{BatchNorm, BatchNormMode, Conv2d, ConvConfig};
use crate::store::Path;

/// A convolution followed by batch norm, or with a bias.
#[derive(Debug)]
pub struct ConvNorm {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl ConvNorm {
    /// `weight` below `path`, and `norm.*` if `norm`, else `bias`.
    pub fn new(path: &Path, [input, output]: [i64; 2], kernel: i64, norm: bool, init: Init) -> Self {
        let config = ConvConfig {
            kernel,
            bias: !norm,
            init,
            ..ConvConfig::default()
        };
        Self {
            conv: Conv2d::new(path, input, output, config),
            norm: norm.then(|| BatchNorm::new(&path.sub("norm"), output)),
        }
    }

    /// `[B, input, h, w]` to `[B, output, h, w]`.
    ///
    /// # Errors
    /// Another number of input channels, a rank that is gone.
    pub fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let x = self.conv.forward(x)?;
        match &self.norm {
            Some(norm) => norm.forward(&x, mode),
            None => Ok(x),
        }
    }
}

/// 3x3 convolutions one after the other, each with its norm or bias and ReLU: the trunk of box and mask head.
#[derive(Debug)]
pub struct ConvStack(Vec<ConvNorm>);

impl ConvStack {
    /// Builds `count` of them as `{name}1`, `{name}2`, … below `path`, from `input` to `channels`.
    pub fn new(path: &Path, name: &str, [input, channels]: [i64; 2], count: usize, norm: bool) -> Self {
        let layer = |i: usize| {
            let input = if i == 1 { input } else { channels };
            let path = path.sub(format!("{name}{i}"));
            ConvNorm::new(&path, [input, channels], 3, norm, Init::KaimingFanOut)
        };
        Self((1..=count).map(layer).collect())
    }

    /// `[R, input, h, w]` to `[R, channels, h, w]`.
    ///
    /// # Errors
    /// Another number of input channels, a rank that is gone.
    pub fn forward(&self, regions: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let mut x = regions.shallow_clone();
        for conv in &self.0 {
            x = conv.forward(&x, mode)?.relu_();
        }
        Ok(x)
    }
}
