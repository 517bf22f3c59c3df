//! One training step, for the training loop and for benchmarks: forward, backward, update, in one part or several.

use slotcon_torch::distributed::{Ranks, Reducer};
use tch::{Device, Kind, Tensor};

use super::loss_scale::LossScale;
use crate::checkpoint::LossScaleState;
use crate::error::Error;
use crate::method::{SlotCon, Step, View};
use crate::optim::Optimizer;
use crate::recipe::{Precision, Recipe};

/// What a step changes.
#[derive(Debug)]
pub struct Learner {
    /// Student, teacher, predictor, centre.
    pub model: SlotCon,
    /// Over the student.
    pub optimizer: Optimizer,
    /// For f16 only.
    pub loss_scale: Option<LossScale>,
    reducer: Reducer,
    accumulate: usize,
    half: Option<Kind>,
}

/// What a step leaves.
#[derive(Debug)]
pub struct Learnt {
    /// The last part's forward pass.
    pub step: Step,
    /// Mean over the parts of this rank: loss, both group losses, both slot losses. Scalars on the device.
    pub losses: [Tensor; 3],
    /// 1 if the step changed nothing since something was not finite, else 0; on the device.
    pub skipped: Tensor,
}

impl Learner {
    /// A fresh model and optimizer of `recipe`. `loss_scale`: a saved state of it.
    ///
    /// # Errors
    /// A recipe that cannot be used.
    pub fn new(
        recipe: &Recipe,
        device: Device,
        ranks: &Ranks,
        loss_scale: Option<LossScaleState>,
    ) -> Result<Self, Error> {
        // The only random numbers that libtorch draws are the initial weights.
        tch::manual_seed(recipe.run.seed as i64);
        let model = SlotCon::across(recipe.model_config()?, device, Kind::Float, ranks);
        let optimizer = Optimizer::new(recipe.optimizer_config(), model.store());
        // On a CPU a batch without positives leaves the predictor out; on a GPU its shapes, and so its use, are fixed.
        let find_unused = !device.is_cuda();
        let reducer = Reducer::new(ranks, optimizer.parameters(), find_unused)?;
        let scaled = recipe.run.precision == Precision::F16;
        Ok(Self {
            loss_scale: scaled.then(|| LossScale::new(device, loss_scale)),
            reducer,
            accumulate: recipe.optim.accumulate,
            half: recipe.half(),
            model,
            optimizer,
        })
    }

    /// Gives every rank the weights and momenta of rank 0. Before the first step.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn share(&self) -> Result<(), Error> {
        let store = self.model.store();
        let momenta = self.optimizer.state().map(|(_, momentum)| momentum);
        let all: Vec<Tensor> = store
            .entries()
            .into_iter()
            .map(|e| e.tensor)
            .chain(momenta)
            .collect();
        Ok(store.ranks().broadcast(&all)?)
    }

    /// One step over the parts that `views` gives by number. The gradient is the mean over parts and ranks.
    ///
    /// # Errors
    /// What libtorch refuses (out of memory), or a rank that is gone.
    pub fn step(
        &mut self,
        mut views: impl FnMut(usize) -> [View; 2],
        teacher_momentum: f64,
        lr: f64,
    ) -> Result<Learnt, Error> {
        let parts = self.accumulate;
        let stopwatch = std::rc::Rc::clone(&self.model.stopwatch);
        let mut sums: Option<[Tensor; 3]> = None;
        let mut part = 0;
        let step = loop {
            let views = views(part);
            let step = if part == 0 {
                self.model.forward(&views, teacher_momentum, self.half)?
            } else {
                self.model.forward_again(&views, self.half)?
            };
            drop(views);
            let losses = &step.losses;
            let mut total = if parts == 1 {
                losses.total.shallow_clone()
            } else {
                &losses.total / parts as f64
            };
            if let Some(scale) = &self.loss_scale {
                total = scale.apply(&total);
            }
            let last = part + 1 == parts;
            stopwatch.time("backward", || {
                if part == 0 {
                    self.optimizer.zero_grad();
                }
                self.reducer.backward(&total, last)
            })?;
            let own = [
                losses.total.detach(),
                (&losses.group[0] + &losses.group[1]).detach(),
                (&losses.slot[0] + &losses.slot[1]).detach(),
            ];
            sums = Some(match sums {
                None => own,
                Some([a, b, c]) => [a + &own[0], b + &own[1], c + &own[2]],
            });
            part += 1;
            if last {
                break step;
            }
        };
        let losses = sums.unwrap_or_else(|| [0, 1, 2].map(|_| Tensor::from(f32::NAN)));
        let losses = if parts == 1 {
            losses
        } else {
            losses.map(|sum| sum / parts as f64)
        };
        let inverse = self.loss_scale.as_ref().map(LossScale::inverse);
        let skipped = stopwatch.time("optimizer", || {
            self.optimizer.step(lr, &losses[0], inverse.as_ref())
        })?;
        if let Some(scale) = &mut self.loss_scale {
            scale.update(&skipped);
        }
        Ok(Learnt {
            step,
            losses,
            skipped,
        })
    }
}
