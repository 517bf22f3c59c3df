//! Networks with PyTorch's names: ResNet backbones, the heads of SlotCon, and the store that holds their
//! weights in the order of the official state dict.

mod arch;
mod error;
mod heads;
mod layers;
mod resnet;
mod store;

pub use arch::{Arch, Block, OutputStride};
pub use error::Error;
pub use heads::{Mlp, MlpConfig};
pub use layers::{BatchNorm, Conv2d, ConvConfig, Linear};
pub use resnet::ResNet;
pub use store::{Entry, Init, Path, Role, Store};
