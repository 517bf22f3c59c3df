//! Backbone and heads of semantic segmentation, under the names of MMSegmentation's `EncoderDecoder`.

use slotcon_nn::{Backbone, BatchNormMode, Fcn, FcnConfig, Path, ResNet, ResNetConfig};
use slotcon_torch::Error;
use tch::{Kind, Tensor};

use super::loss::{cross_entropy, resize};

/// A second head on an earlier stage, which only helps training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AuxiliaryConfig {
    /// Its stage, from 0.
    pub stage: usize,
    /// The head; `input` must be the channels of the stage.
    pub head: FcnConfig,
    /// Weight of its loss beside that of the decode head.
    pub weight: f64,
}

/// How a segmentor is built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentorConfig {
    /// The backbone.
    pub backbone: ResNetConfig,
    /// The head on the last stage; `input` must be its channels.
    pub decode: FcnConfig,
    /// The head on an earlier stage, if any.
    pub auxiliary: Option<AuxiliaryConfig>,
    /// Whether the backbone stays as it came: no gradient, running statistics.
    pub freeze_backbone: bool,
    /// Whether logits are resized so that the centres of the corner positions stay on those of the corner pixels.
    pub align_corners: bool,
}

/// Logits of both heads at the size of their feature maps, `[B, classes, h, w]`.
#[derive(Debug)]
pub struct Logits {
    /// Of the decode head.
    pub decode: Tensor,
    /// Of the auxiliary head.
    pub auxiliary: Option<Tensor>,
}

impl Logits {
    /// The same in f32, where they were computed in half precision: softmax and losses need it.
    pub fn to_float(&self) -> Self {
        let float = |logits: &Tensor| match logits.kind() {
            Kind::Half | Kind::BFloat16 => logits.to_kind(Kind::Float),
            _ => logits.shallow_clone(),
        };
        Self {
            decode: float(&self.decode),
            auxiliary: self.auxiliary.as_ref().map(float),
        }
    }
}

/// The parts of the loss, scalars.
#[derive(Debug)]
pub struct Losses {
    /// The sum that is minimised.
    pub total: Tensor,
    /// Of the decode head.
    pub decode: Tensor,
    /// Of the auxiliary head, times its weight.
    pub auxiliary: Option<Tensor>,
}

/// A backbone with a head that gives every position a score for every class.
#[derive(Debug)]
pub struct Segmentor {
    config: SegmentorConfig,
    backbone: ResNet,
    decode: Fcn,
    auxiliary: Option<Fcn>,
}

impl Segmentor {
    /// Builds `backbone`, `decode_head` and `auxiliary_head` below `path`, in this order.
    pub fn new(path: &Path, config: SegmentorConfig) -> Self {
        let backbone = if config.freeze_backbone {
            path.frozen().sub("backbone")
        } else {
            path.sub("backbone")
        };
        let backbone = ResNet::new(&backbone, config.backbone);
        let decode = Fcn::new(&path.sub("decode_head"), config.decode);
        let auxiliary = config
            .auxiliary
            .map(|auxiliary| Fcn::new(&path.sub("auxiliary_head"), auxiliary.head));
        Self {
            config,
            backbone,
            decode,
            auxiliary,
        }
    }

    /// How it was built.
    pub fn config(&self) -> &SegmentorConfig {
        &self.config
    }

    /// Normalised pictures `[B, 3, H, W]` to the logits of both heads, in training mode.
    ///
    /// # Errors
    /// Pictures of another shape, a rank that is gone.
    pub fn forward_train(&self, pictures: &Tensor) -> Result<Logits, Error> {
        let mode = BatchNormMode::Train;
        let stages = if self.config.freeze_backbone {
            let _guard = tch::no_grad_guard();
            self.backbone.stages(pictures, BatchNormMode::Eval)?
        } else {
            self.backbone.stages(pictures, mode)?
        };
        let decode = self.decode.forward(&stages[3], mode)?;
        let auxiliary = match (&self.auxiliary, &self.config.auxiliary) {
            (Some(head), Some(config)) => Some(head.forward(&stages[config.stage], mode)?),
            _ => None,
        };
        Ok(Logits { decode, auxiliary })
    }

    /// The losses of `logits` against `labels` `[B, H, W]`.
    ///
    /// # Errors
    /// Labels that are no class.
    pub fn losses(&self, logits: &Logits, labels: &Tensor) -> Result<Losses, Error> {
        let of = |logits: &Tensor| cross_entropy(logits, labels, self.config.align_corners);
        let decode = of(&logits.decode)?;
        let auxiliary = match (&logits.auxiliary, &self.config.auxiliary) {
            (Some(logits), Some(config)) => Some(of(logits)? * config.weight),
            _ => None,
        };
        let total = match &auxiliary {
            Some(auxiliary) => &decode + auxiliary,
            None => decode.shallow_clone(),
        };
        Ok(Losses {
            total,
            decode,
            auxiliary,
        })
    }

    /// Normalised pictures `[B, 3, H, W]` to the logits of the decode head at the size of the pictures, by the running
    /// statistics.
    ///
    /// # Errors
    /// Pictures of another shape.
    pub fn forward(&self, pictures: &Tensor) -> Result<Tensor, Error> {
        let mode = BatchNormMode::Eval;
        let features = self.backbone.forward(pictures, mode)?;
        let logits = self.decode.forward(&features, mode)?;
        let (_, _, height, width) = pictures.size4()?;
        self.resize(&logits, (height, width))
    }

    /// Logits `[B, classes, h, w]` at another size, `(height, width)`, bilinearly.
    ///
    /// # Errors
    /// A size of zero.
    pub fn resize(&self, logits: &Tensor, size: (i64, i64)) -> Result<Tensor, Error> {
        resize(logits, size, self.config.align_corners)
    }
}
