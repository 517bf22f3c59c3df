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
