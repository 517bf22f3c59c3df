//! A run from its beginning: what it starts from, on every rank.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slotcon_data::Dataset;

use super::crew::{Crew, Launch};
use super::device;
use super::directory::RunDirectory;
use super::environment::Session;
use super::log::LogFile;
use super::metrics::{Metrics, MetricsFile};
use super::observer::{Level, Observer, Observers};
use super::progress::Progress as ProgressBar;
use super::rank_log::RankLog;
use super::resume::{same_on_all_ranks, same_run};
use super::stop::Stop;
use super::trainer::{Trainer, cores};
use crate::checkpoint::{Checkpoint, Progress};
use crate::error::Error;
use crate::events::EventWriter;
use crate::recipe::{Recipe, RunRecipe};
use crate::weights;

/// What a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Nothing; an earlier run in the same place is an error.
    New,
    /// Nothing; an earlier run in the same place is removed.
    Overwrite,
    /// The last checkpoint of the same run.
    Resume,
    /// The last checkpoint of the same run if there is one, else nothing: for launchers that start again by themselves
    /// what has failed.
    ResumeOrNew,
}

/// What a run needs besides its recipe.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folders of pictures.
    pub data: Vec<PathBuf>,
    /// The run directory.
    pub out: PathBuf,
    /// What it starts from.
    pub start: Start,
    /// Weights of another run to start from: its model, not its optimizer or schedule.
    pub init_from: Option<PathBuf>,
    /// A backbone to start from, for student and teacher: a file that [`crate::weights::WeightFile`] reads.
    pub init_backbone: Option<PathBuf>,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// This process among those that train together.
    pub launch: Launch,
    /// Ends the run early.
    pub stop: Stop,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Steps done in all.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// The last logged step of this call.
    pub last: Option<Metrics>,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
}

impl Outcome {
    /// Whether the run was stopped before its end.
    pub fn stopped(&self) -> bool {
        self.step < self.total_steps
    }
}

/// Runs `recipe` to its end or until it is stopped, together with the other ranks of `options.launch`, all of which call
/// this. With [`Start::Resume`], `recipe` may be `None`: it is that of the checkpoint then. Rank 0 alone reads checkpoints
/// and writes the run directory.
///
/// # Errors
/// See [`Error`]. A checkpoint of what was reached is written before a data error ends the run. If another rank fails, the
/// error names it.
pub fn pretrain(recipe: Option<Recipe>, options: &Options) -> Result<Outcome, Error> {
    if let Some(recipe) = &recipe {
        recipe.check()?;
    }
    let timeout = timeout(&recipe.as_ref().map_or_else(RunRecipe::default, |r| r.run.clone()));
    let mut crew = Crew::meet(&options.launch, timeout)?;
    let outcome = as_one_of(&mut crew, recipe, options);
    crew.disband(outcome)
}

fn timeout(run: &RunRecipe) -> Duration {
    Duration::from_secs_f64(run.rank_timeout)
}

/// What rank 0 decides the run to be.
#[derive(Debug, Serialize, Deserialize)]
struct Beginning {
    /// TOML.
    recipe: String,
    progress: Option<Progress>,
}

