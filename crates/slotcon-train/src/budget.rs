//! How many steps fit into a length of time: measured before a run begins, then fixed in its recipe.

use std::time::{Duration, Instant};

use tch::Device;

use crate::bench::{Bench, Source};
use crate::error::Error;
use crate::process_group::ProcessGroup;
use crate::recipe::{RunRecipe, TaskRecipe};
use crate::task::Task;

/// Kept for checkpoints, validations and the report.
const RESERVE: f64 = 0.05;

/// What of the budget is spent on measuring, at most; one step and one more are always measured.
const MEASURING: f64 = 0.05;

/// Makes the run of `recipe` as long as `budget` allows, at the rate of some steps of a network that is thrown away, with the run's own
/// data and ranks. All ranks call this together. A sentence says what was found.
///
/// # Errors
/// Data or network that cannot be used; a rank that is gone.
pub(crate) fn fit<T: Task>(
    recipe: &mut T::Recipe,
    data: &T::Data,
    device: Device,
    group: &ProcessGroup,
    budget: Duration,
) -> Result<String, Error> {
    let began = Instant::now();
    let mut bench = Bench::<T>::among(
        recipe,
        device,
        group,
        |ranks| T::new(recipe, data, device, ranks),
        Source::Data(data),
    )?;
    // The first makes kernels and fills the loader.
    let first = seconds_of(|| bench.step())?;
    let count = group.broadcast_from_first("budget: steps to measure", || {
        let affordable = budget.as_secs_f64() * MEASURING / first.max(1e-6);
        Ok((affordable as u64).clamp(1, 10))
    })?;
    let mut all = 0.0;
    for _ in 0..count {
        all += seconds_of(|| bench.step())?;
    }
    drop(bench);
    let (steps, step) = group.broadcast_from_first("budget: length of the run", || {
        let left = budget.as_secs_f64() * (1.0 - RESERVE) - began.elapsed().as_secs_f64();
        let step: f64 = all / count as f64;
        Ok((((left / step.max(1e-9)) as u64).max(1), step))
    })?;
    lay_out(recipe.run_mut(), steps);
    Ok(format!(
        "{step:.3} s a step, measured over {count}: {steps} steps in the time given; the recipe in the run directory says so from now on"
    ))
}

/// A run of `steps`; one that ends before its schedules do ends at the same part of them.
fn lay_out(run: &mut RunRecipe, steps: u64) {
    if run.stop_at > 0 && run.steps > run.stop_at {
        let part = run.stop_at as f64 / run.steps as f64;
        (run.steps, run.stop_at) = ((steps as f64 / part).round() as u64, steps);
    } else {
        (run.steps, run.stop_at) = (steps, 0);
    }
}

fn seconds_of(step: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let start = Instant::now();
    step()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_keeps_the_part_of_its_schedules_at_which_it_ends() {
        let laid_out = |steps, stop_at| {
            let mut run = RunRecipe {
                steps,
                stop_at,
                ..RunRecipe::default()
            };
            lay_out(&mut run, 300);
            (run.steps, run.stop_at)
        };
        assert_eq!(laid_out(4400, 1100), (1200, 300));
        assert_eq!(laid_out(0, 0), (300, 0));
        assert_eq!(laid_out(500, 500), (300, 0));
        assert_eq!(laid_out(500, 0), (300, 0));
    }
}
