//! Several processes that train one model: libtorch's own c10d, with Gloo on CPUs and NCCL on GPUs.
//!
//! [`Store`] is where processes meet, [`Ranks`] what they compute together, [`Reducer`] how gradients are averaged. A
//! process alone is [`Ranks::alone`]: every operation is then the identity and costs nothing.

mod ranks;
mod reducer;
mod store;
mod traffic;

pub use ranks::{Join, Ranks, has_nccl};
pub use reducer::Reducer;
pub use store::Store;
pub use traffic::Traffic;
