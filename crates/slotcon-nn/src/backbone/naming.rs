//! Whose names a ResNet's tensors bear, in the order of that program's state dict.

use crate::store::Path;

/// Whose names a ResNet's tensors bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// torchvision's and the official code's: `conv1`, `bn1`, `layer1.0.conv1`, `layer1.0.bn1`, `layer1.0.downsample.0`.
    #[default]
    Torchvision,
    /// detectron2's: `stem.conv1`, `stem.conv1.norm`, `res2.0.shortcut`, `res2.0.conv1`, `res2.0.conv1.norm`. The deep stem, which
    /// detectron2's ResNet lacks, is `stem.conv1` to `stem.conv3`.
    Detectron2,
}

impl Naming {
    /// The stem's only convolution.
    pub(super) fn stem<'a>(self, path: &Path<'a>) -> Path<'a> {
        match self {
            Self::Torchvision => path.sub("conv1"),
            Self::Detectron2 => path.sub("stem").sub("conv1"),
        }
    }

    /// The norm of the stem's last convolution.
    pub(super) fn stem_norm<'a>(self, path: &Path<'a>, deep: bool) -> Path<'a> {
        match self {
            Self::Torchvision => path.sub("bn1"),
            Self::Detectron2 if deep => self.deep_stem_last(path).sub("norm"),
            Self::Detectron2 => self.stem(path).sub("norm"),
        }
    }

    /// Convolution and norm `index` (from 0) of a deep stem, but for the last.
    pub(super) fn deep_stem<'a>(self, path: &Path<'a>, index: usize) -> [Path<'a>; 2] {
        match self {
            Self::Torchvision => {
                let path = path.sub("conv1").sub(index);
                [path.sub(0), path.sub(1)]
            }
            Self::Detectron2 => conv_norm(&path.sub("stem"), index),
        }
    }

    /// The last convolution of a deep stem.
    pub(super) fn deep_stem_last<'a>(self, path: &Path<'a>) -> Path<'a> {
        match self {
            Self::Torchvision => path.sub("conv1").sub(2),
            Self::Detectron2 => path.sub("stem").sub("conv3"),
        }
    }

    /// Stage `index`, from 0.
    pub(super) fn stage<'a>(self, path: &Path<'a>, index: usize) -> Path<'a> {
        match self {
            Self::Torchvision => path.sub(format!("layer{}", index + 1)),
            Self::Detectron2 => path.sub(format!("res{}", index + 2)),
        }
    }

    /// Convolution and norm `index` (from 0) of a block.
    pub(super) fn layer<'a>(self, path: &Path<'a>, index: usize) -> [Path<'a>; 2] {
        match self {
            Self::Torchvision => ["conv", "bn"].map(|what| path.sub(format!("{what}{}", index + 1))),
            Self::Detectron2 => conv_norm(path, index),
        }
    }

    /// Convolution and norm of a block's shortcut; `pooled`: behind an average pooling.
    pub(super) fn shortcut<'a>(self, path: &Path<'a>, pooled: bool) -> [Path<'a>; 2] {
        match self {
            Self::Torchvision => {
                let (path, first) = (path.sub("downsample"), usize::from(pooled));
                [path.sub(first), path.sub(first + 1)]
            }
            Self::Detectron2 => [path.sub("shortcut"), path.sub("shortcut").sub("norm")],
        }
    }

    /// Whether a block's shortcut stands before its convolutions.
    pub(super) fn shortcut_first(self) -> bool {
        self == Self::Detectron2
    }
}

/// `conv1` and `conv1.norm` for index 0.
fn conv_norm<'a>(path: &Path<'a>, index: usize) -> [Path<'a>; 2] {
    let conv = path.sub(format!("conv{}", index + 1));
    [conv.clone(), conv.sub("norm")]
}
