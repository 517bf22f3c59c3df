//! Recipes: everything that defines a run, typed. A task has a recipe of its own; the sections `[optim]` and `[run]`, and how
//! pictures are loaded, are the same for all.
//!
//! A recipe is built from the task's defaults, then a published or own TOML file, then `section.key=value` settings
//! ([`TaskRecipe::load`]); what comes out is checked ([`TaskRecipe::check`]) and written to the run directory.

pub mod check;
mod optim;
mod parse;
mod run;

use std::fmt::Debug;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use slotcon_data::LoaderConfig;

pub use optim::{OptimRecipe, OptimizerName, ScheduleName};
pub use parse::RecipeError;
pub(crate) use parse::table;
pub use run::{Precision, RunRecipe};

use crate::task::Share;

/// A recipe that ships with the program, by name.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// As given to `--recipe`.
    pub name: &'static str,
    /// Its TOML, opened by what it costs and what it reaches.
    pub text: &'static str,
}

/// A key that older programs wrote and this one no longer has.
#[derive(Debug, Clone, Copy)]
pub struct Retired {
    /// `section.key`.
    pub key: &'static str,
    /// The value that asked for nothing; `None`: no value did by itself.
    pub without: Option<f64>,
    /// What it set.
    pub what: &'static str,
}

/// The recipe of a task: `[optim]`, `[run]` and sections of its own.
pub trait TaskRecipe: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + 'static {
    /// The task's name, in checkpoints.
    const TASK: &'static str;
    /// The recipes that ship with the program; the first is the default.
    const PUBLISHED: &'static [Published];
    /// Keys of the task's own sections that change neither the pictures nor the arithmetic of a step: a run may be resumed
    /// with others.
    const FREE: &'static [&'static str] = &[];
    /// Keys that recipes of older programs may hold: read over where they asked for nothing, refused otherwise.
    const RETIRED: &'static [Retired] = &[];

    /// Refuses values that cannot work and values that contradict each other.
    ///
    /// # Errors
    /// The key, its value, and what would be right.
    fn check(&self) -> Result<(), RecipeError>;

    /// `[optim]`
    fn optim(&self) -> &OptimRecipe;

    /// `[run]`
    fn run(&self) -> &RunRecipe;

    /// `[run]`, to fix in it what follows from device and data.
    fn run_mut(&mut self) -> &mut RunRecipe;

    /// How pictures are loaded.
    fn loading(&self) -> &LoadingRecipe;

    /// The defaults, then the published recipe or file `name`, then each `section.key=value` of `settings`; checked.
    ///
    /// # Errors
    /// See [`RecipeError`].
    fn load(name: &str, settings: &[String]) -> Result<Self, RecipeError> {
        parse::load(name, settings)
    }

    /// The same recipe with each `section.key=value` of `settings`; checked.
    ///
    /// # Errors
    /// See [`RecipeError`].
    fn with(&self, settings: &[String]) -> Result<Self, RecipeError> {
        parse::with(self, settings)
    }

    /// A recipe from TOML text, e.g. of a checkpoint; `place` names it in errors.
    ///
    /// # Errors
    /// See [`RecipeError`].
    fn from_toml(text: &str, place: &str) -> Result<Self, RecipeError> {
        parse::from_toml(text, place)
    }

    /// Every key with its value, loadable as it is.
    ///
    /// # Errors
    /// A value that TOML cannot hold: a seed of 2^63 or more.
    fn to_toml(&self) -> Result<String, RecipeError> {
        parse::to_toml(self)
    }
}

/// How pictures are loaded; part of a recipe's `[data]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadingRecipe {
    /// Threads that decode and augment. 0: as many as the machine has cores; half of them where the
    /// network runs on the CPU.
    pub threads: usize,
    /// Batches made ahead, each as large in memory as its pictures.
    pub prefetch: usize,
    /// The part of the pictures that may be unusable before the run stops.
    pub max_bad: f64,
    /// Seconds after which a picture that the file system does not deliver counts as unusable; 0 waits for ever. Raise it
    /// for slow archives.
    pub read_timeout: f64,
}

impl Default for LoadingRecipe {
    fn default() -> Self {
        Self {
            threads: 0,
            prefetch: 3,
            max_bad: 0.1,
            read_timeout: 60.0,
        }
    }
}

impl LoadingRecipe {
    /// Keys of it, as the checks of resuming name them.
    pub const KEYS: [&'static str; 4] = [
        "data.threads",
        "data.prefetch",
        "data.max_bad",
        "data.read_timeout",
    ];

    /// The loader of one rank, in training as in benchmarks.
    pub fn loader_config(&self, seed: u64, share: &Share) -> LoaderConfig {
        LoaderConfig {
            batch: share.batch,
            rank: share.rank,
            world_size: share.ranks,
            threads: match self.threads {
                0 => share.loader_threads,
                threads => threads,
            },
            prefetch: self.prefetch,
            seed,
            first_step: share.first_step,
            read_timeout: Duration::from_secs_f64(self.read_timeout),
            max_bad_fraction: self.max_bad,
            ..LoaderConfig::default()
        }
    }

    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// The key, its value, and what would be right.
    pub fn check(&self) -> Result<(), RecipeError> {
        check::require(
            self.prefetch >= 1,
            "data.prefetch",
            self.prefetch,
            "must be at least 1",
        )?;
        check::fraction("data.max_bad", self.max_bad)?;
        check::require(
            (0.0..=1e9).contains(&self.read_timeout),
            "data.read_timeout",
            self.read_timeout,
            "must be seconds, or 0 to wait for ever",
        )
    }
}
