//! ResNet up to its last stage, no pooling, no classifier (upstream `models/resnet.py`, head `early_return`), with strides
//! and dilations of its own for each stage.

use slotcon_torch::Error;
use tch::Tensor;

use super::Backbone;
use super::arch::{Arch, Block, OutputStride};
use super::naming::Naming;
use crate::layers::{BatchNorm, BatchNormMode, Conv2d, ConvConfig};
use crate::store::Path;

/// How a ResNet is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Blocks and widths.
    pub arch: Arch,
    /// Stride of each stage's first block; the stem has stride 4.
    pub strides: [i64; 4],
    /// Dilation of each stage's 3x3 convolutions.
    pub dilations: [i64; 4],
    /// Whether the first block of a dilated stage has half of its dilation (MMSegmentation's `contract_dilation`).
    pub contract_dilation: bool,
    /// Whether the second convolution of a [`Block::Basic`] is dilated as well as the first.
    pub dilate_second: bool,
    /// Whether a [`Block::Bottleneck`] strides in its first convolution, not in its 3x3 (detectron2's `STRIDE_IN_1X1`, for
    /// weights of MSRA and Caffe2).
    pub stride_first: bool,
    /// Whose names the tensors bear.
    pub naming: Naming,
}

impl ResNetConfig {
    /// As the official code builds `arch` for an output stride: what a stage does not stride, all of its 3x3 convolutions
    /// dilate.
    pub fn with_output_stride(arch: Arch, output_stride: OutputStride) -> Self {
        let stages = output_stride.stages();
        Self {
            arch,
            strides: stages.map(|(stride, _)| stride),
            dilations: stages.map(|(_, dilation)| dilation),
            contract_dilation: false,
            dilate_second: true,
            stride_first: false,
            naming: Naming::Torchvision,
        }
    }

    /// As detectron2 builds it for a feature pyramid, strides 4, 8, 16 and 32, under its names.
    pub fn detectron2(arch: Arch) -> Self {
        Self {
            naming: Naming::Detectron2,
            ..Self::with_output_stride(arch, OutputStride::FULL)
        }
    }

    /// As MMSegmentation's `ResNet` with `contract_dilation=True`: the first block of a dilated stage has half of its
    /// dilation, and a [`Block::Basic`] dilates its first convolution only.
    pub fn mmsegmentation(arch: Arch, strides: [i64; 4], dilations: [i64; 4]) -> Self {
        Self {
            arch,
            strides,
            dilations,
            contract_dilation: true,
            dilate_second: false,
            stride_first: false,
            naming: Naming::Torchvision,
        }
    }

    /// Stride and dilation of block `block` of stage `stage`, both from 0.
    fn geometry(&self, stage: usize, block: usize) -> (i64, i64) {
        let dilation = self.dilations[stage];
        match block {
            0 if self.contract_dilation && dilation > 1 => (self.strides[stage], dilation / 2),
            0 => (self.strides[stage], dilation),
            _ => (1, dilation),
        }
    }
}

/// First layers: one 7x7 convolution, or three 3x3 ones (deep); the norm of the last belongs to the network.
#[derive(Debug)]
struct Stem {
    before: Vec<(Conv2d, BatchNorm)>,
    last: Conv2d,
}

impl Stem {
    fn new(path: &Path, config: &ResNetConfig) -> Self {
        let (spec, naming) = (config.arch.spec(), config.naming);
        if !spec.deep {
            let config = ConvConfig {
                kernel: 7,
                ..ConvConfig::three(2, 1)
            };
            return Self {
                before: Vec::new(),
                last: Conv2d::new(&naming.stem(path), 3, 64 * spec.width, config),
            };
        }
        let conv_bn = |(i, input, stride)| {
            let [conv, norm] = naming.deep_stem(path, i);
            (
                Conv2d::new(&conv, input, 32, ConvConfig::three(stride, 1)),
                BatchNorm::new(&norm, 32),
            )
        };
        Self {
            before: [(0, 3, 2), (1, 32, 1)].map(conv_bn).into(),
            last: Conv2d::new(&naming.deep_stem_last(path), 32, 64, ConvConfig::three(1, 1)),
        }
    }

