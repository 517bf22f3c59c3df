//! ResNet up to its last stage, no pooling, no classifier (upstream `models/resnet.py`, head `early_return`).

use slotcon_torch::Error;
use tch::Tensor;

use crate::arch::{Arch, Block, OutputStride};
use crate::layers::{BatchNorm, Conv2d, ConvConfig};
use crate::store::Path;

fn conv3x3(stride: i64, dilation: i64) -> ConvConfig {
    ConvConfig {
        kernel: 3,
        stride,
        dilation,
        ..ConvConfig::default()
    }
}

/// First layers: one 7x7 convolution, or three 3x3 ones ("D").
#[derive(Debug)]
enum Stem {
    Plain(Conv2d),
    Deep {
        first: (Conv2d, BatchNorm),
        second: (Conv2d, BatchNorm),
        third: Conv2d,
    },
}

impl Stem {
    fn new(path: &Path, arch: Arch) -> Self {
        if !arch.is_d() {
            let config = ConvConfig {
                kernel: 7,
                stride: 2,
                ..ConvConfig::default()
            };
            return Stem::Plain(Conv2d::new(path, 3, 64 * arch.width(), config));
        }
        let conv_bn = |i: usize, input, stride| {
            let path = path.sub(i);
            (
                Conv2d::new(&path.sub(0), input, 32, conv3x3(stride, 1)),
                BatchNorm::new(&path.sub(1), 32),
            )
        };
        let first = conv_bn(0, 3, 2);
        let second = conv_bn(1, 32, 1);
        Stem::Deep {
            first,
            second,
            third: Conv2d::new(&path.sub(2), 32, 64, conv3x3(1, 1)),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, Error> {
        match self {
            Stem::Plain(conv) => conv.forward(x),
            Stem::Deep { first, second, third } => {
                let x = first.1.forward(&first.0.forward(x)?, train)?.relu_();
                third.forward(&second.1.forward(&second.0.forward(&x)?, train)?.relu_())
            }
        }
    }
}

/// The shortcut where a block changes size or width.
#[derive(Debug)]
struct Downsample {
    pool: Option<i64>,
    conv: Conv2d,
    norm: BatchNorm,
}

impl Downsample {
    fn new(path: &Path, input: i64, output: i64, stride: i64, average_pool: bool) -> Self {
        let (pool, first, stride) = if average_pool {
            (Some(stride), 1, 1)
        } else {
            (None, 0, stride)
        };
        let config = ConvConfig {
            stride,
            ..ConvConfig::default()
        };
        Self {
            pool,
            conv: Conv2d::new(&path.sub(first), input, output, config),
            norm: BatchNorm::new(&path.sub(first + 1), output),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, Error> {
        let pooled = match self.pool {
            Some(stride) if stride > 1 => {
                // Rounding up, as every strided convolution does: upstream fails on maps of odd size here.
                x.avg_pool2d(
                    [stride, stride],
                    [stride, stride],
                    [0, 0],
                    true,
                    false,
                    None::<i64>,
                )
            }
            _ => x.shallow_clone(),
        };
        self.norm.forward(&self.conv.forward(&pooled)?, train)
    }
}

/// A residual block: two or three convolutions, each followed by a batch norm, and the shortcut.
#[derive(Debug)]
struct Residual {
    layers: Vec<(Conv2d, BatchNorm)>,
    downsample: Option<Downsample>,
}

/// What a residual block is made from.
struct ResidualConfig {
    arch: Arch,
    input: i64,
    planes: i64,
    stride: i64,
    dilation: i64,
    downsample: bool,
}

impl Residual {
    fn new(path: &Path, config: &ResidualConfig) -> Self {
        let &ResidualConfig {
            arch,
            input,
            planes,
            stride,
            dilation,
            downsample,
        } = config;
        let output = planes * arch.block().expansion();
        let plan: Vec<(i64, i64, ConvConfig)> = match arch.block() {
            Block::Basic => {
                vec![
                    (input, planes, conv3x3(stride, dilation)),
                    (planes, planes, conv3x3(1, dilation)),
                ]
            }
            Block::Bottleneck => {
                let (groups, per_group) = arch.groups();
                let width = planes * per_group / 64 * groups;
                let middle = ConvConfig {
                    groups,
                    ..conv3x3(stride, dilation)
                };
                vec![
                    (input, width, ConvConfig::default()),
                    (width, width, middle),
                    (width, output, ConvConfig::default()),
                ]
            }
        };
        let last = plan.len();
        let layers = plan
            .into_iter()
            .enumerate()
            .map(|(i, (input, output, config))| {
                let conv = Conv2d::new(&path.sub(format!("conv{}", i + 1)), input, output, config);
                // A zero last weight makes every block the identity at the start.
                let weight = if i + 1 == last { 0.0 } else { 1.0 };
                (
                    conv,
                    BatchNorm::with_weight(&path.sub(format!("bn{}", i + 1)), output, weight),
                )
            })
            .collect();
        let downsample =
            downsample.then(|| Downsample::new(&path.sub("downsample"), input, output, stride, arch.is_d()));
        Self { layers, downsample }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, Error> {
        let mut out = x.shallow_clone();
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            out = norm.forward(&conv.forward(&out)?, train)?;
            if i + 1 < self.layers.len() {
                out = out.relu_();
            }
        }
        let residual = match &self.downsample {
            Some(downsample) => downsample.forward(x, train)?,
            None => x.shallow_clone(),
        };
        Ok(out.g_add_(&residual).relu_())
    }
}

/// The backbone f: pictures to dense features of the last stage.
#[derive(Debug)]
pub struct ResNet {
    stem: Stem,
    norm: BatchNorm,
    stages: [Vec<Residual>; 4],
}

impl ResNet {
    /// Builds `arch` below `path` with the official names and initialisation.
    pub fn new(path: &Path, arch: Arch, output_stride: OutputStride) -> Self {
        let base = 64 * arch.width();
        let stem = Stem::new(&path.sub("conv1"), arch);
        let norm = BatchNorm::new(&path.sub("bn1"), base);
        let mut input = base;
        let mut stage = |index: usize| -> Vec<Residual> {
            let planes = base << index;
            let output = planes * arch.block().expansion();
            let (first_stride, dilation) = output_stride.stages()[index];
            let path = path.sub(format!("layer{}", index + 1));
            let blocks = (0..arch.stages()[index]).map(|i| {
                let stride = if i == 0 { first_stride } else { 1 };
                let downsample = i == 0 && (stride != 1 || input != output);
                let config = ResidualConfig {
                    arch,
                    input,
                    planes,
                    stride,
                    dilation,
                    downsample,
                };
                input = output;
                Residual::new(&path.sub(i), &config)
            });
            blocks.collect()
        };
        let stages = [stage(0), stage(1), stage(2), stage(3)];
        Self { stem, norm, stages }
    }

    /// `[B, 3, H, W]`, normalised, to `[B, channels, ceil(H/stride), ceil(W/stride)]`.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn forward(&self, pictures: &Tensor, train: bool) -> Result<Tensor, Error> {
        let x = self.stem.forward(pictures, train)?;
        let x = self.norm.forward(&x, train)?.relu_();
        let mut x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        for block in self.stages.iter().flatten() {
            x = block.forward(&x, train)?;
        }
        Ok(x)
    }
}
