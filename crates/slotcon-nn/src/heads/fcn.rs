//! The fully convolutional head of semantic segmentation (arXiv 1411.4038), as MMSegmentation's `FCNHead`.

use slotcon_torch::Error;
use tch::Tensor;

use crate::init::Init;
use crate::layers::{BatchNorm, BatchNormMode, Conv2d, ConvConfig};
use crate::store::Path;

/// Shape of a head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FcnConfig {
    /// Channels of the feature map.
    pub input: i64,
    /// Channels of the head's own convolutions.
    pub channels: i64,
    /// How many 3x3 convolutions it has; 0 with `concat_input: false`: the classifier alone, a linear probe.
    pub convolutions: usize,
    /// Their dilation.
    pub dilation: i64,
    /// Whether one more convolution mixes the feature map with what the others made of it.
    pub concat_input: bool,
    /// Share of channels that training leaves out in front of the classifier (Dropout2d).
    pub dropout: f64,
    /// Number of classes.
    pub classes: i64,
}

/// Convolution, batch norm, ReLU.
#[derive(Debug)]
struct ConvModule {
    conv: Conv2d,
    bn: BatchNorm,
}

impl ConvModule {
    fn new(path: &Path, input: i64, output: i64, dilation: i64) -> Self {
        Self {
            conv: Conv2d::new(&path.sub("conv"), input, output, ConvConfig::three(1, dilation)),
            bn: BatchNorm::new(&path.sub("bn"), output),
        }
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        Ok(self.bn.forward(&self.conv.forward(x)?, mode)?.relu_())
    }
}

/// 3x3 convolutions and a 1x1 classifier: a feature map to the logits of each class at each of its positions.
#[derive(Debug)]
pub struct Fcn {
    conv_seg: Conv2d,
    convs: Vec<ConvModule>,
    conv_cat: Option<ConvModule>,
    dropout: f64,
}

impl Fcn {
    /// Builds `conv_seg`, `convs.0` … and `conv_cat` below `path`, in the order of MMSegmentation's state dict, convolutions
    /// He-normal, classifier normal with std 0.01.
    pub fn new(path: &Path, config: FcnConfig) -> Self {
        let FcnConfig {
            input,
            channels,
            convolutions,
            dilation,
            concat_input,
            dropout,
            classes,
        } = config;
        let last = if convolutions == 0 && !concat_input {
            input
        } else {
            channels
        };
        let classifier = ConvConfig {
            bias: true,
            init: Init::Normal(0.01),
            ..ConvConfig::default()
        };
        let conv_seg = Conv2d::new(&path.sub("conv_seg"), last, classes, classifier);
        let convs = (0..convolutions)
            .map(|i| {
                let input = if i == 0 { input } else { channels };
                ConvModule::new(&path.sub("convs").sub(i), input, channels, dilation)
            })
            .collect();
        let made = if convolutions == 0 { input } else { channels };
        let conv_cat =
            concat_input.then(|| ConvModule::new(&path.sub("conv_cat"), input + made, channels, 1));
        Self {
            conv_seg,
            convs,
            conv_cat,
            dropout,
        }
    }

    /// `[B, input, h, w]` to logits `[B, classes, h, w]`. In [`BatchNormMode::Train`] whole channels are dropped by
    /// libtorch's generator.
    ///
    /// # Errors
    /// Another number of channels, a rank that is gone.
    pub fn forward(&self, features: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let mut x = features.shallow_clone();
        for conv in &self.convs {
            x = conv.forward(&x, mode)?;
        }
        if let Some(conv) = &self.conv_cat {
            x = conv.forward(&Tensor::f_cat(&[features, &x], 1)?, mode)?;
        }
        if self.dropout > 0.0 {
            x = x.f_feature_dropout(self.dropout, mode == BatchNormMode::Train)?;
        }
        self.conv_seg.forward(&x)
    }
}
