//! The training loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slotcon_data::{Dataset, LoaderConfig};
use slotcon_torch::distributed::Traffic;
use tch::{Device, Kind, Tensor};

use super::crew::{Crew, Launch, Turn};
use super::device;
use super::directory::RunDirectory;
use super::feed::Feed;
use super::guard::BufferGuard;
use super::health::{GroupHealth, number};
use super::learner::{Learner, Learnt};
use super::loss_scale::LossScale;
use super::metrics::Metrics;
use super::observer::{Level, Observer, Observers};
use super::plan::Plan;
use super::pretrain::Outcome;
use super::stop::Stop;
use super::traffic::StepTraffic;
use crate::checkpoint::{self, LossScaleState, Progress};
use crate::error::Error;
use crate::method::teacher::momentum;
use crate::recipe::Recipe;
use crate::schedule::LearningRate;

/// Everything that changes from step to step.
pub(super) struct Trainer<'a> {
    crew: &'a Crew,
    pub recipe: Recipe,
    device: Device,
    pub learner: Learner,
    rate: LearningRate,
    momentum_steps: u64,
    feed: Feed,
    pub progress: Progress,
    guard: BufferGuard,
    /// Steps skipped in this call, and in a row up to now; on the device.
    skipped: Tensor,
    skipped_in_a_row: Tensor,
    skipped_before: u64,
}