    fn forward(&self, pictures: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let mut x = pictures.shallow_clone();
        for (conv, norm) in &self.before {
            x = norm.forward(&conv.forward(&x)?, mode)?.relu_();
        }
        self.last.forward(&x)
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
    fn new(path: &Path, block: &ResidualConfig, output: i64) -> Self {
        let average_pool = block.resnet.arch.spec().pooled_shortcut;
        let (pool, stride) = if average_pool {
            (Some(block.stride), 1)
        } else {
            (None, block.stride)
        };
        let config = ConvConfig {
            stride,
            ..ConvConfig::default()
        };
        let [conv, norm] = block.resnet.naming.shortcut(path, average_pool);
        Self {
            pool,
            conv: Conv2d::new(&conv, block.input, output, config),
            norm: BatchNorm::new(&norm, output),
        }
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
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
        self.norm.forward(&self.conv.forward(&pooled)?, mode)
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
    resnet: ResNetConfig,
    input: i64,
    planes: i64,
    stride: i64,
    dilation: i64,
}

impl Residual {
    fn new(path: &Path, config: &ResidualConfig) -> Self {
        let &ResidualConfig {
            resnet,
            input,
            planes,
            stride,
            dilation,
        } = config;
        let spec = resnet.arch.spec();
        let output = planes * spec.block.expansion();
        let plan: Vec<(i64, i64, ConvConfig)> = match spec.block {
            Block::Basic => {
                let second = if resnet.dilate_second { dilation } else { 1 };
                vec![
                    (input, planes, ConvConfig::three(stride, dilation)),
                    (planes, planes, ConvConfig::three(1, second)),
                ]
            }
            Block::Bottleneck => {
                let width = planes * spec.group_width / 64 * spec.groups;
                let (first, second) = if resnet.stride_first {
                    (stride, 1)
                } else {
                    (1, stride)
                };
                let middle = ConvConfig {
                    groups: spec.groups,
                    ..ConvConfig::three(second, dilation)
                };
                let first = ConvConfig {
                    stride: first,
                    ..ConvConfig::default()
                };
                vec![
                    (input, width, first),
                    (width, width, middle),
                    (width, output, ConvConfig::default()),
                ]
            }
        };
        let naming = resnet.naming;
        let shortcut = || {
            let changes = stride != 1 || input != output;
            changes.then(|| Downsample::new(path, config, output))
        };
        let before = naming.shortcut_first().then(shortcut);
        let last = plan.len();
        let layers = plan
            .into_iter()
            .enumerate()
            .map(|(i, (input, output, config))| {
                let [conv, norm] = naming.layer(path, i);
                let conv = Conv2d::new(&conv, input, output, config);
                // A zero last weight makes every block the identity at the start.
                let weight = if i + 1 == last { 0.0 } else { 1.0 };
                (conv, BatchNorm::with_weight(&norm, output, weight))
            })
            .collect();
        let downsample = before.unwrap_or_else(shortcut);
        Self { layers, downsample }
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let mut out = x.shallow_clone();
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            out = norm.forward(&conv.forward(&out)?, mode)?;
            if i + 1 < self.layers.len() {
                out = out.relu_();
            }
        }
        let residual = match &self.downsample {
            Some(downsample) => downsample.forward(x, mode)?,
            None => x.shallow_clone(),
        };
        Ok(out.g_add_(&residual).relu_())
    }
}

/// The backbone f: pictures to dense features.
#[derive(Debug)]
pub struct ResNet {
    config: ResNetConfig,
    stem: Stem,
    norm: BatchNorm,
    stages: [Vec<Residual>; 4],
}

impl ResNet {
    /// Builds it below `path` with the names that `config` says and the official initialisation.
    pub fn new(path: &Path, config: ResNetConfig) -> Self {
        let spec = config.arch.spec();
        let base = 64 * spec.width;
        let naming = config.naming;
        let stem = Stem::new(path, &config);
        let norm = BatchNorm::new(&naming.stem_norm(path, spec.deep), base);
        let mut input = base;
        let stages = [0, 1, 2, 3].map(|stage| {
            let path = naming.stage(path, stage);
            let blocks = (0..spec.blocks[stage]).map(|block| {
                let (stride, dilation) = config.geometry(stage, block);
                let residual = ResidualConfig {
                    resnet: config,
                    input,
                    planes: base << stage,
                    stride,
                    dilation,
                };
                input = spec.channels()[stage];
                Residual::new(&path.sub(block), &residual)
            });
            blocks.collect()
        });
        Self {
            config,
            stem,
            norm,
            stages,
        }
    }

    fn first(&self, pictures: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let x = self.stem.forward(pictures, mode)?;
        let x = self.norm.forward(&x, mode)?.relu_();
        Ok(x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?)
    }

    fn blocks(&self, index: usize, mut x: Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        for block in &self.stages[index] {
            x = block.forward(&x, mode)?;
        }
        Ok(x)
    }
}

impl Backbone for ResNet {
    fn channels(&self) -> [i64; 4] {
        self.config.arch.spec().channels()
    }

    fn strides(&self) -> [i64; 4] {
        let mut pixels = 4;
        self.config.strides.map(|stride| {
            pixels *= stride;
            pixels
        })
    }

    fn stages(&self, pictures: &Tensor, mode: BatchNormMode) -> Result<[Tensor; 4], Error> {
        let first = self.blocks(0, self.first(pictures, mode)?, mode)?;
        let second = self.blocks(1, first.shallow_clone(), mode)?;
        let third = self.blocks(2, second.shallow_clone(), mode)?;
        let fourth = self.blocks(3, third.shallow_clone(), mode)?;
        Ok([first, second, third, fourth])
    }

    fn stage(&self, number: usize, pictures: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        assert!((1..=4).contains(&number), "a backbone has stages 1 to 4");
        let mut x = self.first(pictures, mode)?;
        for index in 0..number {
            x = self.blocks(index, x, mode)?;
        }
        Ok(x)
    }
}
