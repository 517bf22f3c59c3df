//! How long a training step takes, and where the time goes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use serde::Serialize;
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use tch::Device;

use crate::error::Error;
use crate::precision;
use crate::process_group::ProcessGroup;
use crate::recipe::TaskRecipe;
use crate::task::{Batches, Position, Share, Task};
use crate::training_step::{TrainingStep, scalar};

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepTimes {
    /// Median of the measured steps, in seconds.
    pub median_s: f64,
    /// The fastest.
    pub min_s: f64,
    /// Most memory used at once, in MiB: of the process on a CPU, of the tensors on a GPU.
    pub peak_mb: f64,
    /// Pictures a second at the median.
    pub pictures_per_second: f64,
    /// Mean seconds of each part, measured in steps of their own, since measuring waits for the device.
    pub parts_s: BTreeMap<&'static str, f64>,
}

/// Where the batches of a benchmark come from.
pub enum Source<'a, T: Task> {
    /// The same batch again and again.
    Fixed(<T::Batches as Batches>::Batch),
    /// The task's data, through the loader that training uses.
    Data(&'a T::Data),
}

/// Runs `warmup` steps of the network that `build` makes, then `steps` measured ones, then as many with the time of each part.
///
/// # Errors
/// What libtorch or the data set refuses.
pub fn bench_step<T: Task>(
    recipe: &T::Recipe,
    device: Device,
    build: impl FnOnce() -> Result<T, Error>,
    source: Source<T>,
    warmup: usize,
    steps: usize,
) -> Result<StepTimes, Error> {
    let mut recipe = recipe.clone();
    let run = recipe.run_mut();
    if run.threads > 0 {
        tch::set_num_threads(run.threads as i32);
    }
    run.precision = precision::resolve(run.precision, device)?;
    let mut bench = Bench::among(&recipe, device, &ProcessGroup::alone(), |_| build(), source)?;
    for _ in 0..warmup {
        bench.step()?;
    }
    slotcon_torch::reset_peak(device)?;
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps {
        let start = Instant::now();
        bench.step()?;
        times.push(start.elapsed().as_secs_f64());
    }
    let peak_mb = slotcon_torch::peak_bytes(device)? as f64 / f64::from(1 << 20);
    times.sort_by(f64::total_cmp);
    let median_s = times[times.len() / 2];

    let stopwatch = Rc::new(Stopwatch::on(device));
    bench.step.measure(Rc::clone(&stopwatch));
    for _ in 0..steps {
        bench.step()?;
    }
    let parts = stopwatch.take().into_iter();
    Ok(StepTimes {
        median_s,
        min_s: times[0],
        peak_mb,
        pictures_per_second: recipe.optim().batch as f64 / median_s,
        parts_s: parts
            .map(|(name, time)| (name, time.as_secs_f64() / steps as f64))
            .collect(),
    })
}

/// A network and its batches, step by step.
pub(crate) struct Bench<T: Task> {
    step: TrainingStep<T>,
    batches: Given<T>,
    /// In the middle of a run.
    position: Position,
}

enum Given<T: Task> {
    Fixed(<T::Batches as Batches>::Batch),
    Loaded(T::Batches),
}

impl<T: Task> Bench<T> {
    /// With the batches and the gradients of this rank of `group`.
    pub(crate) fn among(
        recipe: &T::Recipe,
        device: Device,
        group: &ProcessGroup,
        build: impl FnOnce(&Ranks) -> Result<T, Error>,
        source: Source<T>,
    ) -> Result<Self, Error> {
        let share = Share::of(recipe.optim(), group.launch(), device, 0)?;
        let batches = match source {
            Source::Fixed(batch) => Given::Fixed(batch),
            Source::Data(data) => Given::Loaded(T::batches(recipe, data, &share, device)?),
        };
        Ok(Self {
            step: TrainingStep::new(recipe, group.ranks(), None, || build(group.ranks()))?,
            batches,
            position: Position {
                step: 1000,
                total_steps: 100_000,
                steps_per_epoch: 1000,
                samples: 1000 * share.batch as u64,
            },
        })
    }

    /// One whole step, as the training loop does it, and the wait for its end.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        const LR: f64 = 0.01;
        let output = match &mut self.batches {
            Given::Fixed(batch) => self.step.run(batch, self.position, LR)?,
            Given::Loaded(batches) => {
                let stopwatch = self.step.stopwatch();
                let (batch, _) = batches.next(&stopwatch)?;
                let output = self.step.run(&batch, self.position, LR)?;
                batches.prepare(&stopwatch);
                output
            }
        };
        // Reading a value waits for everything before it.
        let _ = scalar(&output.skipped);
        Ok(())
    }
}