impl<'a> Trainer<'a> {
    /// `resumed`: how far the run got before.
    pub fn new(
        recipe: Recipe,
        dataset: Arc<Dataset>,
        device: Device,
        resumed: Option<Progress>,
        crew: &'a Crew,
    ) -> Result<Self, Error> {
        let pictures = dataset.len() as u64;
        let first_step = resumed.as_ref().map_or(0, |progress| progress.step);
        let launch = crew.launch();
        let feed = Feed::new(
            dataset,
            &recipe.data.augment,
            LoaderConfig {
                batch: recipe.share_of_batch(launch.size)?,
                rank: launch.rank,
                world_size: launch.size,
                threads: loader_threads(&recipe, device, launch),
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
        let loss_scale = resumed.as_ref().map(|progress| progress.loss_scale);
        let progress = match resumed {
            Some(progress) if progress.pictures != pictures => {
                return Err(Error::Differs {
                    what: "the number of pictures".into(),
                    now: pictures.to_string(),
                    then: progress.pictures.to_string(),
                    advice: "resume with the same data, or start another run from these weights with --init-from",
                });
            }
            Some(progress) => progress,
            None => Progress::new(plan.total, steps_per_epoch, pictures),
        };
        let learner = Learner::new(&recipe, device, crew.ranks(), loss_scale)?;
        let scalar = || Tensor::zeros([0i64; 0], (Kind::Float, device));
        Ok(Self {
            rate: plan.rate,
            momentum_steps: plan.momentum_steps,
            guard: BufferGuard::new(learner.model.store()),
            skipped: scalar(),
            skipped_in_a_row: scalar(),
            skipped_before: progress.skipped,
            crew,
            recipe,
            device,
            learner,
            feed,
            progress,
        })
    }

    /// Gives every rank what rank 0 starts from.
    pub fn share(&mut self) -> Result<(), Error> {
        self.learner.share()?;
        self.guard = BufferGuard::new(self.learner.model.store());
        Ok(())
    }

    /// Runs to the end, or until the run is stopped.
    pub fn run(
        mut self,
        directory: &RunDirectory,
        observers: &mut Observers,
        stop: &Stop,
    ) -> Result<Outcome, Error> {
        let run = self.recipe.run.clone();
        let total = self.progress.total_steps;
        observers.said(Level::Info, &self.description())?;
        if !self.crew.ranks().is_alone() {
            observers.said(Level::Info, &self.traffic().to_string())?;
        }
        let (mut since, mut logged_step) = (Instant::now(), self.progress.step);
        let mut last = None;
        let mut saved = None;
        while self.progress.step < total {
            let learnt = match self.step(observers, stop) {
                Ok(None) => break,
                Ok(Some(learnt)) => learnt,
                // The pictures are at fault, on whichever rank, not the weights: keep what was learnt.
                Err(e @ (Error::Data(_) | Error::NoPicturesElsewhere)) => {
                    self.save(directory)?;
                    return Err(e);
                }
                Err(e) => return Err(e),
            };
            let done = self.progress.step;
            observers.stepped(done, total);
            if done.is_multiple_of(run.log_every) || done == total {
                let seconds = since.elapsed().as_secs_f64();
                let pictures = ((done - logged_step) * self.recipe.optim.batch as u64) as f64;
                (since, logged_step) = (Instant::now(), done);
                let skipped = self.progress.skipped;
                let metrics = self.metrics(&learnt, pictures / seconds.max(1e-9))?;
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

    /// One step: batch, forward, backward, update; `None` if the run should stop. Nothing here waits for the device.
    fn step(&mut self, observers: &mut Observers, stop: &Stop) -> Result<Option<Learnt>, Error> {
        if self.crew.ranks().is_alone() && stop.requested() {
            return Ok(None);
        }
        let batch = self.feed.next(&self.learner.model.stopwatch);
        let bad = batch.as_ref().map_or(&[][..], |batch| &batch.bad);
        for bad in bad {
            observers.said(Level::Warning, &format!("picture replaced: {bad}"))?;
        }
        if let Some(complaint) = self.feed.complaint() {
            observers.said(Level::Warning, &complaint)?;
        }
        let turn = self.crew.take_turn(Turn {
            stop: stop.requested(),
            no_pictures: batch.is_err(),
            bad_pictures: bad.len() as u64,
        })?;
        let batch = batch?;
        if turn.no_pictures {
            return Err(Error::NoPicturesElsewhere);
        }
        if turn.stop {
            return Ok(None);
        }
        self.progress.bad_pictures += turn.bad_pictures;

        let number = self.progress.step;
        let (momentum, lr) = (self.teacher_momentum(number), self.rate.at(number));
        let parts = self.recipe.optim.accumulate;
        let learnt = self.learner.step(|part| batch.views(part, parts), momentum, lr)?;
        self.skipped += &learnt.skipped;
        self.skipped_in_a_row = (&self.skipped_in_a_row + 1.0) * &learnt.skipped;
        self.progress.step += 1;
        if self.progress.step < self.progress.total_steps {
            self.feed.prepare(&self.learner.model.stopwatch);
        }
        Ok(Some(learnt))
    }

    /// Reads what a logged step needs; the only place (with checkpoints) that waits for the device.
    fn metrics(&mut self, learnt: &Learnt, pictures_per_second: f64) -> Result<Metrics, Error> {
        let number_of = self.progress.step - 1;
        let ranks = self.crew.ranks();
        let losses = ranks.mean(&Tensor::stack(&learnt.losses, 0), Traffic::Metrics)?;
        let [loss, group_loss, slot_loss] = [0, 1, 2].map(|i| number(&losses.get(i)));
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
            loss,
            group_loss,
            slot_loss,
            lr: self.rate.at(number_of),
            teacher_momentum: self.teacher_momentum(number_of),
            loss_scale: self.learner.loss_scale.as_ref().map_or(1.0, |s| s.state().value),
            skipped_steps: self.progress.skipped,
            bad_pictures: self.progress.bad_pictures,
            pictures_per_second,
            groups: GroupHealth::of(&learnt.step, self.recipe.model.teacher_temp, ranks)?,
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

    /// Writes a checkpoint; rank 0 does, all others have the same and go on.
    fn save(&mut self, directory: &RunDirectory) -> Result<(), Error> {
        self.sound();
        self.progress.skipped = self.skipped_before + number(&self.skipped) as u64;
        let scale = self.learner.loss_scale.as_ref();
        self.progress.loss_scale = scale.map_or(LossScaleState::OFF, LossScale::state);
        if !self.crew.is_first() {
            return Ok(());
        }
        let path = directory.step(self.progress.step);
        let Learner { model, optimizer, .. } = &self.learner;
        self.crew.uninterrupted(|| {
            checkpoint::save(&path, model, optimizer, &self.recipe, &self.progress)?;
            directory.publish(self.progress.step, self.recipe.run.keep)
        })
    }

    fn teacher_momentum(&self, step: u64) -> f64 {
        momentum(self.recipe.model.teacher_momentum, step, self.momentum_steps)
    }

    /// What a step sends.
    fn traffic(&self) -> StepTraffic {
        let recipe = &self.recipe;
        let side = i64::from(recipe.data.augment.image_size);
        let side = self.learner.model.config().output_stride.side(side);
        let parts = recipe.optim.accumulate;
        StepTraffic::of(
            &self.learner.model,
            recipe.optim.batch / self.crew.launch().size / parts,
            (side * side) as usize,
            parts,
            self.device.is_cuda(),
        )
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
        let ranks = match self.crew.launch().size {
            1 => String::new(),
            n => format!(", {n} ranks"),
        };
        format!(
            "slotcon {}: {} on {pictures} pictures, batch {}{ranks}, {total_steps} steps ({steps_per_epoch} an epoch){from}; {}",
            env!("CARGO_PKG_VERSION"),
            self.recipe.model.arch,
            self.recipe.optim.batch,
            device::describe(self.device)
        )
    }
}

/// This process's share of the cores, or half of it where the network wants the cores, too.
fn loader_threads(recipe: &Recipe, device: Device, launch: &Launch) -> usize {
    let cores = cores() / launch.local_size;
    match recipe.data.threads {
        0 if device.is_cuda() => cores.max(1),
        0 => (cores / 2).max(1),
        n => n,
    }
}

/// Of this machine.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
