//! The optimizer over a network's parameters: LARS or SGD, in groups, with the learning rate given step by step.

mod groups;

use slotcon_nn::{Role, Store};
use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_torch::multi_tensor::{OptimizerStep, Rule, TensorGroup};
use tch::{Kind, Tensor};

pub use groups::ParameterGroup;

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
    groups: Vec<ParameterGroup>,
    /// The group of each parameter; those of none come last.
    group_of: Vec<usize>,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    momenta: Vec<Tensor>,
    non_finite: Tensor,
    ranks: Ranks,
}

impl Optimizer {
    /// Over every parameter of `store` that takes a gradient; momentum starts at zero. A parameter belongs to the first of
    /// `groups` that holds its name.
    pub fn new(config: OptimizerConfig, store: &Store, groups: Vec<ParameterGroup>) -> Self {
        let entries = store.entries();
        let trained = entries
            .into_iter()
            .filter(|e| e.role == Role::Parameter && e.tensor.requires_grad());
        let (names, parameters): (Vec<_>, Vec<_>) = trained.map(|e| (e.name, e.tensor)).unzip();
        let momenta = parameters
            .iter()
            .map(|p: &Tensor| p.zeros_like().detach())
            .collect();
        let group_of = names.iter().map(|name: &String| {
            let found = groups.iter().position(|group| group.holds(name));
            found.unwrap_or(groups.len())
        });
        let non_finite = Tensor::zeros([0i64; 0], (Kind::Float, store.device()));
        Self {
            config,
            group_of: group_of.collect(),
            groups,
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
        // Those of no group come last.
        let rules = self.groups.iter().map(Some).chain([None]);
        let mut groups = Vec::from_iter(rules.map(|group| TensorGroup::new(self.rule(lr, group))));
        for (i, parameter) in self.parameters.iter().enumerate() {
            let gradient = parameter.grad();
            if gradient.defined() {
                groups[self.group_of[i]].push(parameter, gradient, &self.momenta[i]);
            }
        }
        let step = OptimizerStep::inspect(&groups, loss, inverse_scale, &mut self.non_finite)?;
        // The loss is a rank's own: all skip a step, or none.
        self.ranks.max_(&mut self.non_finite, Traffic::Control)?;
        step.take(&self.non_finite)?;
        Ok(self.non_finite.copy())
    }

    /// How the parameters of `group` (of none: `None`) are moved.
    fn rule(&self, lr: f64, group: Option<&ParameterGroup>) -> Rule {
        let OptimizerConfig {
            algorithm,
            momentum,
            weight_decay,
        } = self.config;
        Rule {
            lars: match algorithm {
                Algorithm::Lars { eta } => Some(eta),
                Algorithm::Sgd => None,
            },
            lr: lr * group.map_or(1.0, |group| group.lr_scale),
            momentum,
            weight_decay: group.and_then(|group| group.weight_decay).unwrap_or(weight_decay),
        }
    }

    /// Names and momentum buffers (sharing memory), in the order of the parameters.
    pub fn state(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.names
            .iter()
            .map(String::as_str)
            .zip(self.momenta.iter().map(Tensor::shallow_clone))
    }
}
