//! The training engine. It knows no task: what is trained is behind [`Task`], which hands over a recipe, batches, a forward
//! pass with losses by name, and metrics. The engine has the rest, for every task alike.
//!
//! [`train`] is a run from its beginning, [`TrainingStep`] one step, [`process_group`] the processes that train together,
//! [`RunDirectory`] what a run leaves behind, [`checkpoint`] the file it goes on from, [`recipe`] what a run is made of;
//! whoever shows or stores how it goes stands behind [`Observer`].

pub mod bench;
mod budget;
mod buffer_guard;
pub mod checkpoint;
pub mod device;
mod disk_space;
pub mod environment;
mod error;
pub mod feed;
pub mod loss_scale;
pub mod machine;
mod metrics;
pub mod normalise;
pub mod observers;
pub mod optim;
mod outcome;
mod plan;
pub mod precision;
pub mod process_group;
pub mod recipe;
mod resume;
mod run_directory;
pub mod schedule;
mod start;
mod stop;
pub mod task;
mod training_loop;
mod training_step;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use error::{Error, RunError};
pub use metrics::{Metrics, Numbers};
pub use observers::{Level, Observer, Observers};
pub use outcome::{Ending, Outcome};
pub use process_group::Launch;
pub use recipe::{RecipeError, TaskRecipe};
pub use run_directory::RunDirectory;
pub use start::{AddObservers, Beginning, Options, Start, train};
pub use stop::Stop;
pub use task::Task;
pub use training_step::{StepOutput, TrainingStep, scalar};
