//! Fine-tuning for instance segmentation as a task of the training engine.

use std::path::PathBuf;
use std::sync::Arc;

use slotcon_data::loader::{InstanceMaker, InstanceSample};
use slotcon_nn::{BatchNormMode, Store};
use slotcon_torch::Stopwatch;
use slotcon_torch::autocast;
use slotcon_torch::distributed::Ranks;
use slotcon_train::feed::{DeviceBatch, Feed};
use slotcon_train::optim::ParameterGroup;
use slotcon_train::recipe::TaskRecipe;
use slotcon_train::task::{Batches, Forward, Part, Position, Share, Validation};
use slotcon_train::{Error, Metrics, Task};
use tch::{Device, Kind};

use super::batch::Preparation;
use super::data::{InstancesData, Sources};
use super::evaluate::{Detector, detect_all};
use super::network::{MaskRcnn, Training};
use super::precise_norm::PreciseNorm;
use super::recipe::InstancesRecipe;
use super::sampling::Drawn;
use super::truth::Truth;
use super::validation::validation;
use crate::error::TransferError;

/// What the names of batch norms' parameters contain.
const NORM: &str = ".norm.";

/// A detector being trained.
#[derive(Debug)]
pub struct InstanceSegmentation {
    store: Store,
    network: MaskRcnn,
    preparation: Preparation,
    recipe: InstancesRecipe,
    data: InstancesData,
    step: u64,
}

impl InstanceSegmentation {
    /// The losses of `samples`, of which the first is number `first` of the step over all ranks; anchors and proposals are drawn by
    /// `seed` and `step`.
    fn losses(
        &self,
        samples: &[InstanceSample],
        mut drawn: Drawn,
        (mode, half): (BatchNormMode, Option<Kind>),
    ) -> Result<Training, TransferError> {
        let pictures = self
            .preparation
            .batch(samples.iter().map(|sample| &sample.picture))?;
        let truths = samples.iter().map(|sample| Truth::of(&sample.objects));
        let truths = truths.collect::<Result<Vec<_>, _>>()?;
        Ok(autocast(self.store.device(), half, || {
            self.network.forward_train(&pictures, &truths, &mut drawn, mode)
        })??)
    }

    /// A feed of the pictures to learn from.
    fn feed(
        recipe: &InstancesRecipe,
        data: &InstancesData,
        share: &Share,
        (seed, device): (u64, Device),
    ) -> Result<Feed<InstanceMaker>, Error> {
        let maker = InstanceMaker::new(recipe.data.augment.clone(), Arc::clone(&data.pictures))?;
        let config = recipe.loading().loader_config(seed, share);
        Feed::new(Arc::clone(&data.files), maker, config, device)
    }
}

impl Task for InstanceSegmentation {
    type Recipe = InstancesRecipe;
    type Sources = Sources;
    type Data = InstancesData;
    type Batches = Feed<InstanceMaker>;
    type Output = ();

    fn open(sources: &Sources, recipe: &InstancesRecipe) -> Result<InstancesData, Error> {
        InstancesData::open(sources, recipe).map_err(Into::into)
    }

    fn samples(data: &InstancesData) -> u64 {
        data.pictures.len() as u64
    }

    fn folders(sources: &Sources) -> Vec<PathBuf> {
        sources.folders.clone()
    }

    fn new(
        recipe: &InstancesRecipe,
        data: &InstancesData,
        device: Device,
        ranks: &Ranks,
    ) -> Result<Self, Error> {
        let store = Store::across(device, Kind::Float, ranks.clone());
        let network = MaskRcnn::new(&store.root(), recipe.network(data.categories.len() as i64)?);
        Ok(Self {
            network,
            store,
            preparation: Preparation::new(recipe.data.pixels, device),
            recipe: recipe.clone(),
            data: data.clone(),
            step: 0,
        })
    }

    fn batches(
        recipe: &InstancesRecipe,
        data: &InstancesData,
        share: &Share,
        device: Device,
    ) -> Result<Feed<InstanceMaker>, Error> {
        Self::feed(recipe, data, share, (recipe.run.seed, device))
    }

