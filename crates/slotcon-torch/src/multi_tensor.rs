//! Optimizer steps over all parameters at once: few kernels on a GPU, few passes over memory on a CPU, and no
//! wait for a GPU: a step that must be skipped is skipped there.
//!
//! A step has two halves, between which the ranks of a run agree on whether to take it: [`OptimizerStep::inspect`] reads the gradients
//! and finds what is not finite, [`OptimizerStep::take`] moves the parameters. On a CPU a step of LARS reads or writes memory of the
//! parameters' size seven times: weights and gradients for the norms, then weights, gradients and momenta, of which weights
//! and momenta are written back.

use cxx::UniquePtr;
use tch::Tensor;

use crate::backend::Backend;
use crate::error::Error;
use crate::ffi::{at, bridge, lend};

/// How gradients become a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// η of LARS; `None`: plain momentum SGD, whose decay is over every parameter.
    pub lars: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Momentum.
    pub momentum: f64,
    /// L2 penalty; with LARS only for parameters of two or more dimensions.
    pub weight_decay: f64,
}

/// Parameters that share a rule. Parameters, gradients and momenta correspond by position and have equal shapes; a momentum
/// has the layout and the type of its parameter as well.
#[derive(Debug)]
pub struct TensorGroup {
    /// How they are moved.
    pub rule: Rule,
    /// What is moved.
    pub parameters: Vec<Tensor>,
    /// The gradients of this step.
    pub gradients: Vec<Tensor>,
    /// The moving sums of earlier updates, zero at first.
    pub momenta: Vec<Tensor>,
}

impl TensorGroup {
    /// A group that has no parameters yet.
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            parameters: Vec::new(),
            gradients: Vec::new(),
            momenta: Vec::new(),
        }
    }

    /// Adds one parameter.
    pub fn push(&mut self, parameter: &Tensor, gradient: Tensor, momentum: &Tensor) {
        self.parameters.push(parameter.shallow_clone());
        self.gradients.push(gradient);
        self.momenta.push(momentum.shallow_clone());
    }
}

/// A step whose gradients have been read.
pub struct OptimizerStep<'a> {
    parts: Vec<(&'a TensorGroup, bridge::StepRule, UniquePtr<bridge::Inspection>)>,
    inverse_scale: Option<&'a Tensor>,
}

impl std::fmt::Debug for OptimizerStep<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OptimizerStep")
            .field("groups", &self.parts.len())
            .finish()
    }
}

impl<'a> OptimizerStep<'a> {
    /// Reads the gradients of all groups and writes 1 to `found` (a float scalar on the parameters' device) if `loss` or any of
    /// them is not finite, else 0. `inverse_scale`, a scalar, undoes a loss scaling.
    ///
    /// # Errors
    /// Lists that do not fit each other, tensors on different devices.
    pub fn inspect(
        groups: &'a [TensorGroup],
        loss: &Tensor,
        inverse_scale: Option<&'a Tensor>,
        found: &mut Tensor,
    ) -> Result<Self, Error> {
        Self::inspect_by(Backend::Fastest, groups, loss, inverse_scale, found)
    }

    /// The same, with a choice of who computes both halves.
    ///
    /// # Errors
    /// As [`OptimizerStep::inspect`].
    pub fn inspect_by(
        backend: Backend,
        groups: &'a [TensorGroup],
        loss: &Tensor,
        inverse_scale: Option<&'a Tensor>,
        found: &mut Tensor,
    ) -> Result<Self, Error> {
        found.f_copy_(&loss.detach().f_isfinite()?.f_logical_not()?)?;
        let parts = groups.iter().map(|group| {
            let rule = bridge::StepRule {
                lars: group.rule.lars.is_some(),
                eta: group.rule.lars.unwrap_or_default(),
                lr: group.rule.lr,
                momentum: group.rule.momentum,
                weight_decay: group.rule.weight_decay,
                scaled: inverse_scale.is_some(),
                operations: backend == Backend::Operations,
            };
            let inspection = bridge::inspect(
                &lend(&group.parameters),
                &lend(&group.gradients),
                &rule,
                at(inverse_scale.unwrap_or(found)),
                at(found),
            )?;
            Ok((group, rule, inspection))
        });
        Ok(Self {
            parts: parts.collect::<Result<_, Error>>()?,
            inverse_scale,
        })
    }

    /// Moves every group in place: momenta = momentum * momenta + update; parameters -= lr * momenta. Nothing is changed if
    /// `found` holds 1.
    ///
    /// # Errors
    /// Lists that do not fit each other.
    pub fn take(self, found: &Tensor) -> Result<(), Error> {
        for (group, rule, inspection) in &self.parts {
            bridge::optimizer_step(
                &lend(&group.parameters),
                &lend(&group.gradients),
                &lend(&group.momenta),
                rule,
                inspection,
                at(self.inverse_scale.unwrap_or(found)),
                at(found),
            )?;
        }
        Ok(())
    }
}

/// `targets += (sources - targets) * weight`, in place, by position.
///
/// # Errors
/// Lists that do not fit each other.
pub fn lerp(targets: &[Tensor], sources: &[Tensor], weight: f64) -> Result<(), Error> {
    Ok(bridge::lerp(&lend(targets), &lend(sources), weight)?)
}
