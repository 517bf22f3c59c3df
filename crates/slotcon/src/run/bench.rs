//! How long a training step takes, and where the time goes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use slotcon_data::{Dataset, LoaderConfig};
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use tch::{Device, Kind, Tensor};

use super::feed::Feed;
use super::health::number;
use super::learner::Learner;
use crate::error::Error;
use crate::method::View;
use crate::recipe::Recipe;

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

/// Runs `warmup` steps, then `steps` measured ones, then as many with the time of each part. Without `data` the pictures
/// are random and already there.
///
/// # Errors
/// What libtorch or the data set refuses.
pub fn bench_step(
    recipe: &Recipe,
    device: Device,
    data: Option<Arc<Dataset>>,
    warmup: usize,
    steps: usize,
) -> Result<StepTimes, Error> {
    if recipe.run.threads > 0 {
        tch::set_num_threads(recipe.run.threads as i32);
    }
    let mut bench = Bench::new(recipe, device, data)?;
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

    bench.learner.model.stopwatch = Rc::new(Stopwatch::on(device));
    for _ in 0..steps {
        bench.step()?;
    }
    let parts = bench.learner.model.stopwatch.take();
    let parts_s = parts
        .into_iter()
        .map(|(name, time)| (name, time.as_secs_f64() / steps as f64))
        .collect();
    Ok(StepTimes {
        median_s,
        min_s: times[0],
        peak_mb,
        pictures_per_second: recipe.optim.batch as f64 / median_s,
        parts_s,
    })
}

struct Bench {
    parts: usize,
    learner: Learner,
    feed: Option<Feed>,
    fixed: [Fixed; 2],
}

/// A view of one part of the batch, taken again and again.
struct Fixed {
    crops: Tensor,
    flips: Vec<bool>,
}

impl Fixed {
    fn view(&self) -> View {
        View {
            crops: self.crops.shallow_clone(),
            coords: vec![[0.1, 0.2, 0.8, 0.9]; self.flips.len()],
            flips: self.flips.clone(),
        }
    }
}

impl Bench {
    fn new(recipe: &Recipe, device: Device, data: Option<Arc<Dataset>>) -> Result<Self, Error> {
        recipe.share_of_batch(1)?;
        let learner = Learner::new(recipe, device, &Ranks::alone(), None)?;
        let batch = recipe.optim.batch;
        let feed = data.map(|dataset| {
            let config = LoaderConfig {
                batch,
                threads: recipe.data.threads,
                prefetch: recipe.data.prefetch,
                ..LoaderConfig::default()
            };
            Feed::new(dataset, &recipe.data.augment, config, device)
        });
        let side = i64::from(recipe.data.augment.image_size);
        let part = batch / recipe.optim.accumulate;
        let fixed = [0, 1].map(|i| Fixed {
            crops: slotcon_torch::channels_last(
                &Tensor::randn([part as i64, 3, side, side], (Kind::Float, Device::Cpu)).to_device(device),
            ),
            flips: (0..part).map(|b| b % 2 == i).collect(),
        });
        Ok(Self {
            parts: recipe.optim.accumulate,
            learner,
            feed: feed.transpose()?,
            fixed,
        })
    }

    /// One whole step, as the training loop does it, and the wait for its end.
    fn step(&mut self) -> Result<(), Error> {
        let stopwatch = Rc::clone(&self.learner.model.stopwatch);
        let loaded = match &mut self.feed {
            None => None,
            Some(feed) => Some(feed.next(&stopwatch)?),
        };
        let (fixed, parts) = (&self.fixed, self.parts);
        let views = |part: usize| match &loaded {
            None => [fixed[0].view(), fixed[1].view()],
            Some(batch) => stopwatch.time("copy_in", || batch.views(part, parts)),
        };
        let learnt = self.learner.step(views, 0.99, 0.01)?;
        if let Some(feed) = &mut self.feed {
            feed.prepare(&stopwatch);
        }
        // Reading a value waits for everything before it.
        let _ = number(&learnt.skipped);
        Ok(())
    }
}
