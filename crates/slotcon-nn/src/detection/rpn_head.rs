//! The head of the region proposal network, shared by all maps (detectron2's `StandardRPNHead`).

use slotcon_torch::Error;
use tch::Tensor;

use crate::init::Init;
use crate::layers::{Conv2d, ConvConfig};
use crate::store::Path;

/// How the weights of all three convolutions start.
const START: Init = Init::Normal(0.01);

/// What the head says of a map's anchors, in their order.
#[derive(Debug)]
pub struct Proposed {
    /// Whether an anchor holds an object, as logits `[B, anchors]`.
    pub logits: Tensor,
    /// How its box should move, `[B, anchors, 4]`.
    pub deltas: Tensor,
}

/// A 3x3 convolution, then a logit and four deltas for each anchor of a position.
#[derive(Debug)]
pub struct RpnHead {
    conv: Conv2d,
    objectness: Conv2d,
    deltas: Conv2d,
}

impl RpnHead {
    /// Builds `conv`, `objectness_logits` and `anchor_deltas` below `path`.
    pub fn new(path: &Path, channels: i64, anchors: i64) -> Self {
        let conv = |name: &str, kernel, output| {
            let config = ConvConfig {
                kernel,
                bias: true,
                init: START,
                ..ConvConfig::default()
            };
            Conv2d::new(&path.sub(name), channels, output, config)
        };
        Self {
            conv: conv("conv", 3, channels),
            objectness: conv("objectness_logits", 1, anchors),
            deltas: conv("anchor_deltas", 1, 4 * anchors),
        }
    }

    /// A map `[B, channels, h, w]` to what is proposed, by y, then x, then anchor.
    ///
    /// # Errors
    /// Another number of channels.
    pub fn forward(&self, map: &Tensor) -> Result<Proposed, Error> {
        let x = self.conv.forward(map)?.relu_();
        let batch = map.size4()?.0;
        let by_position = |x: Tensor| x.f_permute([0, 2, 3, 1]);
        Ok(Proposed {
            logits: by_position(self.objectness.forward(&x)?)?.f_reshape([batch, -1])?,
            deltas: by_position(self.deltas.forward(&x)?)?.f_reshape([batch, -1, 4])?,
        })
    }
}
