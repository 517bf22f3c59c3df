//! What student and teacher both are: backbone f, projector g and grouping.

use slotcon_nn::{Arch, Mlp, MlpConfig, Path, ResNet};
use tch::{Kind, Tensor};

use super::clock::Clock;
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
    Mlp::new(
        path,
        MlpConfig {
            input: arch.channels(),
            hidden,
            output,
            conv: true,
        },
    )
}

/// Names of the parts of a forward pass in a [`Clock`].
const PARTS: [&str; 3] = ["backbone", "heads", "grouping"];

/// How a forward pass is run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mode {
    /// Whether batch norm uses (and remembers) the batch's own statistics.
    pub train: bool,
    /// Number format of convolutions and matrix products; `None`: that of the weights.
    pub half: Option<Kind>,
}

impl Mode {
    /// Runs `f` in this number format; what it returns is f32 at least, for softmax and losses.
    pub(super) fn run(
        self,
        x: &Tensor,
        f: impl FnOnce(&Tensor) -> Result<Tensor, slotcon_torch::Error>,
    ) -> Result<Tensor, slotcon_torch::Error> {
        let out = slotcon_torch::autocast(x.device(), self.half, || f(x))??;
        Ok(if self.half.is_some() {
            out.to_kind(Kind::Float)
        } else {
            out
        })
    }
}

impl Network {
    /// The last stage's feature map `[B, C, h, w]` of normalised pictures `[B, 3, H, W]`.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn backbone(&self, pictures: &Tensor, mode: Mode) -> Result<Tensor, slotcon_torch::Error> {
        mode.run(pictures, |x| self.backbone.forward(x, mode.train))
    }

    /// Groups of normalised pictures `[B, 3, H, W]`: dense features in the mode's number format, everything after them
    /// in f32 at least.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Groups, slotcon_torch::Error> {
        self.forward_timed(pictures, mode, &Clock::default(), PARTS)
    }

    /// The same, with the time of backbone, projector and grouping under the names of `parts`.
    pub(super) fn forward_timed(
        &self,
        pictures: &Tensor,
        mode: Mode,
        clock: &Clock,
        parts: [&'static str; 3],
    ) -> Result<Groups, slotcon_torch::Error> {
        let mut grid = (0, 0);
        let features = mode.run(pictures, |x| {
            let map = clock.time(parts[0], || self.backbone.forward(x, mode.train))?;
            let (batch, channels, h, w) = map.size4().unwrap_or_default();
            grid = (h, w);
            clock.time(parts[1], || {
                let rows = map.permute([0, 2, 3, 1]).reshape([batch * h * w, channels]);
                let features = self.projector.forward(&rows, mode.train)?;
                Ok(features.reshape([batch, h * w, -1]))
            })
        })?;
        Ok(clock.time(parts[2], || self.grouping.forward(features, grid)))
    }
}
