//! One training step, for the training loop and for benchmarks: forward, backward, update, in one part or several.

use std::rc::Rc;

use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::{Ranks, Reducer};
use tch::{Kind, Tensor};

use crate::checkpoint::LossScaleState;
use crate::error::Error;
use crate::loss_scale::LossScale;
use crate::optim::Optimizer;
use crate::recipe::{Precision, TaskRecipe};
use crate::task::{Batches, Forward, Part, Position, Task};

/// What a step changes: the task's network, the optimizer, the loss scale.
#[derive(Debug)]
pub struct TrainingStep<T> {
    /// The network and its loss.
    pub task: T,
    /// Over the network's parameters.
    pub optimizer: Optimizer,
    /// For f16 only.
    pub loss_scale: Option<LossScale>,
    reducer: Reducer,
    accumulate: usize,
    half: Option<Kind>,
    stopwatch: Rc<Stopwatch>,
}

/// What a step leaves.
#[derive(Debug)]
pub struct StepOutput<O> {
    /// Of the last part's forward pass.
    pub output: O,
    /// Mean of the loss over the parts of this rank, a scalar on the device.
    pub loss: Tensor,
    /// The same of the parts of the loss, by name.
    pub parts: Vec<(&'static str, Tensor)>,
    /// 1 if the step changed nothing since something was not finite, else 0; on the device.
    pub skipped: Tensor,
}

impl<T: Task> TrainingStep<T> {
    /// The network that `build` makes, its random numbers seeded by the recipe, with a fresh optimizer. `loss_scale`: a saved
    /// state of it.
    ///
    /// # Errors
    /// A recipe that cannot be used.
    pub fn new(
        recipe: &T::Recipe,
        ranks: &Ranks,
        loss_scale: Option<LossScaleState>,
        build: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let (optim, run) = (recipe.optim(), recipe.run());
        // The only random numbers that libtorch draws are the initial weights and dropout.
        tch::manual_seed(run.seed as i64);
        let task = build()?;
        let device = task.store().device();
        let optimizer = Optimizer::new(optim.config(), task.store(), task.parameter_groups());
        let reducer = Reducer::new(ranks, optimizer.parameters(), task.leaves_parameters_out())?;
        let scaled = run.precision == Precision::F16;
        Ok(Self {
            loss_scale: scaled.then(|| LossScale::new(device, loss_scale)),
            reducer,
            accumulate: optim.accumulate,
            half: run.precision.half(),
            stopwatch: Rc::default(),
            task,
            optimizer,
        })
    }

    /// Measures the parts of a step from now on.
    pub fn measure(&mut self, stopwatch: Rc<Stopwatch>) {
        self.task.measure(Rc::clone(&stopwatch));
        self.stopwatch = stopwatch;
    }

    /// Where the time of a step goes; off unless [`TrainingStep::measure`] was called.
    pub fn stopwatch(&self) -> Rc<Stopwatch> {
        Rc::clone(&self.stopwatch)
    }

    /// Number format of convolutions and matrix products, if not the weights' own.
    pub fn half(&self) -> Option<Kind> {
        self.half
    }

    /// Gives every rank the weights and momenta of rank 0. Before the first step.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn broadcast(&self) -> Result<(), Error> {
        let store = self.task.store();
        let momenta = self.optimizer.state().map(|(_, momentum)| momentum);
        let all: Vec<Tensor> = store
            .entries()
            .into_iter()
            .map(|e| e.tensor)
            .chain(momenta)
            .collect();
        Ok(store.ranks().broadcast(&all)?)
    }

    /// One step with the learning rate `lr`. The gradient is the mean over parts and ranks.
    ///
    /// # Errors
    /// What libtorch refuses (out of memory), or a rank that is gone.
    pub fn run(
        &mut self,
        batch: &<T::Batches as Batches>::Batch,
        position: Position,
        lr: f64,
    ) -> Result<StepOutput<T::Output>, Error> {
        Error::catch(|| self.run_uncaught(batch, position, lr))
    }

    fn run_uncaught(
        &mut self,
        batch: &<T::Batches as Batches>::Batch,
        position: Position,
        lr: f64,
    ) -> Result<StepOutput<T::Output>, Error> {
        let count = self.accumulate;
        self.task.before_step(position)?;
        let Forward {
            mut loss,
            mut parts,
            mut output,
        } = self.part(batch, Part { index: 0, count })?;
        for index in 1..count {
            // What the part before left goes first: it may hold as much memory as the network itself.
            drop(output);
            let next = self.part(batch, Part { index, count })?;
            loss += next.loss;
            for ((_, sum), (_, part)) in parts.iter_mut().zip(next.parts) {
                *sum += part;
            }
            output = next.output;
        }
        let mean = |sum: Tensor| if count == 1 { sum } else { sum / count as f64 };
        let loss = mean(loss);
        let inverse = self.loss_scale.as_ref().map(LossScale::inverse);
        let skipped = self
            .stopwatch
            .time("optimizer", || self.optimizer.step(lr, &loss, inverse.as_ref()))?;
        if let Some(scale) = &mut self.loss_scale {
            scale.update(&skipped);
        }
        Ok(StepOutput {
            output,
            parts: parts.into_iter().map(|(name, sum)| (name, mean(sum))).collect(),
            loss,
            skipped,
        })
    }

    /// Forward and backward of one part; the losses come back without their graph.
    fn part(
        &mut self,
        batch: &<T::Batches as Batches>::Batch,
        part: Part,
    ) -> Result<Forward<T::Output>, Error> {
        let Forward { loss, parts, output } = self.task.forward(batch, part, self.half)?;
        let mut scaled = match part.count {
            1 => loss.shallow_clone(),
            count => &loss / count as f64,
        };
        if let Some(scale) = &self.loss_scale {
            scaled = scale.apply(&scaled);
        }
        self.stopwatch.time("backward", || {
            if part.index == 0 {
                self.optimizer.zero_grad();
            }
            self.reducer.backward(&scaled, part.index + 1 == part.count)
        })?;
        let parts = parts.into_iter();
        Ok(Forward {
            loss: loss.detach(),
            parts: parts.map(|(name, value)| (name, value.detach())).collect(),
            output,
        })
    }
}

/// The value of a tensor with one element; waits for the device.
pub fn scalar(t: &Tensor) -> f64 {
    // A scalar of a floating type always converts.
    f64::try_from(t.detach()).unwrap_or(f64::NAN)
}
