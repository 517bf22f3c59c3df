//! A run from its beginning: what it starts from, on every rank.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::budget;
use crate::checkpoint::{Checkpoint, Progress};
use crate::device;
use crate::disk_space;
use crate::environment::Session;
use crate::error::{Error, RunError};
use crate::machine::cores;
use crate::observers::{EventWriter, Level, LogFile, MetricsFile, Observer, Observers};
use crate::outcome::Outcome;
use crate::precision;
use crate::process_group::{Launch, ProcessGroup, Waiting};
use crate::recipe::{Precision, RunRecipe, TaskRecipe};
use crate::resume::{same_on_all_ranks, same_run};
use crate::run_directory::RunDirectory;
use crate::stop::Stop;
use crate::task::Task;
use crate::training_loop::TrainingLoop;

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

/// A run that begins, for whoever wants to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// This process, from 0.
    pub rank: usize,
    /// Steps done before.
    pub from_step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
}

/// Adds observers to those that write the run directory: what a person sees.
pub type AddObservers = Arc<dyn Fn(&Beginning, &mut Observers) + Send + Sync>;

/// What a run needs besides its recipe and the task's sources.
#[derive(Clone)]
pub struct Options {
    /// The run directory.
    pub out: PathBuf,
    /// What it starts from.
    pub start: Start,
    /// Weights of another run of this task to start from: its network, not its optimizer or schedule.
    pub init_from: Option<PathBuf>,
    /// How long the run is to take, instead of how many steps the recipe says: measured before it begins. Not for a run that goes on.
    pub budget: Option<Duration>,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// This process among those that train together.
    pub launch: Launch,
    /// Ends the run early.
    pub stop: Stop,
    /// Who else watches.
    pub observers: AddObservers,
    /// Told in a sentence which ranks a run that cannot begin yet is waiting for.
    pub waiting: Waiting,
}

impl Options {
    /// A new run in `out`, alone, on whatever device there is, watched by nobody.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            start: Start::New,
            init_from: None,
            budget: None,
            device: "auto".into(),
            launch: Launch::default(),
            stop: Stop::default(),
            observers: Arc::new(|_, _| ()),
            waiting: Arc::new(|_| ()),
        }
    }
}

/// Trains by `recipe` to its end or until the run is stopped, together with the other ranks of `options.launch`, all of
/// which call this. With [`Start::Resume`], `recipe` may be `None`: it is that of the checkpoint then. Rank 0 alone reads
/// checkpoints and writes the run directory.
///
/// # Errors
/// See [`Error`]. A checkpoint of what was reached is written before a data error ends the run. If another rank fails, the
/// error names it. An error of a run that has begun is in its log.
pub fn train<T: Task>(
    recipe: Option<T::Recipe>,
    sources: &T::Sources,
    options: &Options,
) -> Result<Outcome, RunError> {
    if let Some(recipe) = &recipe {
        recipe.check().map_err(Error::from)?;
    }
    let timeout = timeout(
        &recipe
            .as_ref()
            .map_or_else(RunRecipe::default, |r| r.run().clone()),
    );
    let mut group = ProcessGroup::join(&options.launch, timeout, &options.waiting)?;
    let mut began = false;
    let outcome = as_one_of::<T>(&mut group, recipe, sources, options, &mut began);
    let outcome = group.leave(outcome);
    outcome.map_err(|source| {
        if began {
            log_the_end(&options.out, &source);
        }
        RunError { began, source }
    })
}

/// Notes in the log why a run ended that had begun.
fn log_the_end(out: &std::path::Path, error: &Error) {
    let log = LogFile::open(&RunDirectory::at(out).log());
    // The caller gets the error itself; a log that cannot be written has nobody to tell.
    let _ = log.and_then(|mut log| log.said(Level::Warning, &format!("the run ended: {error}")));
}

fn timeout(run: &RunRecipe) -> Duration {
    Duration::from_secs_f64(run.rank_timeout)
}

/// What rank 0 decides the run to be.
#[derive(Debug, Serialize, Deserialize)]
struct Decision {
    /// TOML.
    recipe: String,
    progress: Option<Progress>,
}

