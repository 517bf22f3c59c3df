//! The optimizer over the student's parameters: LARS or SGD, learning rate given step by step.

use slotcon_nn::{Role, Store};
use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_torch::multi_tensor::{Rule, find_non_finite, optimizer_step};
use tch::{Kind, Tensor};

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// Layer-wise adaptive rates (arXiv 1708.03888) with trust coefficient η: an update has η times the length of its
    /// weights. Parameters of one dimension are neither adapted nor decayed.
    Lars {
        /// η, 0.001 upstream.
        eta: f64,
    },
    /// Stochastic gradient descent with momentum, and decay of every parameter, as `torch.optim.SGD`.
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

/// Parameters and their momentum buffers, by position.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    momenta: Vec<Tensor>,
    non_finite: Tensor,
    ranks: Ranks,
}

impl Optimizer {
    /// Over every parameter of `store` that takes a gradient; momentum starts at zero.
    pub fn new(config: OptimizerConfig, store: &Store) -> Self {
        let entries = store.entries();
        let trained = entries
            .into_iter()
            .filter(|e| e.role == Role::Parameter && e.tensor.requires_grad());
        let (names, parameters): (Vec<_>, Vec<_>) = trained.map(|e| (e.name, e.tensor)).unzip();
        let momenta = parameters
            .iter()
            .map(|p: &Tensor| p.zeros_like().detach())
            .collect();
        let non_finite = Tensor::zeros([0i64; 0], (Kind::Float, store.device()));
        Self {
            config,
            names,
            parameters,
            momenta,
            non_finite,
            ranks: store.ranks().clone(),
        }
    }

    /// The parameters, sharing memory.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Forgets the gradients of the last step.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.zero_grad();
        }
    }

    /// Moves every parameter that has a gradient, unless `loss` or a gradient is not finite: then nothing changes.
    /// Returns 1 for a skipped step, else 0: a float scalar on the device, which nobody has to wait for.
    ///
    /// `inverse_scale` undoes a loss scaling.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn step(
        &mut self,
        lr: f64,
        loss: &Tensor,
        inverse_scale: Option<&Tensor>,
    ) -> Result<Tensor, slotcon_torch::Error> {
        let mut parameters = Vec::with_capacity(self.parameters.len());
        let mut gradients = Vec::with_capacity(self.parameters.len());
        let mut momenta = Vec::with_capacity(self.parameters.len());
        for (parameter, momentum) in self.parameters.iter().zip(&self.momenta) {
            let gradient = parameter.grad();
            if gradient.defined() {
                parameters.push(parameter.shallow_clone());
                gradients.push(gradient);
                momenta.push(momentum.shallow_clone());
            }
        }
        let OptimizerConfig {
            algorithm,
            momentum,
            weight_decay,
        } = self.config;
        let lars = match algorithm {
            Algorithm::Lars { eta } => Some(eta),
            Algorithm::Sgd => None,
        };
        let rule = Rule {
            lars,
            lr,
            momentum,
            weight_decay,
        };
        find_non_finite(&gradients, &loss.detach(), &mut self.non_finite)?;
        // The loss is a rank's own: all skip a step, or none.
        self.ranks.max_(&mut self.non_finite, Traffic::Control)?;
        optimizer_step(
            &parameters,
            &gradients,
            &momenta,
            rule,
            inverse_scale,
            &self.non_finite,
        )?;
        Ok(self.non_finite.copy())
    }

    /// Names and momentum buffers (sharing memory), in the order of the parameters.
    pub fn state(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.names
            .iter()
            .map(String::as_str)
            .zip(self.momenta.iter().map(Tensor::shallow_clone))
    }
}