fn as_one_of(crew: &mut Crew, own: Option<Recipe>, options: &Options) -> Result<Outcome, Error> {
    let directory = RunDirectory::at(&options.out);
    let mut begun = None;
    let said = crew.first_says("beginning", || {
        let (recipe, checkpoint) = begin(own.clone(), options, &directory)?;
        let beginning = Beginning {
            recipe: recipe.to_toml(),
            progress: checkpoint.as_ref().map(|c| c.progress.clone()),
        };
        begun = Some((recipe, checkpoint));
        serde_json::to_string(&beginning).map_err(|e| Error::Ranks(e.to_string()))
    })?;
    let (recipe, progress, checkpoint) = match begun {
        Some((recipe, checkpoint)) => (
            recipe,
            checkpoint.as_ref().map(|c| c.progress.clone()),
            checkpoint,
        ),
        None => {
            let said: Beginning = serde_json::from_str(&said).map_err(|e| Error::Ranks(e.to_string()))?;
            let first = Recipe::from_toml(&said.recipe, "rank 0's recipe")?;
            let own = own.unwrap_or_else(|| first.clone());
            same_on_all_ranks(&own, &first, crew.launch().rank)?;
            (own, said.progress, None)
        }
    };
    recipe.check()?;
    recipe.share_of_batch(crew.launch().size)?;
    let device = device::parse_for(&options.device, crew.launch().local_rank)?;
    match (recipe.run.threads, crew.launch().local_size) {
        (0, 1) => {}
        (0, processes) => tch::set_num_threads((cores() / processes).max(1) as i32),
        (threads, _) => tch::set_num_threads(threads as i32),
    }
    let dataset = Arc::new(Dataset::open(&options.data, recipe.data.layout)?);
    let pictures = dataset.len().to_string();
    crew.require_same("pictures", "the number of pictures", &pictures)?;
    crew.join(device, timeout(&recipe.run))?;

    let mut trainer = Trainer::new(recipe, dataset, device, progress, crew)?;
    if !crew.is_first() {
        trainer.share()?;
        let mut observers = Observers::default();
        observers.add(RankLog);
        return trainer.run(&directory, &mut observers, &options.stop);
    }
    let mut notes = Vec::from_iter(
        device::advice(device, trainer.recipe.run.precision).map(|(level, text)| (level, text.to_owned())),
    );
    let model = &trainer.learner.model;
    match (&checkpoint, &options.init_from, &options.init_backbone) {
        (Some(checkpoint), ..) => {
            checkpoint.load_model(model)?;
            checkpoint.load_optimizer(&trainer.learner.optimizer)?;
        }
        (None, Some(path), _) => Checkpoint::open(path)?.load_model(model)?,
        (None, None, Some(path)) => {
            let report = weights::init_backbone(path, model)?;
            let note = format!("backbone from {}: {}", path.display(), report.summary());
            notes.push((Level::Info, note));
        }
        (None, None, None) => {}
    }
    // Only now is anything written: a recipe or data set that does not work leaves an earlier run alone.
    let _lock = directory.lock()?;
    if checkpoint.is_none() && options.start != Start::New {
        directory.clear()?;
    }
    directory.create()?;
    directory.write_recipe(&trainer.recipe)?;
    let Progress {
        step,
        total_steps,
        pictures,
        ..
    } = trainer.progress;
    Session::now(device, &options.data, pictures, step, total_steps).append(&directory.environment())?;
    let mut observers = Observers::default();
    observers.add(LogFile::open(&directory.log())?);
    observers.add(MetricsFile::open(&directory.metrics(), trainer.progress.step)?);
    let events = EventWriter::create(directory.root());
    observers.add(events.map_err(Error::write(directory.root(), "cannot write TensorBoard events"))?);
    observers.add(ProgressBar::new(
        trainer.progress.step,
        trainer.progress.total_steps,
    ));
    let log = directory.log();
    crew.before_the_end(move |verdict| {
        // The process ends with the error itself; a log that cannot be written has nobody to tell.
        if let Ok(mut log) = LogFile::open(&log) {
            let _ = log.said(Level::Warning, &format!("ended: {verdict}"));
        }
    });
    for (level, note) in notes {
        observers.said(level, &note)?;
    }
    trainer.share()?;
    trainer.run(&directory, &mut observers, &options.stop)
}

/// What rank 0 starts from: the recipe, and the checkpoint of a run that goes on.
fn begin(
    recipe: Option<Recipe>,
    options: &Options,
    directory: &RunDirectory,
) -> Result<(Recipe, Option<Checkpoint>), Error> {
    let there = directory.last().exists();
    let checkpoint = match options.start {
        Start::New if directory.holds_a_run() => return Err(Error::Exists(options.out.clone())),
        Start::Resume if !there => return Err(Error::NothingToResume(options.out.clone())),
        Start::Resume => Some(Checkpoint::open(&directory.last())?),
        Start::ResumeOrNew if there => Some(Checkpoint::open(&directory.last())?),
        Start::New | Start::Overwrite | Start::ResumeOrNew => None,
    };
    let recipe = match (recipe, &checkpoint) {
        (Some(now), Some(checkpoint)) => {
            same_run(&now, &checkpoint.recipe)?;
            now
        }
        (None, Some(checkpoint)) => checkpoint.recipe.clone(),
        (recipe, None) => recipe.unwrap_or_default(),
    };
    Ok((recipe, checkpoint))
}
