//! Optimizer steps over all parameters at once: few kernels on a GPU, few passes over memory on a CPU, and no
//! wait for the device: a step that must be skipped is skipped there.

use tch::Tensor;

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

/// Writes 1 to `found` (a float scalar) if `loss` or any gradient is not finite, else 0.
///
/// # Errors
/// Tensors on different devices.
pub fn find_non_finite(gradients: &[Tensor], loss: &Tensor, found: &mut Tensor) -> Result<(), Error> {
    Ok(bridge::find_non_finite(&lend(gradients), at(loss), at(found))?)
}

/// One step, in place: momenta = momentum * momenta + update; parameters -= lr * momenta. Gradients are multiplied
/// by `inverse_scale` first, if it is given. Nothing is changed if `found` holds 1.
///
/// Parameters, gradients and momenta correspond by position, with equal shapes and layouts.
///
/// # Errors
/// Lists that do not fit each other.
pub fn optimizer_step(
    parameters: &[Tensor],
    gradients: &[Tensor],
    momenta: &[Tensor],
    rule: Rule,
    inverse_scale: Option<&Tensor>,
    found: &Tensor,
) -> Result<(), Error> {
    let rule = bridge::StepRule {
        lars: rule.lars.is_some(),
        eta: rule.lars.unwrap_or_default(),
        lr: rule.lr,
        momentum: rule.momentum,
        weight_decay: rule.weight_decay,
        scaled: inverse_scale.is_some(),
    };
    bridge::optimizer_step(
        &lend(parameters),
        &lend(gradients),
        &lend(momenta),
        &rule,
        at(inverse_scale.unwrap_or(found)),
        at(found),
    )?;
    Ok(())
}

/// `targets += (sources - targets) * weight`, in place, by position.
///
/// # Errors
/// Lists that do not fit each other.
pub fn lerp(targets: &[Tensor], sources: &[Tensor], weight: f64) -> Result<(), Error> {
    Ok(bridge::lerp(&lend(targets), &lend(sources), weight)?)
}
