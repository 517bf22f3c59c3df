//! The training loop.

use std::time::Instant;

use slotcon_torch::distributed::Traffic;
use tch::{Device, Kind, Tensor};

use crate::buffer_guard::BufferGuard;
use crate::checkpoint::{self, Best, LossScaleState, Progress};
use crate::device;
use crate::error::Error;
use crate::loss_scale::LossScale;
use crate::metrics::{Metrics, Numbers};
use crate::observers::{Level, Observer, Observers};
use crate::outcome::{Ending, Outcome};
use crate::plan::Plan;
use crate::process_group::{Intent, ProcessGroup};
use crate::recipe::TaskRecipe;
use crate::run_directory::RunDirectory;
use crate::schedule::LearningRate;
use crate::stop::Stop;
use crate::task::{Batches, Position, Share, Task, Validation};
use crate::training_step::{StepOutput, TrainingStep, scalar};

/// Everything that changes from step to step.
pub(crate) struct TrainingLoop<'a, T: Task> {
    group: &'a ProcessGroup,
    pub recipe: T::Recipe,
    device: Device,
    share: Share,
    pub step: TrainingStep<T>,
    rate: LearningRate,
    /// The step after which the run ends: the last of its schedules, or `run.stop_at`.
    pub end: u64,
    /// What the user should know of the plan of the run.
    pub note: Option<String>,
    batches: T::Batches,
    pub progress: Progress,
    guard: BufferGuard,
    /// Steps skipped in this call, and in a row up to now; on the device.
    skipped: Tensor,
    skipped_in_a_row: Tensor,
    skipped_before: u64,
}

