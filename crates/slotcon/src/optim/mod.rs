//! Optimizers over the student's parameters.

use slotcon_nn::{Role, Store};
use tch::Tensor;

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// Layer-wise adaptive rates (arXiv 1708.03888) with trust coefficient η; parameters of one dimension are
    /// neither adapted nor decayed.
    Lars {
        /// η, 0.001 upstream.
        eta: f64,
    },
    /// Stochastic gradient descent with momentum and decay of everything, as `torch.optim.SGD`.
    Sgd,
}

/// The optimizer's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerConfig {
    /// Which rule.
    pub algorithm: Algorithm,
    /// Of the moving average of updates.
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
}

/// One parameter with its momentum buffer.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    momentum: Tensor,
}

/// The optimizer with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    slots: Vec<Slot>,
}

impl Optimizer {
    /// Over every parameter of `store` that takes a gradient, momentum zero.
    pub fn new(config: OptimizerConfig, store: &Store) -> Self {
        let slots = store
            .entries()
            .into_iter()
            .filter(|e| e.role == Role::Parameter && e.tensor.requires_grad())
            .map(|e| Slot { name: e.name, momentum: e.tensor.zeros_like().detach(), parameter: e.tensor })
            .collect();
        Self { config, slots }
    }

    /// Forgets the gradients of the last step.
    pub fn zero_grad(&mut self) {
        for slot in &mut self.slots {
            slot.parameter.zero_grad();
        }
    }

    /// Moves every parameter that has a gradient.
    pub fn step(&mut self, lr: f64) {
        let _guard = tch::no_grad_guard();
        let OptimizerConfig { algorithm, momentum, weight_decay } = self.config;
        for slot in &mut self.slots {
            let p = &mut slot.parameter;
            let grad = p.grad();
            if !grad.defined() {
                continue;
            }
            let update = match algorithm {
                Algorithm::Sgd => grad + &*p * weight_decay,
                Algorithm::Lars { .. } if p.dim() == 1 => grad,
                Algorithm::Lars { eta } => {
                    let update = grad + &*p * weight_decay;
                    update.multiply(&trust(&p.norm(), &update.norm(), eta))
                }
            };
            let _ = slot.momentum.g_mul_scalar_(momentum);
            let _ = slot.momentum.g_add_(&update);
            let _ = p.g_sub_(&(&slot.momentum * lr));
        }
    }

    /// Names and momentum buffers (sharing memory), in the order of the parameters.
    pub fn state(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.slots.iter().map(|s| (s.name.as_str(), s.momentum.shallow_clone()))
    }
}

/// η |p| / |update|, or 1 where either is zero; on the device.
fn trust(parameter: &Tensor, update: &Tensor, eta: f64) -> Tensor {
    let ratio = parameter * eta / update;
    let both = parameter.gt(0.0).logical_and(&update.gt(0.0));
    ratio.where_self(&both, &parameter.ones_like())
}
