//! A run: from a recipe and a folder of pictures to checkpoints, metrics and logs in the run directory.
//!
//! [`mod@pretrain`] is its beginning, [`learner`] one step, [`crew`] the processes that run it together; [`directory`] what it leaves behind; [`metrics`] one logged step; what shows or stores
//! metrics stands behind [`observer::Observer`].

pub mod batch;
pub mod bench;
pub mod crew;
pub mod device;
pub mod directory;
pub mod environment;
pub mod feed;
mod guard;
pub mod health;
pub mod learner;
pub mod log;
pub mod loss_scale;
pub mod metrics;
pub mod observer;
mod plan;
pub mod pretrain;
pub mod progress;
mod rank_log;
pub mod resume;
pub mod stop;
pub mod traffic;
mod trainer;

pub use directory::RunDirectory;
pub use pretrain::{Options, Outcome, Start, pretrain};
