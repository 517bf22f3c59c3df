//! Pretraining as a task of the training engine: pairs of views in, the losses of [`SlotCon`] out.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slotcon_data::{Dataset, PairInfo, PairMaker};
use slotcon_nn::Store;
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use slotcon_train::feed::{DeviceBatch, Feed};
use slotcon_train::normalise::Normaliser;
use slotcon_train::recipe::TaskRecipe;
use slotcon_train::task::{Forward, Part, Position, Share, Validation};
use slotcon_train::{Error, Metrics, Numbers, Task};
use tch::{Device, Kind, Tensor};

use crate::health::GroupHealth;
use crate::interop::{InteropError, init_backbone};
use crate::method::teacher::momentum;
use crate::method::{Losses, SlotCon, Step, View};
use crate::quality::{GroupQuality, Sample};
use crate::recipe::Recipe;
use crate::traffic::StepTraffic;

/// What a run learns from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Folders of pictures.
    pub data: Vec<PathBuf>,
    /// A backbone to start from, for student and teacher: a file that [`slotcon_weights::WeightFile`] reads.
    pub init_backbone: Option<PathBuf>,
    /// Which of several backbones in that file: what its names begin with, or the end of that.
    pub init_prefix: Option<String>,
}

/// Pictures on which groups are measured while they are learned.
const MEASURED: usize = 64;

/// SlotCon being trained.
#[derive(Debug)]
pub struct Pretraining {
    model: SlotCon,
    normaliser: Normaliser,
    recipe: Recipe,
    /// What is learned from, and what of it groups are measured on, once they are.
    data: Option<Arc<Dataset>>,
    sample: Option<Sample>,
}

impl Pretraining {
    /// A fresh model of `recipe` on `device`, trained by all `ranks` together.
    ///
    /// # Errors
    /// An unknown architecture.
    pub fn build(recipe: &Recipe, device: Device, ranks: &Ranks) -> Result<Self, Error> {
        Ok(Self {
            model: SlotCon::across(recipe.model_config()?, device, Kind::Float, ranks),
            normaliser: Normaliser::new(device),
            recipe: recipe.clone(),
            data: None,
            sample: None,
        })
    }

    /// The model.
    pub fn model(&self) -> &SlotCon {
        &self.model
    }

    /// A batch of random pictures, for benchmarks: both views share the middle of the picture, every other one is mirrored.
    pub fn random_batch(recipe: &Recipe, device: Device) -> DeviceBatch<PairInfo> {
        let (side, batch) = (i64::from(recipe.data.augment.image_size), recipe.optim.batch);
        let bytes = batch as i64 * side * side * 3;
        let pixels =
            [(); 2].map(|()| Tensor::randint(256, [bytes], (Kind::Uint8, Device::Cpu)).to_device(device));
        let info = (0..batch).map(|b| PairInfo {
            coords: [[0.1, 0.2, 0.8, 0.9]; 2],
            flips: [b % 2 == 0, b % 2 == 1],
        });
        DeviceBatch {
            pixels: pixels.into(),
            info: info.collect(),
        }
    }

    /// One view of the pictures `info` of a batch, of which `pixels` are the bytes.
    fn view(&self, pixels: &Tensor, info: &[PairInfo], first: usize, view: usize) -> View {
        let side = self.recipe.data.augment.image_size as usize;
        let picture = (3 * side * side) as i64;
        let bytes = pixels.narrow(0, first as i64 * picture, info.len() as i64 * picture);
        View {
            crops: self.normaliser.apply(&bytes, side, side),
            coords: info.iter().map(|pair| pair.coords[view].map(f64::from)).collect(),
            flips: info.iter().map(|pair| pair.flips[view]).collect(),
        }
    }

    /// The pictures on which groups are measured: twice as large as a crop, which is about the size at which a crop of a quarter
    /// of the picture shows things.
    fn load_sample(&self, data: &Arc<Dataset>) -> Sample {
        let timeout = Duration::from_secs_f64(self.recipe.loading().read_timeout);
        Sample::load(data, MEASURED, 2 * self.recipe.data.augment.image_size, timeout)
    }

    /// The teacher's momentum of a step.
    fn teacher_momentum(&self, position: Position) -> f64 {
        let Recipe {
            model, optim, run, ..
        } = &self.recipe;
        // Upstream counts the dropped last batches here.
        let total = if run.steps > 0 {
            position.total_steps
        } else {
            let steps = position.samples as f64 / optim.batch as f64 * run.epochs;
            (steps as u64).max(position.total_steps)
        };
        momentum(model.teacher_momentum, position.step, total)
    }
}

impl Task for Pretraining {
    type Recipe = Recipe;
    type Sources = Sources;
    type Data = Arc<Dataset>;
    type Batches = Feed<PairMaker>;
    type Output = Step;

    fn open(sources: &Sources, recipe: &Recipe) -> Result<Arc<Dataset>, Error> {
        Ok(Arc::new(Dataset::open(&sources.data, recipe.data.selection()?)?))
    }

    fn samples(data: &Arc<Dataset>) -> u64 {
        data.len() as u64
    }

    fn left_out(data: &Arc<Dataset>) -> Vec<String> {
        data.left_out().lines()
    }