fn as_one_of<T: Task>(
    group: &mut ProcessGroup,
    own: Option<T::Recipe>,
    sources: &T::Sources,
    options: &Options,
    began: &mut bool,
) -> Result<Outcome, Error> {
    let directory = RunDirectory::at(&options.out);
    let device = device::parse_for(&options.device, group.launch().local_rank)?;
    let tried = own
        .as_ref()
        .is_some_and(|recipe| recipe.run().precision == Precision::Auto);
    let (mut recipe, progress, checkpoint) = decide(group, own, options, &directory, device)?;
    recipe.check()?;
    recipe.optim().per_rank_batch(group.launch().size)?;
    set_threads(recipe.run(), group.launch());
    let data = T::open(sources, &recipe)?;
    let samples = T::samples(&data).to_string();
    group.require_same("pictures", "the number of pictures", &samples)?;
    group.connect(device, timeout(recipe.run()))?;

    let mut fitted = None;
    if let (Some(budget), None) = (options.budget, &progress) {
        fitted = Some(budget::fit::<T>(&mut recipe, &data, device, group, budget)?);
    }
    let mut training = TrainingLoop::<T>::new(recipe, &data, device, progress, group)?;
    let beginning = Beginning {
        rank: group.launch().rank,
        from_step: training.progress.step,
        total_steps: training.end,
    };
    let mut observers = Observers::default();
    if !group.is_first() {
        training.broadcast()?;
        *began = true;
        (options.observers)(&beginning, &mut observers);
        return training.run(&directory, &mut observers, &options.stop);
    }
    let mut notes = initialise(&mut training, checkpoint.as_ref(), sources, options)?;
    let precision = training.recipe.run().precision;
    if tried && checkpoint.is_none() {
        let text = format!("precision auto: {precision} is the faster format here");
        notes.push((Level::Info, text));
    } else {
        notes.extend(device::warning(device, precision).map(|text| (Level::Warning, text.to_owned())));
    }
    notes.extend(fitted.map(|text| (Level::Info, text)));
    // Only now is anything written: a recipe or data set that does not work leaves an earlier run alone.
    let _lock = directory.lock()?;
    let bytes = disk_space::checkpoint_bytes(training.step.task.store(), &training.step.optimizer);
    let room = disk_space::check(&directory, bytes, training.recipe.run().keep)?;
    notes.extend(room.map(|text| (Level::Warning, text)));
    if checkpoint.is_none() && options.start != Start::New {
        directory.clear()?;
    }
    drop(checkpoint);
    directory.create()?;
    directory.write_recipe(&training.recipe.to_toml()?)?;
    *began = true;
    let pictures = training.progress.pictures;
    let left_out = T::left_out(&data);
    let session = Session {
        left_out: left_out.clone(),
        ..Session::now(
            device,
            &T::folders(sources),
            pictures,
            beginning.from_step,
            beginning.total_steps,
        )
    };
    session.append(&directory.environment())?;
    observers.add(LogFile::open(&directory.log())?);
    observers.add(MetricsFile::open(&directory.metrics(), beginning.from_step)?);
    let events = EventWriter::create(directory.root());
    observers.add(events.map_err(Error::write(directory.root(), "cannot write TensorBoard events"))?);
    (options.observers)(&beginning, &mut observers);
    let log = directory.log();
    group.on_failure(move |cause| {
        // The process ends with the error itself; a log that cannot be written has nobody to tell.
        if let Ok(mut log) = LogFile::open(&log) {
            let _ = log.said(Level::Warning, &format!("ended: {cause}"));
        }
    });
    for (level, note) in left_out
        .into_iter()
        .map(|line| (Level::Warning, line))
        .chain(notes)
    {
        observers.said(level, &note)?;
    }
    training.broadcast()?;
    training.run(&directory, &mut observers, &options.stop)
}

