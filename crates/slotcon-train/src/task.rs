//! What a task hands the engine. Everything else (loop, optimizer, schedule, precision, ranks, run directory, checkpoints,
//! metrics, resuming) is the engine's, for every task.

use std::path::PathBuf;
use std::rc::Rc;

use slotcon_data::BadPicture;
use slotcon_nn::Store;
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use tch::{Device, Kind, Tensor};

use crate::error::Error;
use crate::machine::loader_threads;
use crate::metrics::{Metrics, Numbers};
use crate::optim::ParameterGroup;
use crate::process_group::Launch;
use crate::recipe::{OptimRecipe, TaskRecipe};

/// One rank's share of the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Pictures a step on this rank.
    pub batch: usize,
    /// This rank, from 0.
    pub rank: usize,
    /// How many there are.
    pub ranks: usize,
    /// Threads of this rank's loader, where the recipe leaves it open.
    pub loader_threads: usize,
    /// The first step whose batch is wanted.
    pub first_step: u64,
}

impl Share {
    /// That of the process `launch` from step `first_step` on.
    ///
    /// # Errors
    /// A batch that the ranks cannot divide.
    pub fn of(optim: &OptimRecipe, launch: &Launch, device: Device, first_step: u64) -> Result<Self, Error> {
        Ok(Self {
            batch: optim.per_rank_batch(launch.size)?,
            rank: launch.rank,
            ranks: launch.size,
            loader_threads: loader_threads(device, launch.local_size),
            first_step,
        })
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// This step, from 0.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps an epoch.
    pub steps_per_epoch: u64,
    /// Samples of the data set.
    pub samples: u64,
}

/// Part `index` (from 0) of the `count` equal parts in which a batch is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Part {
    /// The samples of this part among the `samples` of the batch.
    pub fn range(self, samples: usize) -> std::ops::Range<usize> {
        let size = samples / self.count;
        self.index * size..(self.index + 1) * size
    }
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Forward<O> {
    /// The loss to be minimised, a scalar with a graph.
    pub loss: Tensor,
    /// Its parts by name: scalars, for the log.
    pub parts: Vec<(&'static str, Tensor)>,
    /// What metrics are computed from.
    pub output: O,
}

/// What a validation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Figures by name.
    pub numbers: Numbers,
    /// The one by which checkpoints are compared: the highest is the best.
    pub score: f64,
    /// What is too long for a line of metrics, as JSON: `validation.json` in the run directory holds that of the last validation.
    pub details: Option<String>,
    /// What went wrong without making the figures worthless, in sentences.
    pub warnings: Vec<String>,
}

impl Validation {
    /// The figures for the log: those without a group; where all have one, the first of each group.
    pub(crate) fn in_words(&self) -> String {
        let group = |name: &str| name.split_once('/').map(|(group, _)| group.to_owned());
        let mut shown = Vec::from_iter(self.numbers.iter().filter(|(name, _)| group(name).is_none()));
        if shown.is_empty() {
            shown = self.numbers.iter().collect();
            shown.dedup_by_key(|(name, _)| group(name));
        }
        let figures = shown.iter().map(|(name, value)| format!("{name} {value:.4}"));
        Vec::from_iter(figures).join(", ")
    }
}

/// Batches as the task takes them, on its device.
pub trait Batches {
    /// One rank's samples of one step.
    type Batch;

    /// Batches an epoch has.
    fn steps_per_epoch(&self) -> u64;

    /// The next batch, and the pictures that could not be used and were replaced in it.
    ///
    /// # Errors
    /// Too many pictures that cannot be used ([`Error::Data`]); a GPU out of memory.
    fn next(&mut self, stopwatch: &Stopwatch) -> Result<(Self::Batch, Vec<BadPicture>), Error>;

    /// Called once the work of a step is queued: the time to fetch the next batch while a GPU computes.
    fn prepare(&mut self, _stopwatch: &Stopwatch) {}

    /// Something that the user should know, once.
    fn warning(&mut self) -> Option<String> {
        None
    }
}

/// A kind of training: a network, its loss, its data. The engine does the rest.
pub trait Task: Sized {
    /// Its recipe.
    type Recipe: TaskRecipe;
    /// What the user points at: folders of pictures, files to start from.
    type Sources;
    /// What was found there.
    type Data;
    /// Makes batches of it.
    type Batches: Batches;
    /// What a forward pass leaves for [`Task::metrics`].
    type Output;