impl<'a, T: Task> TrainingLoop<'a, T> {
    /// `resumed`: how far the run got before.
    pub fn new(
        recipe: T::Recipe,
        data: &T::Data,
        device: Device,
        resumed: Option<Progress>,
        group: &'a ProcessGroup,
    ) -> Result<Self, Error> {
        let pictures = T::samples(data);
        let first_step = resumed.as_ref().map_or(0, |progress| progress.step);
        let share = Share::of(recipe.optim(), group.launch(), device, first_step)?;
        let batches = T::batches(&recipe, data, &share, device)?;
        let steps_per_epoch = batches.steps_per_epoch();
        let mut plan = Plan::new(&recipe, steps_per_epoch);
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
            Some(mut progress) => {
                plan.extend(&mut progress)?;
                progress
            }
            None => Progress::new(plan.total, steps_per_epoch, pictures),
        };
        let ranks = group.ranks();
        let step = TrainingStep::new(&recipe, ranks, loss_scale, || {
            T::new(&recipe, data, device, ranks)
        })?;
        let zero = || Tensor::zeros([0i64; 0], (Kind::Float, device));
        Ok(Self {
            end: match recipe.run().stop_at {
                0 => plan.total,
                early => early.min(plan.total),
            },
            rate: plan.rate,
            note: plan.note,
            guard: BufferGuard::new(step.task.store()),
            skipped: zero(),
            skipped_in_a_row: zero(),
            skipped_before: progress.skipped,
            group,
            recipe,
            device,
            share,
            step,
            batches,
            progress,
        })
    }

    /// Gives every rank what rank 0 starts from.
    pub fn broadcast(&mut self) -> Result<(), Error> {
        self.step.broadcast()?;
        self.guard = BufferGuard::new(self.step.task.store());
        Ok(())
    }

    /// Runs to the end, or until the run is stopped.
    pub fn run(
        mut self,
        directory: &RunDirectory,
        observers: &mut Observers,
        stop: &Stop,
    ) -> Result<Outcome, Error> {
        let run = self.recipe.run().clone();
        let end = self.end;
        observers.said(Level::Info, &self.description())?;
        if !self.group.ranks().is_alone()
            && let Some(traffic) = self
                .step
                .task
                .traffic(&self.share, self.recipe.optim().accumulate)
        {
            observers.said(Level::Info, &traffic)?;
        }
        let mut ending = Ending::Stopped;
        let (mut since, mut logged_step) = (Instant::now(), self.progress.step);
        let began_at = self.progress.step;
        let mut last = None;
        let mut saved = None;
        while self.progress.step < end {
            let output = match self.next_step(observers, stop) {
                Ok(None) => break,
                Ok(Some(output)) => output,
                // The pictures are at fault, on whichever rank, not the weights: keep what was learnt.
                Err(e @ (Error::Data(_) | Error::NoPicturesOnAnotherRank)) => {
                    if let Err(unsaved) = self.save(directory) {
                        observers.said(Level::Warning, &format!("no checkpoint was written: {unsaved}"))?;
                    }
                    return Err(e);
                }
                Err(e) => return Err(e),
            };
            let done = self.progress.step;
            observers.stepped(done, end);
            let every = |steps: u64| steps > 0 && done.is_multiple_of(steps);
            let validates = (done == end || every(run.validate_every)) && self.step.task.validates();
            // What validating takes is not the rate of training.
            let mut trained = None;
            if done == end || validates {
                // Waits for the device, and puts back what a skipped step spoilt.
                self.sound();
                trained = Some(since.elapsed());
                self.before_validation(observers)?;
            }
            let validation = if validates {
                self.validate(observers)?
            } else {
                None
            };
            if every(run.log_every) || done == end || validation.is_some() {
                let seconds = trained.unwrap_or_else(|| since.elapsed()).as_secs_f64();
                let pictures = ((done - logged_step) * self.recipe.optim().batch as u64) as f64;
                let skipped = self.progress.skipped;
                self.settle_skipped()?;
                let mut metrics = self.metrics(&output, pictures / seconds.max(1e-9))?;
                if let Some(found) = &validation {
                    if let Some(details) = found.details.as_deref().filter(|_| self.group.is_first()) {
                        directory.write_validation(details)?;
                    }
                    metrics.validation = in_group("validation", &found.numbers);
                }
                observers.logged(&metrics)?;
                if metrics.skipped_steps > skipped {
                    let count = metrics.skipped_steps - skipped;
                    let text = format!(
                        "{count} of the steps up to {done} skipped: their loss or gradients were not finite"
                    );
                    observers.said(Level::Warning, &text)?;
                }
                if let Some(warning) = self.step.task.warning(&metrics)
                    && done > self.rate.warmup
                {
                    observers.said(Level::Warning, &warning)?;
                }
                last = Some(metrics);
                (since, logged_step) = (Instant::now(), done);
            }
            let validated = validation.is_some();
            let best = validation.is_some_and(|found| self.is_best(&found));
            if (self.save_is_due() || best) && self.sound() {
                self.save(directory)?;
                saved = Some(done);
                if best && self.group.is_first() {
                    directory.publish_best(done)?;
                }
            }
            if validated && done < end && self.is_out_of_patience() {
                ending = Ending::Patience;
                break;
            }
        }
        if saved != Some(self.progress.step) {
            self.save(directory)?;
        }
        let steps = self.progress.step - began_at;
        if steps > 0 && scalar(&self.skipped) as u64 >= steps {
            return Err(Error::NoStepTaken { steps });
        }
        let outcome = Outcome {
            step: self.progress.step,
            end,
            ending: if self.progress.step >= end {
                Ending::Done
            } else {
                ending
            },
            total_steps: self.progress.total_steps,
            last,
            checkpoint: directory.last(),
        };
        let best = self.progress.best.as_ref().map_or(0, |best| best.step);
        let ending = match outcome.ending {
            Ending::Stopped => format!("stopped after step {} of {end}; --resume goes on", outcome.step),
            Ending::Patience => format!(
                "done after step {} of {end}: no better validation than after step {best}, as long as run.patience says",
                outcome.step
            ),
            Ending::Done if end < outcome.total_steps => format!(
                "done: {end} steps, as run.stop_at says, of a schedule of {}",
                outcome.total_steps
            ),
            Ending::Done => format!("done: {end} steps"),
        };
        observers.said(
            Level::Info,
            &format!("{ending}; checkpoint {}", outcome.checkpoint.display()),
        )?;
        Ok(outcome)
    }

    /// One step: batch, forward, backward, update; `None` if the run should stop. Nothing here waits for the device.
    fn next_step(
        &mut self,
        observers: &mut Observers,
        stop: &Stop,
    ) -> Result<Option<StepOutput<T::Output>>, Error> {
        if self.group.ranks().is_alone() && stop.requested() {
            return Ok(None);
        }
        let stopwatch = self.step.stopwatch();
        let batch = self.batches.next(&stopwatch);
        let bad = batch.as_ref().map_or(&[][..], |(_, bad)| bad);
        for bad in bad {
            observers.said(Level::Warning, &format!("picture replaced: {bad}"))?;
        }
        if let Some(warning) = self.batches.warning() {
            observers.said(Level::Warning, &warning)?;
        }
        let together = self.group.agree(Intent {
            stop: stop.requested(),
            no_pictures: batch.is_err(),
            bad_pictures: bad.len() as u64,
        })?;
        let (batch, _) = batch?;
        if together.no_pictures {
            return Err(Error::NoPicturesOnAnotherRank);
        }
        if together.stop {
            return Ok(None);
        }
        self.progress.bad_pictures += together.bad_pictures;

        let position = self.position(self.progress.step);
        let output = self.step.run(&batch, position, self.rate.at(position.step))?;
        self.skipped += &output.skipped;
        self.skipped_in_a_row = (&self.skipped_in_a_row + 1.0) * &output.skipped;
        self.progress.step += 1;
        if self.progress.step < self.end {
            self.batches.prepare(&stopwatch);
        }
        Ok(Some(output))
    }

    fn position(&self, step: u64) -> Position {
        Position {
            step,
            total_steps: self.progress.total_steps,
            steps_per_epoch: self.progress.steps_per_epoch,
            samples: self.progress.pictures,
        }
    }

    /// Reads how many steps were skipped; waits for the device. Puts back running statistics that a skipped step spoilt.
    fn settle_skipped(&mut self) -> Result<(), Error> {
        let in_a_row = scalar(&self.skipped_in_a_row) as u64;
        self.progress.skipped = self.skipped_before + scalar(&self.skipped) as u64;
        self.guard.check(in_a_row == 0);
        if in_a_row >= self.recipe.run().max_bad_steps {
            return Err(Error::NotFinite {
                count: in_a_row,
                step: self.progress.step,
            });
        }
        Ok(())
    }

    /// Reads what a logged step needs; waits for the device.
    fn metrics(&self, output: &StepOutput<T::Output>, pictures_per_second: f64) -> Result<Metrics, Error> {
        let ranks = self.group.ranks();
        let position = self.position(self.progress.step - 1);
        let named = || output.parts.iter();
        let losses = Vec::from_iter(std::iter::once(&output.loss).chain(named().map(|(_, value)| value)));
        let losses = ranks.mean(&Tensor::stack(&losses, 0), Traffic::Metrics)?;
        let mut values = (0..losses.numel() as i64).map(|i| scalar(&losses.get(i)));
        let mut metrics = Metrics {
            step: self.progress.step,
            epoch: self.progress.step as f64 / self.progress.steps_per_epoch as f64,
            loss: values.next().unwrap_or(f64::NAN),
            losses: named().map(|(name, _)| (*name).into()).zip(values).collect(),
            lr: self.rate.at(position.step),
            loss_scale: self.step.loss_scale.as_ref().map_or(1.0, |s| s.state().value),
            skipped_steps: self.progress.skipped,
            bad_pictures: self.progress.bad_pictures,
            pictures_per_second,
            task: self.step.task.metrics(&output.output, position, ranks)?,
            validation: Numbers::new(),
            summary: String::new(),
        };
        metrics.summary = self.step.task.summary(&metrics);
        Ok(metrics)
    }

    /// What the task does before the network is measured, and after the last step.
    fn before_validation(&mut self, observers: &mut Observers) -> Result<(), Error> {
        let (half, share) = (self.step.half(), self.share);
        for note in Error::catch(|| self.step.task.before_validation(&share, half))? {
            observers.said(Level::Info, &note)?;
        }
        Ok(())
    }

    /// Measures on held-out pictures, on all ranks at once.
    fn validate(&mut self, observers: &mut Observers) -> Result<Option<Validation>, Error> {
        self.sound();
        let half = self.step.half();
        let found = Error::catch(|| self.step.task.validate(half))?;
        if let Some(found) = &found {
            let (step, figures) = (self.progress.step, found.in_words());
            observers.said(Level::Info, &format!("validation after step {step}: {figures}"))?;
            for warning in &found.warnings {
                observers.said(Level::Warning, warning)?;
            }
        }
        Ok(found)
    }

    /// Whether this validation is the best so far; remembers it then.
    fn is_best(&mut self, found: &Validation) -> bool {
        let before = self.progress.best.as_ref();
        let better = found.score.is_finite() && before.is_none_or(|best| found.score > best.score);
        if better {
            self.progress.best = Some(Best {
                step: self.progress.step,
                score: found.score,
            });
        }
        better
    }

    /// Whether the best validation lies as many validations back as `run.patience` says.
    fn is_out_of_patience(&self) -> bool {
        let run = self.recipe.run();
        let Some(best) = &self.progress.best else {
            return false;
        };
        run.patience > 0 && (self.progress.step - best.step) / run.validate_every.max(1) >= run.patience
    }

    /// Whether a checkpoint is due, by steps or by epochs; the one at the end is not counted.
    fn save_is_due(&self) -> bool {
        let (run, done) = (self.recipe.run(), self.progress.step);
        let every = |steps: u64| steps > 0 && done.is_multiple_of(steps);
        done < self.end
            && (every(run.save_every) || every(run.save_every_epochs * self.progress.steps_per_epoch))
    }

    /// Whether the last step was a good one, so that a checkpoint is worth keeping.
    fn sound(&mut self) -> bool {
        let sound = scalar(&self.skipped_in_a_row) == 0.0;
        self.guard.check(sound);
        sound
    }

    /// Writes a checkpoint; rank 0 does, all others have the same and go on.
    fn save(&mut self, directory: &RunDirectory) -> Result<(), Error> {
        self.sound();
        self.progress.skipped = self.skipped_before + scalar(&self.skipped) as u64;
        let scale = self.step.loss_scale.as_ref();
        self.progress.loss_scale = scale.map_or(LossScaleState::OFF, LossScale::state);
        if !self.group.is_first() {
            return Ok(());
        }
        let path = directory.step(self.progress.step);
        let TrainingStep { task, optimizer, .. } = &self.step;
        self.group.uninterrupted(|| {
            checkpoint::save(&path, task.store(), optimizer, &self.recipe, &self.progress)?;
            directory.publish(self.progress.step, self.recipe.run().keep)
        })
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
        let steps = match self.end {
            end if end < total_steps => format!("{end} steps of a schedule of {total_steps}"),
            _ => format!("{total_steps} steps"),
        };
        let ranks = match self.group.launch().size {
            1 => String::new(),
            n => format!(", {n} ranks"),
        };
        format!(
            "slotcon {}: {} on {pictures} pictures, batch {}{ranks}, {steps} ({steps_per_epoch} an epoch){from}; {}",
            env!("CARGO_PKG_VERSION"),
            self.step.task.description(),
            self.recipe.optim().batch,
            device::describe(self.device)
        )
    }
}

/// The same figures with `group/` before their names; those that have a group keep theirs.
fn in_group(group: &str, numbers: &Numbers) -> Numbers {
    let named = numbers.iter().map(|(name, value)| match name.contains('/') {
        true => (name.clone(), *value),
        false => (format!("{group}/{name}").into(), *value),
    });
    named.collect()
}
