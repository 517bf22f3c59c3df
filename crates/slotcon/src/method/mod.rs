//! The method, one short file a step of the paper's section 3, in the order in which a picture passes:
//! [`network`] (f, g and the prototypes S), [`grouping`], [`inverse_augmentation`], [`group_loss`] with its
//! [`center`], [`slot_loss`], [`teacher`]; [`model`] puts them together. [`branch`] names the two networks.

pub mod branch;
pub mod center;
pub mod group_loss;
pub mod grouping;
pub mod inverse_augmentation;
pub mod model;
pub mod network;
pub mod slot_loss;
pub mod teacher;

pub use branch::Branch;
pub use grouping::Groups;
pub use model::{Losses, ModelConfig, SlotCon, Step, View};
pub use network::{Mode, Network};
