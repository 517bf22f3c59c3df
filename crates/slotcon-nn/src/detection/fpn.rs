//! Feature pyramid network (arXiv 1612.03144), as detectron2's `FPN` with `LastLevelMaxPool`.

use slotcon_torch::Error;
use tch::Tensor;

use super::conv_norm::ConvNorm;
use crate::init::Init;
use crate::layers::BatchNormMode;
use crate::store::Path;

/// Maps of the pyramid, p2 to p6.
pub const LEVELS: usize = 5;

/// Shape of a pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FpnConfig {
    /// Channels of the backbone's stages.
    pub input: [i64; 4],
    /// Channels of every map.
    pub channels: i64,
    /// Whether every convolution has a batch norm, not a bias.
    pub norm: bool,
}

/// Four stages of a backbone to five maps of equally many channels.
#[derive(Debug)]
pub struct Fpn {
    lateral: [ConvNorm; 4],
    output: [ConvNorm; 4],
}

impl Fpn {
    /// Builds `fpn_lateral2`, `fpn_output2` … `fpn_output5` below `path`.
    pub fn new(path: &Path, config: FpnConfig) -> Self {
        let FpnConfig {
            input,
            channels,
            norm,
        } = config;
        let pairs = [0, 1, 2, 3].map(|stage| {
            let path = |what| path.sub(format!("fpn_{what}{}", stage + 2));
            let lateral = [input[stage], channels];
            (
                ConvNorm::new(&path("lateral"), lateral, 1, norm, Init::Xavier),
                ConvNorm::new(&path("output"), [channels; 2], 3, norm, Init::Xavier),
            )
        });
        let [a, b, c, d] = pairs;
        Self {
            lateral: [a.0, b.0, c.0, d.0],
            output: [a.1, b.1, c.1, d.1],
        }
    }

    /// The stages' maps, strides 4, 8, 16, 32 and sides that double exactly, to p2 … p6, `[B, channels, h, w]` at strides 4 to
    /// 64. A map is its lateral convolution plus the next coarser sum at twice the size (nearest); each sum is smoothed by a 3x3
    /// convolution. p6 is every second position of p5.
    ///
    /// # Errors
    /// Maps of other shapes, a rank that is gone.
    pub fn forward(&self, stages: &[Tensor; 4], mode: BatchNormMode) -> Result<[Tensor; LEVELS], Error> {
        let mut sum = self.lateral[3].forward(&stages[3], mode)?;
        let p5 = self.output[3].forward(&sum, mode)?;
        let mut finer = |stage: usize| -> Result<Tensor, Error> {
            let (_, _, height, width) = sum.size4()?;
            let coarse = sum.f_upsample_nearest2d([2 * height, 2 * width], None, None)?;
            sum = self.lateral[stage]
                .forward(&stages[stage], mode)?
                .f_add(&coarse)?;
            self.output[stage].forward(&sum, mode)
        };
        let (p4, p3, p2) = (finer(2)?, finer(1)?, finer(0)?);
        let p6 = p5.f_max_pool2d([1, 1], [2, 2], [0, 0], [1, 1], false)?;
        Ok([p2, p3, p4, p5, p6])
    }
}
