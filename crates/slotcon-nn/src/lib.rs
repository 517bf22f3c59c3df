//! Networks with PyTorch's names: backbones, the layers that they are made of, the heads of each task, and the store that
//! holds their weights in the order of the official state dict.

pub mod backbone;
pub mod detection;
mod error;
pub mod heads;
mod init;
pub mod layers;
mod store;

pub use backbone::{Arch, Backbone, Block, Naming, OutputStride, ResNet, ResNetConfig};
pub use error::Error;
pub use heads::{Fcn, FcnConfig, Mlp, MlpConfig};
pub use init::Init;
pub use layers::{BatchNorm, BatchNormMode, Conv2d, ConvConfig, Deconv, Linear};
pub use store::{Entry, Norm, Path, Role, Store};
