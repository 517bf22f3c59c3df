//! The training loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slotcon_data::{Dataset, LoaderConfig};
use tch::{Device, Kind, Tensor};

use super::device;
use super::directory::RunDirectory;
use super::environment::Session;
use super::feed::Feed;
use super::guard::BufferGuard;
use super::health::{GroupHealth, number};
use super::log::LogFile;
use super::loss_scale::LossScale;
use super::metrics::{Metrics, MetricsFile};
use super::observer::{Level, Observer, Observers};
use super::progress::Progress as ProgressBar;
use super::resume::same_run;
use super::stop::Stop;
use crate::checkpoint::{self, Checkpoint, LossScaleState, Progress};
use crate::error::Error;
use crate::events::EventWriter;
use crate::method::teacher::momentum;
use crate::method::{SlotCon, Step};
use crate::optim::Optimizer;
use crate::recipe::{Precision, Recipe};
use crate::schedule::LearningRate;
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

/// Runs `recipe` to its end or until it is stopped. With [`Start::Resume`], `recipe` may be `None`: it is that of the
/// checkpoint then.
///
/// # Errors
/// See [`Error`]. A checkpoint of what was reached is written before a data error ends the run.
pub fn pretrain(recipe: Option<Recipe>, options: &Options) -> Result<Outcome, Error> {
    let directory = RunDirectory::at(&options.out);
    let resumed = match options.start {
        Start::New if directory.holds_a_run() => return Err(Error::Exists(options.out.clone())),
        Start::Resume if !directory.last().exists() => {
            return Err(Error::NothingToResume(options.out.clone()));
        }
        Start::Resume => Some(Checkpoint::open(&directory.last())?),
        Start::New | Start::Overwrite => None,
    };
    let recipe = match (recipe, &resumed) {
        (Some(now), Some(checkpoint)) => {
            same_run(&now, &checkpoint.recipe)?;
            now
        }
        (None, Some(checkpoint)) => checkpoint.recipe.clone(),
        (recipe, None) => recipe.unwrap_or_default(),
    };
    recipe.check()?;
    let device = device::parse(&options.device)?;
    if recipe.run.threads > 0 {
        tch::set_num_threads(recipe.run.threads as i32);
    }
    let dataset = Arc::new(Dataset::open(&options.data, recipe.data.layout)?);

    let trainer = Trainer::new(recipe, dataset, device, resumed.as_ref())?;
    if let (Some(path), None) = (&options.init_from, &resumed) {
        Checkpoint::open(path)?.load_model(&trainer.model)?;
    }
    let backbone = match (&options.init_backbone, &resumed) {
        (Some(path), None) => Some((path, weights::init_backbone(path, &trainer.model)?)),
        _ => None,
    };
    // Only now is anything written: a recipe or data set that does not work leaves an earlier run alone.
    if options.start == Start::Overwrite {
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
    if let Some((path, report)) = backbone {
        let text = format!("backbone from {}: {}", path.display(), report.summary());
        observers.said(Level::Info, &text)?;
    }
    trainer.run(&directory, &mut observers, &options.stop)
}

/// Everything that changes from step to step.
struct Trainer {
    recipe: Recipe,
    device: Device,
    model: SlotCon,
    optimizer: Optimizer,
    loss_scale: Option<LossScale>,
    rate: LearningRate,
    momentum_steps: u64,
    feed: Feed,
    progress: Progress,
    guard: BufferGuard,
    /// Steps skipped in this call, and in a row up to now; on the device.
    skipped: Tensor,
    skipped_in_a_row: Tensor,
    skipped_before: u64,
}

impl Trainer {
    fn new(
        recipe: Recipe,
        dataset: Arc<Dataset>,
        device: Device,
        resumed: Option<&Checkpoint>,
    ) -> Result<Self, Error> {
        let pictures = dataset.len() as u64;
        let first_step = resumed.map_or(0, |c| c.progress.step);
        let feed = Feed::new(
            dataset,
            &recipe.data.augment,
            LoaderConfig {
                batch: recipe.optim.batch,
                threads: loader_threads(&recipe, device),
                prefetch: recipe.data.prefetch,
                seed: recipe.run.seed,
                first_step,
                read_timeout: Duration::from_secs_f64(recipe.data.read_timeout),
                max_bad_fraction: recipe.data.max_bad,
                ..LoaderConfig::default()
            },
            device,
        )?;
        let steps_per_epoch = feed.steps_per_epoch();
        let plan = Plan::new(&recipe, steps_per_epoch, pictures)?;
        let progress = match resumed {
            Some(checkpoint) => {
                let progress = checkpoint.progress.clone();
                if progress.pictures != pictures {
                    return Err(Error::Differs {
                        what: "the number of pictures".into(),
                        now: pictures.to_string(),
                        then: progress.pictures.to_string(),
                        advice: "resume with the same data, or start another run from these weights with --init-from",
                    });
                }
                progress
            }
            None => Progress {
                step: 0,
                total_steps: plan.total,
                steps_per_epoch,
                pictures,
                loss_scale: LossScaleState::OFF,
                skipped: 0,
                bad_pictures: 0,
            },
        };

        // The only random numbers that libtorch draws are the initial weights.
        tch::manual_seed(recipe.run.seed as i64);
        let model = SlotCon::new(recipe.model_config()?, device, Kind::Float);
        let optimizer = Optimizer::new(recipe.optimizer_config(), model.store());
        if let Some(checkpoint) = resumed {
            checkpoint.load_model(&model)?;
            checkpoint.load_optimizer(&optimizer)?;
        }
        let state = resumed.map(|c| c.progress.loss_scale);
        let scalar = || Tensor::zeros([0i64; 0], (Kind::Float, device));
        Ok(Self {
            loss_scale: (recipe.run.precision == Precision::F16).then(|| LossScale::new(device, state)),
            rate: plan.rate,
            momentum_steps: plan.momentum_steps,
            guard: BufferGuard::new(model.store()),
            skipped: scalar(),
            skipped_in_a_row: scalar(),
            skipped_before: progress.skipped,
            recipe,
            device,
            model,
            optimizer,
            feed,
            progress,
        })
    }

    fn run(
        mut self,
        directory: &RunDirectory,
        observers: &mut Observers,
        stop: &Stop,
    ) -> Result<Outcome, Error> {
        let run = self.recipe.run.clone();
        let total = self.progress.total_steps;
        observers.said(Level::Info, &self.description())?;
        let (mut since, mut logged_step) = (Instant::now(), self.progress.step);
        let mut last = None;
        let mut saved = None;
        while self.progress.step < total && !stop.requested() {
            let step = match self.step(observers) {
                // The pictures are at fault, not the weights: keep what was learnt.
                Err(Error::Data(e)) => {
                    self.save(directory)?;
                    return Err(e.into());
                }
                other => other?,
            };
            let done = self.progress.step;
            observers.stepped(done, total);
            if done.is_multiple_of(run.log_every) || done == total {
                let seconds = since.elapsed().as_secs_f64();
                let pictures = ((done - logged_step) * self.recipe.optim.batch as u64) as f64;
                (since, logged_step) = (Instant::now(), done);
                let skipped = self.progress.skipped;
                let metrics = self.metrics(&step, pictures / seconds.max(1e-9))?;
                observers.logged(&metrics)?;
                if metrics.skipped_steps > skipped {
                    let count = metrics.skipped_steps - skipped;
                    let text = format!(
                        "{count} of the steps up to {done} skipped: their loss or gradients were not finite"
                    );
                    observers.said(Level::Warning, &text)?;
                }
                if let Some(warning) = metrics.groups.warning(self.recipe.model.prototypes)
                    && done > self.rate.warmup
                {
                    observers.said(Level::Warning, &warning)?;
                }
                last = Some(metrics);
            }
            if self.save_is_due() && self.sound() {
                self.save(directory)?;
                saved = Some(done);
            }
        }
        if saved != Some(self.progress.step) {
            self.save(directory)?;
        }
        let outcome = Outcome {
            step: self.progress.step,
            total_steps: total,
            last,
            checkpoint: directory.last(),
        };
        let ending = if outcome.stopped() {
            format!("stopped after step {} of {total}; --resume goes on", outcome.step)
        } else {
            format!("done: {total} steps")
        };
        observers.said(
            Level::Info,
            &format!("{ending}; checkpoint {}", outcome.checkpoint.display()),
        )?;
        Ok(outcome)
    }

    /// One step: batch, forward, backward, update. Nothing here waits for the device.
    fn step(&mut self, observers: &mut Observers) -> Result<Step, Error> {
        let batch = self.feed.next(&self.model.clock)?;
        for bad in &batch.bad {
            self.progress.bad_pictures += 1;
            observers.said(Level::Warning, &format!("picture replaced: {bad}"))?;
        }
        if let Some(complaint) = self.feed.complaint() {
            observers.said(Level::Warning, &complaint)?;
        }

        let number = self.progress.step;
        let step = self
            .model
            .forward(&batch.views, self.teacher_momentum(number), self.recipe.half())?;
        self.optimizer.zero_grad();
        let total = &step.losses.total;
        let skipped = match &mut self.loss_scale {
            None => {
                total.f_backward()?;
                self.optimizer.step(self.rate.at(number), total, None)?
            }
            Some(scale) => {
                scale.apply(total).f_backward()?;
                let skipped = self
                    .optimizer
                    .step(self.rate.at(number), total, Some(&scale.inverse()))?;
                scale.update(&skipped);
                skipped
            }
        };
        self.skipped += &skipped;
        self.skipped_in_a_row = (&self.skipped_in_a_row + 1.0) * &skipped;
        self.progress.step += 1;
        if self.progress.step < self.progress.total_steps {
            self.feed.prepare(&self.model.clock);
        }
        Ok(step)
    }

    /// Reads what a logged step needs; the only place (with checkpoints) that waits for the device.
    fn metrics(&mut self, step: &Step, pictures_per_second: f64) -> Result<Metrics, Error> {
        let number_of = self.progress.step - 1;
        let losses = &step.losses;
        let in_a_row = number(&self.skipped_in_a_row) as u64;
        self.progress.skipped = self.skipped_before + number(&self.skipped) as u64;
        self.guard.check(in_a_row == 0);
        if in_a_row >= self.recipe.run.max_bad_steps {
            return Err(Error::NotFinite {
                count: in_a_row,
                step: self.progress.step,
            });
        }
        Ok(Metrics {
            step: self.progress.step,
            epoch: self.progress.step as f64 / self.progress.steps_per_epoch as f64,
            loss: number(&losses.total),
            group_loss: number(&losses.group[0]) + number(&losses.group[1]),
            slot_loss: number(&losses.slot[0]) + number(&losses.slot[1]),
            lr: self.rate.at(number_of),
            teacher_momentum: self.teacher_momentum(number_of),
            loss_scale: self.loss_scale.as_ref().map_or(1.0, |s| s.state().value),
            skipped_steps: self.progress.skipped,
            bad_pictures: self.progress.bad_pictures,
            pictures_per_second,
            groups: GroupHealth::of(step, self.recipe.model.teacher_temp),
        })
    }

    /// Whether a checkpoint is due, by steps or by epochs; the one at the end is not counted.
    fn save_is_due(&self) -> bool {
        let (run, done) = (&self.recipe.run, self.progress.step);
        let every = |steps: u64| steps > 0 && done.is_multiple_of(steps);
        done < self.progress.total_steps
            && (every(run.save_every) || every(run.save_every_epochs * self.progress.steps_per_epoch))
    }

    /// Whether the last step was a good one, so that a checkpoint is worth keeping.
    fn sound(&mut self) -> bool {
        let sound = number(&self.skipped_in_a_row) == 0.0;
        self.guard.check(sound);
        sound
    }

    fn save(&mut self, directory: &RunDirectory) -> Result<(), Error> {
        self.sound();
        self.progress.skipped = self.skipped_before + number(&self.skipped) as u64;
        self.progress.loss_scale = self
            .loss_scale
            .as_ref()
            .map_or(LossScaleState::OFF, LossScale::state);
        let path = directory.step(self.progress.step);
        checkpoint::save(&path, &self.model, &self.optimizer, &self.recipe, &self.progress)?;
        directory.publish(self.progress.step, self.recipe.run.keep)
    }

    fn teacher_momentum(&self, step: u64) -> f64 {
        momentum(self.recipe.model.teacher_momentum, step, self.momentum_steps)
    }

    fn description(&self) -> String {
        let Progress {
            step,
            total_steps,
            steps_per_epoch,
            pictures,
            ..
        } = self.progress;
        let from = if step > 0 {
            format!(", from step {step}")
        } else {
            String::new()
        };
        format!(
            "slotcon {}: {} on {pictures} pictures, batch {}, {total_steps} steps ({steps_per_epoch} an epoch){from}; {}",
            env!("CARGO_PKG_VERSION"),
            self.recipe.model.arch,
            self.recipe.optim.batch,
            device::describe(self.device)
        )
    }
}

/// Lengths that follow from recipe and data set.
struct Plan {
    total: u64,
    momentum_steps: u64,
    rate: LearningRate,
}

impl Plan {
    fn new(recipe: &Recipe, steps_per_epoch: u64, pictures: u64) -> Result<Self, Error> {
        let (optim, run) = (&recipe.optim, &recipe.run);
        let by_epochs = (run.epochs * steps_per_epoch as f64).round() as u64;
        let total = if run.steps > 0 {
            run.steps
        } else {
            by_epochs.max(1)
        };
        let warmup = (optim.warmup_epochs * steps_per_epoch as f64).round() as u64;
        if warmup >= total {
            return Err(crate::recipe::RecipeError::Value {
                key: "optim.warmup_epochs".into(),
                value: optim.warmup_epochs.to_string(),
                reason: format!(
                    "the warm-up of {warmup} steps ({steps_per_epoch} an epoch) must be shorter than the run of {total}: \
                     lower it or train longer"
                ),
            }
            .into());
        }
        // Upstream counts the dropped last batches here.
        let momentum_steps = if run.steps > 0 {
            total
        } else {
            ((pictures as f64 / optim.batch as f64 * run.epochs) as u64).max(total)
        };
        let peak = optim.base_lr * optim.batch as f64 / 256.0;
        let rate = LearningRate {
            peak,
            warmup_multiplier: optim.warmup_multiplier,
            warmup,
            total,
        };
        Ok(Self {
            total,
            momentum_steps,
            rate,
        })
    }
}

/// All cores, or half of them where the network wants the cores, too.
fn loader_threads(recipe: &Recipe, device: Device) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match recipe.data.threads {
        0 if device.is_cuda() => cores,
        0 => (cores / 2).max(1),
        n => n,
    }
}
