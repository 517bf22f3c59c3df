//! How long a training step takes, and where the time goes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use slotcon_data::{Dataset, LoaderConfig};
use tch::{Device, Kind, Tensor};

use super::feed::Feed;
use super::health::number;
use crate::error::Error;
use crate::method::clock::Clock;
use crate::method::{SlotCon, View};
use crate::optim::Optimizer;
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
    tch::manual_seed(recipe.run.seed as i64);
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

    bench.model.clock = Rc::new(Clock::on(device));
    for _ in 0..steps {
        bench.step()?;
    }
    let parts = bench.model.clock.take();
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
    recipe: Recipe,
    model: SlotCon,
    optimizer: Optimizer,
    feed: Option<Feed>,
    fixed: [View; 2],
}

impl Bench {
    fn new(recipe: &Recipe, device: Device, data: Option<Arc<Dataset>>) -> Result<Self, Error> {
        let model = SlotCon::new(recipe.model_config()?, device, Kind::Float);
        let optimizer = Optimizer::new(recipe.optimizer_config(), model.store());
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
        let fixed = [0, 1].map(|i| View {
            crops: slotcon_torch::channels_last(
                &Tensor::randn([batch as i64, 3, side, side], (Kind::Float, Device::Cpu)).to_device(device),
            ),
            coords: vec![[0.1, 0.2, 0.8, 0.9]; batch],
            flips: (0..batch).map(|b| b % 2 == i).collect(),
        });
        Ok(Self {
            recipe: recipe.clone(),
            model,
            optimizer,
            feed: feed.transpose()?,
            fixed,
        })
    }

    /// One whole step, as the training loop does it, and the wait for its end.
    fn step(&mut self) -> Result<(), Error> {
        let clock = Rc::clone(&self.model.clock);
        let loaded;
        let views = match &mut self.feed {
            None => &self.fixed,
            Some(feed) => {
                loaded = feed.next(&clock)?;
                &loaded.views
            }
        };
        let step = self.model.forward(views, 0.99, self.recipe.half())?;
        let total = &step.losses.total;
        clock.time("backward", || {
            self.optimizer.zero_grad();
            total.f_backward()
        })?;
        let skipped = clock.time("optimizer", || self.optimizer.step(0.01, total, None))?;
        if let Some(feed) = &mut self.feed {
            feed.prepare(&clock);
        }
        // Reading a value waits for everything before it.
        let _ = number(&skipped);
        Ok(())
    }
}