    fn folders(sources: &Sources) -> Vec<PathBuf> {
        sources.data.clone()
    }

    fn new(recipe: &Recipe, data: &Arc<Dataset>, device: Device, ranks: &Ranks) -> Result<Self, Error> {
        Ok(Self {
            data: Some(Arc::clone(data)),
            ..Self::build(recipe, device, ranks)?
        })
    }

    fn batches(
        recipe: &Recipe,
        data: &Arc<Dataset>,
        share: &Share,
        device: Device,
    ) -> Result<Feed<PairMaker>, Error> {
        let maker = PairMaker::new(recipe.data.augment.clone())?;
        let config = recipe.loading().loader_config(recipe.run.seed, share);
        Feed::new(Arc::clone(data), maker, config, device)
    }

    fn initialise(&mut self, sources: &Sources) -> Result<Vec<String>, Error> {
        let Some(path) = &sources.init_backbone else {
            return Ok(Vec::new());
        };
        let report = init_backbone(path, sources.init_prefix.as_deref(), &self.model)?;
        Ok(vec![format!(
            "backbone from {}: {}",
            path.display(),
            report.summary()
        )])
    }

    fn store(&self) -> &Store {
        self.model.store()
    }

    /// On a CPU a batch without positives leaves the predictor out; on a GPU its shapes, and so its use, are fixed.
    fn leaves_parameters_out(&self) -> bool {
        !self.model.store().device().is_cuda()
    }

    fn measure(&mut self, stopwatch: Rc<Stopwatch>) {
        self.model.stopwatch = stopwatch;
    }

    fn before_step(&mut self, position: Position) -> Result<(), Error> {
        Ok(self.model.move_teacher(self.teacher_momentum(position))?)
    }

    fn forward(
        &mut self,
        batch: &DeviceBatch<PairInfo>,
        part: Part,
        half: Option<Kind>,
    ) -> Result<Forward<Step>, Error> {
        let range = part.range(batch.info.len());
        let info = &batch.info[range.clone()];
        let stopwatch = Rc::clone(&self.model.stopwatch);
        let views = stopwatch.time("copy_in", || {
            [0, 1].map(|view| self.view(&batch.pixels[view], info, range.start, view))
        });
        let step = self.model.forward(&views, half)?;
        let Losses { total, group, slot } = &step.losses;
        Ok(Forward {
            loss: total.shallow_clone(),
            parts: vec![
                ("group_loss", &group[0] + &group[1]),
                ("slot_loss", &slot[0] + &slot[1]),
            ],
            output: step,
        })
    }

    fn metrics(&self, step: &Step, position: Position, ranks: &Ranks) -> Result<Numbers, Error> {
        let health = GroupHealth::of(step, self.recipe.model.teacher_temp, ranks)?;
        let mut numbers: Numbers = vec![("teacher_momentum".into(), self.teacher_momentum(position))];
        numbers.extend(health.numbers());
        Ok(numbers)
    }

    fn warning(&self, metrics: &Metrics) -> Option<String> {
        GroupHealth::from_metrics(metrics)?.warning(self.recipe.model.prototypes)
    }

    fn summary(&self, metrics: &Metrics) -> String {
        GroupHealth::from_metrics(metrics).map_or_else(String::new, |groups| {
            format!(
                "prototypes in use {:.0} %, agreement {:.0} %",
                100.0 * groups.in_use,
                100.0 * groups.agreement
            )
        })
    }

    fn description(&self) -> String {
        self.recipe.model.arch.clone()
    }

    fn traffic(&self, share: &Share, parts: usize) -> Option<String> {
        let side = i64::from(self.recipe.data.augment.image_size);
        let side = self.model.config().output_stride.side(side);
        let gpu = self.model.store().device().is_cuda();
        let traffic = StepTraffic::of(
            &self.model,
            share.batch / parts,
            (side * side) as usize,
            parts,
            gpu,
        );
        Some(traffic.to_string())
    }

    /// Pictures that are learned from do: no labels are asked for.
    fn validates(&self) -> bool {
        self.data.is_some() && self.recipe.run.validate_every > 0
    }

    fn validate(&mut self, half: Option<Kind>) -> Result<Option<Validation>, Error> {
        let Some(data) = &self.data else { return Ok(None) };
        let mut sample = self.sample.take().unwrap_or_else(|| self.load_sample(data));
        let (teacher, store) = (self.model.teacher(), self.model.store());
        let stride = self.model.config().output_stride;
        let quality = GroupQuality::of(teacher, &sample, stride, half, store.ranks())?;
        // Once is enough.
        let warnings = std::mem::take(&mut sample.bad);
        self.sample = Some(sample);
        Ok(Some(Validation {
            numbers: quality.numbers(),
            score: quality.mutual_information,
            details: None,
            warnings,
        }))
    }
}

impl From<InteropError> for Error {
    fn from(error: InteropError) -> Self {
        match error {
            InteropError::Weights(error) => error.into(),
            InteropError::Checkpoint(error) => error.into(),
            InteropError::Recipe(error) => error.into(),
            error @ InteropError::Export(_) => Error::task(error),
        }
    }
}
