//! A run: from a recipe and a folder of pictures to checkpoints, metrics and logs in the run directory.
//!
//! [`mod@pretrain`] is the loop; [`directory`] what it leaves behind; [`metrics`] one logged step; what shows or stores
//! metrics stands behind [`observer::Observer`].

pub mod batch;
pub mod bench;
pub mod device;
pub mod directory;
pub mod environment;
pub mod feed;
mod guard;
pub mod health;
pub mod log;
pub mod loss_scale;
pub mod metrics;
pub mod observer;
pub mod pretrain;
pub mod progress;
pub mod resume;
pub mod stop;

pub use directory::RunDirectory;
pub use pretrain::{Options, Outcome, Start, pretrain};