    fn initialise(&mut self, sources: &Sources) -> Result<Vec<String>, Error> {
        let mut notes = self.data.notes().to_vec();
        notes.push(sources.start.give(&self.store)?);
        Ok(notes)
    }

    fn store(&self) -> &Store {
        &self.store
    }

    /// No weight decay on batch norms.
    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        vec![ParameterGroup {
            containing: vec![NORM],
            lr_scale: 1.0,
            weight_decay: Some(0.0),
        }]
    }

    /// Batch norms that stay as they came get no gradient.
    fn leaves_parameters_out(&self) -> bool {
        self.recipe.model.freeze_norm
    }

    fn before_step(&mut self, position: Position) -> Result<(), Error> {
        self.step = position.step;
        Ok(())
    }

    fn forward(
        &mut self,
        batch: &DeviceBatch<InstanceSample>,
        part: Part,
        half: Option<Kind>,
    ) -> Result<Forward<()>, Error> {
        let range = part.range(batch.info.len());
        let rank = self.store.ranks().rank() * batch.info.len();
        let drawn = Drawn {
            seed: self.recipe.run.seed,
            step: self.step,
            first: (rank + range.start) as u64,
        };
        let losses = self
            .losses(&batch.info[range], drawn, (BatchNormMode::Train, half))?
            .losses;
        Ok(Forward {
            loss: losses.total,
            parts: vec![
                ("class_loss", losses.class),
                ("box_loss", losses.boxes),
                ("mask_loss", losses.mask),
                ("objectness_loss", losses.objectness),
                ("anchor_loss", losses.anchors),
            ],
            output: (),
        })
    }

    fn summary(&self, metrics: &Metrics) -> String {
        let [boxes, masks] = ["bbox/AP", "segm/AP"].map(|name| metrics.number(name));
        match (boxes, masks) {
            (Some(boxes), Some(masks)) => format!("AP box {:.1}, mask {:.1}", 100.0 * boxes, 100.0 * masks),
            _ => String::new(),
        }
    }

    fn description(&self) -> String {
        let model = &self.recipe.model;
        let frozen = if model.freeze_norm {
            ", its batch norms frozen"
        } else {
            ""
        };
        format!(
            "instance segmentation, Mask R-CNN on {}{frozen}, {} classes",
            model.arch,
            self.data.categories.len()
        )
    }

    /// Precise batch norm. It changes running statistics alone, which training reads as little as detectron2's does.
    fn before_validation(&mut self, share: &Share, half: Option<Kind>) -> Result<Vec<String>, Error> {
        let count = self.recipe.model.precise_batches;
        if count == 0 {
            return Ok(Vec::new());
        }
        // Pictures and choices of their own: those of a seed that no run can have.
        let seed = self.recipe.run.seed | 1 << 63;
        let share = Share {
            first_step: 0,
            ..*share
        };
        let mut feed = Self::feed(&self.recipe, &self.data, &share, (seed, self.store.device()))?;
        let mut precise = PreciseNorm::default();
        let stopwatch = Stopwatch::default();
        let _guard = tch::no_grad_guard();
        for step in 0..count {
            let (batch, _) = feed.next(&stopwatch)?;
            let rank = self.store.ranks().rank() * batch.info.len();
            let drawn = Drawn {
                seed,
                step,
                first: rank as u64,
            };
            self.losses(&batch.info, drawn, (BatchNormMode::Measure, half))?;
            precise.add(&self.store)?;
        }
        precise.finish(&self.store);
        Ok(vec![format!(
            "batch norm: statistics measured over {count} batches (precise batch norm)"
        )])
    }

    fn validates(&self) -> bool {
        self.data.val.is_some()
    }

    fn validate(&mut self, half: Option<Kind>) -> Result<Option<Validation>, Error> {
        let Some(held) = self.data.val.clone() else {
            return Ok(None);
        };
        let detector = Detector::of(&self.network, &self.recipe, self.store.device(), half);
        let ids = Vec::from_iter(self.data.categories.iter().map(|category| category.id));
        let detected = detect_all(&detector, &held.pictures, &ids, self.store.ranks(), |_| ())?;
        validation(&held.truth, &detected).map(Some).map_err(Into::into)
    }
}
