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
    /// The learnt prototypes S, `[K, D]`.
    pub fn prototypes(&self) -> &Tensor {
        self.grouping.prototypes()
    }

    /// The last stage's feature map `[B, C, h, w]` of normalised pictures `[B, 3, H, W]`.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn backbone(&self, pictures: &Tensor, mode: Mode) -> Result<Tensor, slotcon_torch::Error> {
        self.stage(4, pictures, mode)
    }

    /// The feature map `[B, C, h, w]` of stage `number` of the backbone, 1 to 4; the last is that of [`Network::backbone`].
    ///
    /// # Errors
    /// Whatever libtorch throws.
    ///
    /// # Panics
    /// When there is no such stage.
    pub fn stage(
        &self,
        number: usize,
        pictures: &Tensor,
        mode: Mode,
    ) -> Result<Tensor, slotcon_torch::Error> {
        mode.run(pictures.device(), || {
            self.backbone.stage(number, pictures, mode.batch_norm)
        })
    }

    /// Channels of the stages' feature maps.
    pub fn channels(&self) -> [i64; 4] {
        self.backbone.channels()
    }

    /// Pixels between two positions of the stages' feature maps.
    pub fn strides(&self) -> [i64; 4] {
        self.backbone.strides()
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

#[cfg(test)]
mod tests {
    use super::*;
    use slotcon_nn::{OutputStride, ResNetConfig, Store};

    fn network(prototypes: i64) -> Network {
        tch::manual_seed(0);
        let store = Store::new(Device::Cpu, Kind::Double);
        let root = store.root();
        let resnet = ResNetConfig::with_output_stride(Arch::ResNet18, OutputStride::new(32).unwrap());
        Network {
            backbone: ResNet::new(&root.sub("encoder"), resnet),
            projector: projector(&root.sub("projector"), Arch::ResNet18, 8, 4),
            grouping: Grouping::new(&root.sub("grouping"), prototypes, 4, 0.07),
        }
    }

    fn pictures() -> Tensor {
        Tensor::rand([2, 3, 64, 96], (Kind::Double, Device::Cpu))
    }

    #[test]
    fn a_position_is_32_pixels_and_its_score_the_cosine_with_a_prototype() {
        let _guard = tch::no_grad_guard();
        let groups = network(3).forward(&pictures(), Mode::default()).unwrap();
        assert_eq!(groups.grid, (2, 3));
        assert_eq!(groups.features.size(), [2, 6, 4]);
        assert_eq!(groups.scores.size(), [2, 6, 3]);
        assert_eq!(groups.slots.size(), [2, 3, 4]);
        let largest = groups.scores.abs().max().double_value(&[]);
        assert!(largest > 0.0 && largest <= 1.0 + 1e-12, "a cosine of {largest}");
    }

    #[test]
    fn one_prototype_owns_every_position_and_its_slot_is_their_mean() {
        let _guard = tch::no_grad_guard();
        let groups = network(1).forward(&pictures(), Mode::default()).unwrap();
        let mean = groups.features.mean_dim([1i64].as_slice(), true, Kind::Double);
        let error = (&groups.slots - mean).abs().max().double_value(&[]);
        assert!(error < 1e-12, "{error}");
    }

    #[test]
    fn views_of_one_pass_have_batch_statistics_of_their_own() {
        let _guard = tch::no_grad_guard();
        let (a, b) = (pictures(), pictures() * 3.0);
        let network = network(3);
        let mode = Mode::default();
        let [first, second] = network
            .forward_timed([&a, &b], mode, &Stopwatch::default(), PARTS)
            .unwrap();
        for (view, together) in [(&a, first), (&b, second)] {
            let alone = network.forward(view, mode).unwrap();
            let error = (alone.features - together.features).abs().max().double_value(&[]);
            assert!(error < 1e-9, "{error}");
        }
    }
}
