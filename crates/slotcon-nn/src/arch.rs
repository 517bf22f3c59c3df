//! The backbones by name, as in the official `models/resnet.py`.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Residual block of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions (ResNet-18, -34).
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

macro_rules! archs {
    ($($variant:ident $name:literal $doc:literal),* $(,)?) => {
        /// A backbone of the official implementation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Arch { $(#[doc = $doc] $variant),* }

        impl Arch {
            /// Every backbone, in the order of the official list.
            pub const ALL: &'static [Arch] = &[$(Arch::$variant),*];

            /// The official name, e.g. `resnet50_16s`.
            pub fn name(self) -> &'static str {
                match self { $(Arch::$variant => $name),* }
            }
        }
    };
}

archs! {
    ResNet18 "resnet18" "ResNet-18.",
    ResNet34 "resnet34" "ResNet-34.",
    ResNet50 "resnet50" "ResNet-50.",
    ResNet101 "resnet101" "ResNet-101.",
    ResNet152 "resnet152" "ResNet-152.",
    ResNet18D "resnet18_d" "ResNet-18-D: deep stem, average-pool shortcut.",
    ResNet34D "resnet34_d" "ResNet-34-D.",
    ResNet50D "resnet50_d" "ResNet-50-D.",
    ResNet101D "resnet101_d" "ResNet-101-D.",
    ResNet152D "resnet152_d" "ResNet-152-D.",
    ResNet50S16 "resnet50_16s" "ResNet-50 with output stride 16: the last stage is dilated, not strided.",
    ResNet50W2x "resnet50_w2x" "ResNet-50, twice as wide.",
    ResNeXt101 "resnext101_32x8d" "ResNeXt-101 32x8d.",
    ResNeXt152 "resnext152_32x8d" "ResNeXt-152 32x8d.",
}

impl Arch {
    /// Block type of all four stages.
    pub fn block(self) -> Block {
        match self {
            Arch::ResNet18 | Arch::ResNet34 | Arch::ResNet18D | Arch::ResNet34D => Block::Basic,
            _ => Block::Bottleneck,
        }
    }

    /// Blocks in each of the four stages.
    pub fn stages(self) -> [usize; 4] {
        match self {
            Arch::ResNet18 | Arch::ResNet18D => [2, 2, 2, 2],
            Arch::ResNet34
            | Arch::ResNet34D
            | Arch::ResNet50
            | Arch::ResNet50D
            | Arch::ResNet50S16
            | Arch::ResNet50W2x => [3, 4, 6, 3],
            Arch::ResNet101 | Arch::ResNet101D | Arch::ResNeXt101 => [3, 4, 23, 3],
            Arch::ResNet152 | Arch::ResNet152D | Arch::ResNeXt152 => [3, 8, 36, 3],
        }
    }

    /// Multiplier of every stage's width.
    pub fn width(self) -> i64 {
        if self == Arch::ResNet50W2x { 2 } else { 1 }
    }

    /// Groups of the 3x3 convolutions and their width per group.
    pub fn groups(self) -> (i64, i64) {
        match self {
            Arch::ResNeXt101 | Arch::ResNeXt152 => (32, 8),
            _ => (1, 64),
        }
    }

    /// The "D" variants: three 3x3 convolutions as the stem, average pooling in front of the shortcut's 1x1.
    pub fn is_d(self) -> bool {
        matches!(
            self,
            Arch::ResNet18D | Arch::ResNet34D | Arch::ResNet50D | Arch::ResNet101D | Arch::ResNet152D
        )
    }

    /// Channels of the last stage's output.
    pub fn channels(self) -> i64 {
        64 * self.width() * 8 * self.block().expansion()
    }

    /// Pixels of the input per position of the last stage's output, as upstream builds it.
    pub fn output_stride(self) -> i64 {
        if self == Arch::ResNet50S16 { 16 } else { 32 }
    }
}

/// Pixels of the input per position of the output; what a stage does not stride it dilates, so that the weights are the
/// same for every stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputStride(i64);

impl OutputStride {
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