/// What the run is, on every rank: what rank 0 says. The checkpoint to go on with is there alone.
#[allow(clippy::type_complexity, reason = "three things that belong together once")]
fn decide<R: TaskRecipe>(
    group: &ProcessGroup,
    own: Option<R>,
    options: &Options,
    directory: &RunDirectory,
    device: Device,
) -> Result<(R, Option<Progress>, Option<Checkpoint<R>>), Error> {
    let mut begun = None;
    let said: Decision = group.broadcast_from_first("beginning", || {
        let (mut recipe, checkpoint) = begin(own.clone(), options, directory)?;
        let run = recipe.run_mut();
        run.precision = precision::resolve(run.precision, device)?;
        let decision = Decision {
            recipe: recipe.to_toml()?,
            progress: checkpoint.as_ref().map(|c| c.progress.clone()),
        };
        begun = Some((recipe, checkpoint));
        Ok(decision)
    })?;
    if let Some((recipe, checkpoint)) = begun {
        let progress = checkpoint.as_ref().map(|c| c.progress.clone());
        return Ok((recipe, progress, checkpoint));
    }
    let first = R::from_toml(&said.recipe, "rank 0's recipe")?;
    let mut own = own.unwrap_or_else(|| first.clone());
    if own.run().precision == Precision::Auto {
        own.run_mut().precision = first.run().precision;
    }
    same_on_all_ranks(&own, &first, group.launch().rank)?;
    Ok((own, said.progress, None))
}

/// What rank 0 starts from: the recipe, and the checkpoint of a run that goes on.
fn begin<R: TaskRecipe>(
    recipe: Option<R>,
    options: &Options,
    directory: &RunDirectory,
) -> Result<(R, Option<Checkpoint<R>>), Error> {
    let there = directory.last().exists();
    let checkpoint = match options.start {
        Start::New if directory.holds_a_run() => return Err(Error::Exists(options.out.clone())),
        Start::Resume if !there => return Err(Error::NothingToResume(options.out.clone())),
        Start::Resume => Some(newest::<R>(directory)?),
        Start::ResumeOrNew if there => Some(newest(directory)?),
        Start::New | Start::Overwrite | Start::ResumeOrNew => None,
    };
    let recipe = match (recipe, &checkpoint) {
        (Some(mut now), Some(checkpoint)) => {
            if now.run().precision == Precision::Auto {
                now.run_mut().precision = checkpoint.recipe.run().precision;
            }
            same_run(&now, &checkpoint.recipe)?;
            now
        }
        (None, Some(checkpoint)) => checkpoint.recipe.clone(),
        (recipe, None) => recipe.unwrap_or_default(),
    };
    Ok((recipe, checkpoint))
}

/// The checkpoint to go on with.
///
/// # Errors
/// A `last.safetensors` that is not whole, with the newest one that is.
fn newest<R: TaskRecipe>(directory: &RunDirectory) -> Result<Checkpoint<R>, Error> {
    let last = directory.last();
    Checkpoint::open(&last).map_err(|source| {
        let numbered = directory.numbered().unwrap_or_default();
        match numbered
            .into_iter()
            .find(|path| Checkpoint::<R>::open(path).is_ok())
        {
            Some(whole) => Error::LastNotWhole {
                source,
                whole,
                last: last.clone(),
            },
            None => source.into(),
        }
    })
}

/// Threads of libtorch: as the recipe says, else this process's share of the cores.
fn set_threads(run: &RunRecipe, launch: &Launch) {
    match (run.threads, launch.local_size) {
        (0, 1) => {}
        (0, processes) => tch::set_num_threads((cores() / processes).max(1) as i32),
        (threads, _) => tch::set_num_threads(threads as i32),
    }
}

/// Gives the network of rank 0 the weights that it starts from; what was done, for the log.
fn initialise<T: Task>(
    training: &mut TrainingLoop<T>,
    checkpoint: Option<&Checkpoint<T::Recipe>>,
    sources: &T::Sources,
    options: &Options,
) -> Result<Vec<(Level, String)>, Error> {
    let mut notes = Vec::from_iter(training.note.take().map(|note| (Level::Warning, note)));
    let step = &mut training.step;
    match (checkpoint, &options.init_from) {
        (Some(checkpoint), _) => {
            checkpoint.load_network(step.task.store())?;
            checkpoint.load_optimizer(&step.optimizer)?;
        }
        (None, Some(path)) => {
            Checkpoint::<T::Recipe>::open(path)?.load_network(step.task.store())?;
        }
        (None, None) => {
            let done = step.task.initialise(sources)?;
            notes.extend(done.into_iter().map(|note| (Level::Info, note)));
        }
    }
    Ok(notes)
}
