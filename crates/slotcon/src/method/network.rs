//! What student and teacher both are: backbone f, projector g and grouping.

use slotcon_nn::{Arch, Backbone, BatchNormMode, Mlp, MlpConfig, Path, ResNet};
use slotcon_torch::Stopwatch;
use tch::{Device, Kind, Tensor};

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
    Mlp::pointwise(
        path,
        MlpConfig {
            input: arch.channels(),
            hidden,
            output,
        },
    )
}

/// Names of the parts of a forward pass in a [`Stopwatch`].
const PARTS: [&str; 3] = ["backbone", "heads", "grouping"];

/// How a forward pass is run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mode {
    /// Whose statistics batch norm uses.
    pub batch_norm: BatchNormMode,
    /// Number format of convolutions and matrix products; `None`: that of the weights.
    pub half: Option<Kind>,
}

impl Mode {
    /// Runs `f` on `device` in this number format; what it returns is f32 at least, for softmax and losses.
    pub(super) fn run(
        self,
        device: Device,
        f: impl FnOnce() -> Result<Tensor, slotcon_torch::Error>,
    ) -> Result<Tensor, slotcon_torch::Error> {
        let out = slotcon_torch::autocast(device, self.half, f)??;
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
        mode.run(pictures.device(), || {
            self.backbone.forward(pictures, mode.batch_norm)
        })
    }

    /// Groups of normalised pictures `[B, 3, H, W]`: dense features in the mode's number format, everything after them
    /// in f32 at least.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Groups, slotcon_torch::Error> {
        let [groups] = self.forward_timed([pictures], mode, &Stopwatch::default(), PARTS)?;
        Ok(groups)
    }

    /// The same for several views, each with batch statistics of its own, and with the time of backbone, projector and
    /// grouping under the names of `parts`.
    pub(super) fn forward_timed<const VIEWS: usize>(
        &self,
        views: [&Tensor; VIEWS],
        mode: Mode,
        stopwatch: &Stopwatch,
        parts: [&'static str; 3],
    ) -> Result<[Groups; VIEWS], slotcon_torch::Error> {
        let mut shapes = views.map(|_| (0, 0, 0));
        let features = mode.run(views[0].device(), || {
            let mut rows = Vec::with_capacity(VIEWS);
            for (pictures, shape) in views.iter().zip(&mut shapes) {
                let map = stopwatch.time(parts[0], || self.backbone.forward(pictures, mode.batch_norm))?;
                let (batch, channels, h, w) = map.size4()?;
                *shape = (batch, h, w);
                rows.push(map.permute([0, 2, 3, 1]).reshape([-1, channels]));
            }
            stopwatch.time(parts[1], || {
                self.projector
                    .forward(&Tensor::cat(&rows, 0), &counts(&shapes), mode.batch_norm)
            })
        })?;
        let mut features = features.split_with_sizes(counts(&shapes), 0).into_iter();
        Ok(shapes.map(|(batch, h, w)| {
            let features = features.next().unwrap_or_default().reshape([batch, h * w, -1]);
            stopwatch.time(parts[2], || self.grouping.forward(features, (h, w)))
        }))
    }
}

/// How many rows maps of `(batch, h, w)` are.
fn counts(shapes: &[(i64, i64, i64)]) -> Vec<i64> {
    shapes.iter().map(|(batch, h, w)| batch * h * w).collect()
}
