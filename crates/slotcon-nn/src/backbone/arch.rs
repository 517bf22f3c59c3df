//! The backbones by name, as in the official `models/resnet.py`.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Residual block of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions (ResNet-10, -18, -34).
    Basic,
    /// 1x1, 3x3, 1x1 convolutions with four times as many output channels (ResNet-50 and deeper).
    Bottleneck,
}

impl Block {
    /// Output channels over the block's nominal width.
    pub fn expansion(self) -> i64 {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

/// What tells one ResNet from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNetSpec {
    /// The official name, e.g. `resnet50_16s`.
    pub name: &'static str,
    /// Block type of all four stages.
    pub block: Block,
    /// Blocks in each stage.
    pub blocks: [usize; 4],
    /// Multiplier of every stage's width.
    pub width: i64,
    /// Groups of the 3x3 convolutions.
    pub groups: i64,
    /// Width of a group over the stage's nominal width of 64.
    pub group_width: i64,
    /// Whether the stem is three 3x3 convolutions instead of one 7x7.
    pub deep: bool,
    /// Whether an average pooling strides in front of the shortcut's 1x1 convolution, instead of that convolution.
    pub pooled_shortcut: bool,
    /// Pixels of the input per position of the last stage's output, as upstream builds it.
    pub output_stride: i64,
}

impl ResNetSpec {
    const fn new(name: &'static str, block: Block, blocks: [usize; 4]) -> Self {
        Self {
            name,
            block,
            blocks,
            width: 1,
            groups: 1,
            group_width: 64,
            deep: false,
            pooled_shortcut: false,
            output_stride: 32,
        }
    }

    /// The "D" variants.
    const fn deep(self) -> Self {
        Self {
            deep: true,
            pooled_shortcut: true,
            ..self
        }
    }

    /// The "C" variants: the stem of "D", the shortcut of the plain ones.
    const fn deep_stem(self) -> Self {
        Self { deep: true, ..self }
    }

    const fn grouped(self, groups: i64, group_width: i64) -> Self {
        Self {
            groups,
            group_width,
            ..self
        }
    }

    /// Channels of each stage's output.
    pub fn channels(&self) -> [i64; 4] {
        [1, 2, 4, 8].map(|times| 64 * self.width * times * self.block.expansion())
    }
}

macro_rules! archs {
    ($($(#[doc = $doc:literal])* $variant:ident = $spec:expr;)*) => {
        /// A backbone of the official implementation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Arch { $($(#[doc = $doc])* $variant),* }

        impl Arch {
            /// Every backbone, in the order of the official list.
            pub const ALL: &'static [Arch] = &[$(Arch::$variant),*];

            /// The rows of the table, in the order of the variants.
            const SPECS: &'static [ResNetSpec] = &[$($spec),*];
        }
    };
}

const R10: [usize; 4] = [1, 1, 1, 1];
const R18: [usize; 4] = [2, 2, 2, 2];
const R50: [usize; 4] = [3, 4, 6, 3];
const R101: [usize; 4] = [3, 4, 23, 3];
const R152: [usize; 4] = [3, 8, 36, 3];

archs! {
    /// ResNet-10: one block a stage. Not upstream's; half the work of a ResNet-18.
    ResNet10 = ResNetSpec::new("resnet10", Block::Basic, R10);
    /// ResNet-18.
    ResNet18 = ResNetSpec::new("resnet18", Block::Basic, R18);
    /// ResNet-34.
    ResNet34 = ResNetSpec::new("resnet34", Block::Basic, R50);
    /// ResNet-50.
    ResNet50 = ResNetSpec::new("resnet50", Block::Bottleneck, R50);
    /// ResNet-101.
    ResNet101 = ResNetSpec::new("resnet101", Block::Bottleneck, R101);
    /// ResNet-152.
    ResNet152 = ResNetSpec::new("resnet152", Block::Bottleneck, R152);
    /// ResNet-18-D: deep stem, average-pool shortcut.
    ResNet18D = ResNetSpec::new("resnet18_d", Block::Basic, R18).deep();
    /// ResNet-34-D.
    ResNet34D = ResNetSpec::new("resnet34_d", Block::Basic, R50).deep();
    /// ResNet-50-D.
    ResNet50D = ResNetSpec::new("resnet50_d", Block::Bottleneck, R50).deep();
    /// ResNet-101-D.
    ResNet101D = ResNetSpec::new("resnet101_d", Block::Bottleneck, R101).deep();
    /// ResNet-152-D.
    ResNet152D = ResNetSpec::new("resnet152_d", Block::Bottleneck, R152).deep();
    /// ResNet-18-C, MMSegmentation's `ResNetV1c`: deep stem, plain shortcut.
    ResNet18C = ResNetSpec::new("resnet18_c", Block::Basic, R18).deep_stem();
    /// ResNet-50-C.
    ResNet50C = ResNetSpec::new("resnet50_c", Block::Bottleneck, R50).deep_stem();
    /// ResNet-101-C.
    ResNet101C = ResNetSpec::new("resnet101_c", Block::Bottleneck, R101).deep_stem();
    /// ResNet-50 with output stride 16: the last stage is dilated, not strided.
    ResNet50S16 = ResNetSpec { output_stride: 16, ..ResNetSpec::new("resnet50_16s", Block::Bottleneck, R50) };
    /// ResNet-50, twice as wide.
    ResNet50W2x = ResNetSpec { width: 2, ..ResNetSpec::new("resnet50_w2x", Block::Bottleneck, R50) };
    /// ResNeXt-101 32x8d.
    ResNeXt101 = ResNetSpec::new("resnext101_32x8d", Block::Bottleneck, R101).grouped(32, 8);
    /// ResNeXt-152 32x8d.
    ResNeXt152 = ResNetSpec::new("resnext152_32x8d", Block::Bottleneck, R152).grouped(32, 8);
}

impl Arch {
    /// What defines it.
    pub fn spec(self) -> &'static ResNetSpec {
        &Self::SPECS[self as usize]
    }

    /// The official name, e.g. `resnet50_16s`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Channels of the last stage's output.
    pub fn channels(self) -> i64 {
        let [.., last] = self.spec().channels();
        last
    }
}

/// Pixels of the input per position of the output; what a stage does not stride it dilates, so that the weights are the
/// same for every stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputStride(i64);

impl OutputStride {
    /// 32: nothing is dilated.
    pub const FULL: Self = Self(32);

    /// 8, 16 or 32; others are `None`.
    pub fn new(pixels: i64) -> Option<Self> {
        matches!(pixels, 8 | 16 | 32).then_some(Self(pixels))
    }

    /// In pixels.
    pub fn pixels(self) -> i64 {
        self.0
    }

    /// Side of the output for a square picture of `size` pixels: every strided layer rounds up.
    pub fn side(self, size: i64) -> i64 {
        (0..self.0.ilog2()).fold(size, |side, _| (side + 1) / 2)
    }

    /// Stride and dilation of each of the four stages; the stem has stride 4.
    pub fn stages(self) -> [(i64, i64); 4] {
        let (mut stride, mut dilation) = (4, 1);
        [0, 1, 2, 3].map(|stage| {
            if stage == 0 {
                (1, 1)
            } else if stride < self.0 {
                stride *= 2;
                (2, 1)
            } else {
                dilation *= 2;
                (1, dilation)
            }
        })
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Arch::ALL
            .iter()
            .copied()
            .find(|a| a.name() == name)
            .ok_or_else(|| Error::UnknownArch {
                name: name.into(),
                known: Arch::ALL.iter().map(|a| a.name()).collect::<Vec<_>>().join(", "),
            })
    }
}
