//! What student and teacher both are: backbone f, projector g and grouping.

use slotcon_nn::{Arch, Mlp, MlpConfig, Path, ResNet};
use tch::{Kind, Tensor};

use super::grouping::{Grouping, Groups};

/// Backbone and projector; the grouping comes last, as in the official order of parameters.
#[derive(Debug)]
pub struct Network {
    pub(super) backbone: ResNet,
    pub(super) projector: Mlp,
    pub(super) grouping: Grouping,
}

/// The projector of `arch`: `hidden` features twice, `output` at the end.
pub(super) fn projector(path: &Path, arch: Arch, hidden: i64, output: i64) -> Mlp {
    Mlp::new(path, MlpConfig { input: arch.channels(), hidden, output, conv: true })
}

impl Network {
    /// The last stage's feature map `[B, C, h, w]` of normalised pictures `[B, 3, H, W]`.
    pub fn backbone(&self, pictures: &Tensor, train: bool) -> Tensor {
        self.backbone.forward(pictures, train)
    }

    /// Groups of normalised pictures `[B, 3, H, W]`. With `train`, batch norm uses the batch's own statistics.
    ///
    /// The convolutions and the projector run in whatever precision autocast asks for; from the dense features on,
    /// everything is at least f32.
    pub fn forward(&self, pictures: &Tensor, train: bool) -> Groups {
        let map = self.backbone(pictures, train);
        let (batch, channels, h, w) = map.size4().unwrap_or_default();
        let rows = map.permute([0, 2, 3, 1]).reshape([batch * h * w, channels]);
        let features = self.projector.forward(&rows, train);
        let features = match features.kind() {
            Kind::Double => features,
            _ => features.to_kind(Kind::Float),
        };
        self.grouping.forward(features.reshape([batch, h * w, -1]), (h, w))
    }
}