    /// Opens and checks the data, before anything is written.
    ///
    /// # Errors
    /// Data that cannot be used.
    fn open(sources: &Self::Sources, recipe: &Self::Recipe) -> Result<Self::Data, Error>;

    /// Samples of the data set: an epoch is a pass over so many.
    fn samples(data: &Self::Data) -> u64;

    /// The folders that the run's record of its environment names.
    fn folders(sources: &Self::Sources) -> Vec<PathBuf>;

    /// What lies beside the data and is not taken, in sentences: said when a run starts, and listed in its report.
    fn left_out(_data: &Self::Data) -> Vec<String> {
        Vec::new()
    }

    /// A fresh network, its random numbers from libtorch's generator, which the engine has seeded.
    ///
    /// # Errors
    /// A recipe that does not fit the data.
    fn new(recipe: &Self::Recipe, data: &Self::Data, device: Device, ranks: &Ranks) -> Result<Self, Error>;

    /// Starts making batches.
    ///
    /// # Errors
    /// Fewer samples than a batch over all ranks; a GPU that is not there.
    fn batches(
        recipe: &Self::Recipe,
        data: &Self::Data,
        share: &Share,
        device: Device,
    ) -> Result<Self::Batches, Error>;

    /// Gives a new run the weights that it starts from; what was done, in sentences for the log. Called on rank 0 alone.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    fn initialise(&mut self, _sources: &Self::Sources) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    /// Every tensor of the network by name: what a checkpoint holds, beside the optimizer's momentum.
    fn store(&self) -> &Store;

    /// Parameters with a learning rate or a weight decay of their own; the first group that fits a name counts.
    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        Vec::new()
    }

    /// Whether a forward pass may leave parameters out, so that the ranks must find out which.
    fn leaves_parameters_out(&self) -> bool {
        false
    }

    /// Measures the parts of a step from now on.
    fn measure(&mut self, _stopwatch: Rc<Stopwatch>) {}

    /// What comes before the forward passes of a step.
    ///
    /// # Errors
    /// What libtorch refuses.
    fn before_step(&mut self, _position: Position) -> Result<(), Error> {
        Ok(())
    }

    /// The loss of a part of a batch, in training mode. `half` is the number format of convolutions and matrix products, if
    /// not the weights' own.
    ///
    /// # Errors
    /// What libtorch refuses; a rank that is gone.
    fn forward(
        &mut self,
        batch: &<Self::Batches as Batches>::Batch,
        part: Part,
        half: Option<Kind>,
    ) -> Result<Forward<Self::Output>, Error>;

    /// Figures of a logged step beside the losses, over all ranks. Called on every rank; may wait for the device.
    ///
    /// # Errors
    /// A rank that is gone.
    fn metrics(&self, _output: &Self::Output, _position: Position, _ranks: &Ranks) -> Result<Numbers, Error> {
        Ok(Numbers::new())
    }

    /// What is wrong with these metrics, if anything, and what to change.
    fn warning(&self, _metrics: &Metrics) -> Option<String> {
        None
    }

    /// The metrics in a few words, for the progress line.
    fn summary(&self, _metrics: &Metrics) -> String {
        String::new()
    }

    /// The run in a few words, for the log: network and data.
    fn description(&self) -> String;

    /// What a step sends between ranks in words, for the log; `share` of one rank, in `parts`.
    fn traffic(&self, _share: &Share, _parts: usize) -> Option<String> {
        None
    }

    /// What is to be done before every [`Task::validate`], and after the last step whether it is measured or not; sentences for the
    /// log say what was. Called on every rank. Training goes on from what it leaves.
    ///
    /// # Errors
    /// Pictures that cannot be used; what libtorch refuses; a rank that is gone.
    fn before_validation(&mut self, _share: &Share, _half: Option<Kind>) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    /// Whether there are pictures kept out of training on which [`Task::validate`] measures.
    fn validates(&self) -> bool {
        false
    }

    /// Measures the network on pictures kept out of training. Called on every rank, when `run.validate_every` says and at
    /// the end.
    ///
    /// # Errors
    /// Pictures that cannot be used; what libtorch refuses.
    fn validate(&mut self, _half: Option<Kind>) -> Result<Option<Validation>, Error> {
        Ok(None)
    }
}
