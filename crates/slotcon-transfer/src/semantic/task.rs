//! Fine-tuning for semantic segmentation as a task of the training engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use slotcon_data::loader::{CropInfo, LabelledMaker};
use slotcon_data::rng::{Purpose, Stream};
use slotcon_metrics::Confusion;
use slotcon_nn::Store;
use slotcon_torch::distributed::Ranks;
use slotcon_torch::{autocast, channels_last};
use slotcon_train::feed::{DeviceBatch, Feed};
use slotcon_train::normalise::Normaliser;
use slotcon_train::optim::ParameterGroup;
use slotcon_train::recipe::TaskRecipe;
use slotcon_train::task::{Forward, Part, Position, Share, Validation};
use slotcon_train::{Checkpoint, Error, Metrics, Task};
use tch::{Device, Kind, Tensor};

use super::data::{SemanticData, Sources, Start};
use super::evaluate::{Evaluator, measure};
use super::network::{Losses, Segmentor};
use super::recipe::{Normalisation, SemanticRecipe};
use crate::backbone;
use crate::error::TransferError;

/// What is in the name of each parameter of the backbone, and of no other.
const BACKBONE: &str = "backbone.";

/// A segmentor being trained.
#[derive(Debug)]
pub struct SemanticSegmentation {
    store: Store,
    network: Segmentor,
    normaliser: Normaliser,
    recipe: SemanticRecipe,
    data: SemanticData,
}

impl Normalisation {
    /// It, for pictures on `device`.
    pub fn on(self, device: Device) -> Normaliser {
        use slotcon_train::normalise::{MEAN, STD};
        match self {
            Self::Imagenet => Normaliser::new(device),
            Self::ImagenetUndivided => Normaliser::with(MEAN, STD, device),
        }
    }
}

/// Pixels by true class (rows) and predicted class (columns), as JSON.
fn confusion(names: &[String], counted: &Confusion) -> String {
    let classes = 0..counted.classes();
    let rows = classes
        .clone()
        .map(|class| Vec::from_iter(classes.clone().map(|found| counted.count(class, found))));
    json!({"classes": names, "confusion": rows.collect::<Vec<_>>()}).to_string()
}

/// Whether weights of `found` mean in `here` what they meant there; else the first key that differs, its value in both.
fn same_network(found: &SemanticRecipe, here: &SemanticRecipe) -> Result<(), (&'static str, String, String)> {
    let values = |recipe: &SemanticRecipe| {
        let model = &recipe.model;
        [
            ("data.classes", recipe.data.classes.join(", ")),
            ("data.normalisation", recipe.data.normalisation.name().to_owned()),
            ("model.arch", model.arch.clone()),
            ("model.output_stride", model.output_stride.to_string()),
            ("model.head_channels", model.head_channels.to_string()),
            ("model.head_convolutions", model.head_convolutions.to_string()),
            ("model.head_dilation", model.head_dilation.to_string()),
            ("model.concat_input", model.concat_input.to_string()),
            ("model.align_corners", model.align_corners.to_string()),
            (
                "model.auxiliary_weight",
                (if model.auxiliary_weight > 0.0 {
                    "above 0"
                } else {
                    "0"
                })
                .to_owned(),
            ),
            ("model.auxiliary_dilation", model.auxiliary_dilation.to_string()),
        ]
    };
    let both = values(found).into_iter().zip(values(here));
    match both.into_iter().find(|(found, here)| found != here) {
        Some(((key, found), (_, here))) => Err((key, found, here)),
        None => Ok(()),
    }
}

/// Normalised crops `[B, 3, side, side]`, zero where the picture does not fill them, and labels `[B, side, side]`.
fn crops(
    batch: &DeviceBatch<CropInfo>,
    range: std::ops::Range<usize>,
    side: usize,
    normaliser: &Normaliser,
) -> (Tensor, Tensor) {
    let pixels = (side * side) as i64;
    let (first, count) = (range.start as i64, range.len() as i64);
    let rgb = batch.pixels[0].narrow(0, first * pixels * 3, count * pixels * 3);
    let pictures = normaliser.apply(&rgb, side, side);
    for (i, info) in batch.info[range].iter().enumerate() {
        let (width, height) = (i64::from(info.filled.0), i64::from(info.filled.1));
        let (side, picture) = (side as i64, pictures.get(i as i64));
        if width < side {
            let _ = picture.narrow(2, width, side - width).zero_();
        }
        if height < side {
            let _ = picture.narrow(1, height, side - height).zero_();
        }
    }
    let labels = batch.pixels[1].narrow(0, first * pixels, count * pixels);
    let side = side as i64;
    (channels_last(&pictures), labels.reshape([count, side, side]))
}

impl Task for SemanticSegmentation {
    type Recipe = SemanticRecipe;
    type Sources = Sources;
    type Data = SemanticData;
    type Batches = Feed<LabelledMaker>;
    type Output = ();

    fn open(sources: &Sources, recipe: &SemanticRecipe) -> Result<SemanticData, Error> {
        SemanticData::open(sources, recipe).map_err(Into::into)
    }

    fn samples(data: &SemanticData) -> u64 {
        data.pictures.len() as u64
    }

    fn folders(sources: &Sources) -> Vec<PathBuf> {
        sources.folders.clone()
    }

    fn left_out(data: &SemanticData) -> Vec<String> {
        data.left_out.clone()
    }

    fn new(
        recipe: &SemanticRecipe,
        data: &SemanticData,
        device: Device,
        ranks: &Ranks,
    ) -> Result<Self, Error> {
        let store = Store::across(device, Kind::Float, ranks.clone());
        let network = Segmentor::new(&store.root(), recipe.network(data.names.len() as i64)?);
        Ok(Self {
            network,
            store,
            normaliser: recipe.data.normalisation.on(device),
            recipe: recipe.clone(),
            data: data.clone(),
        })
    }

    fn batches(
        recipe: &SemanticRecipe,
        data: &SemanticData,
        share: &Share,
        device: Device,
    ) -> Result<Feed<LabelledMaker>, Error> {
        let timeout = Duration::from_secs_f64(recipe.loading().read_timeout);
        let labels = Arc::clone(&data.labels);
        let maker = LabelledMaker::new(recipe.data.augment.clone(), labels, data.table.clone(), timeout)?;
        let config = recipe.loading().loader_config(recipe.run.seed, share);
        Feed::new(Arc::clone(&data.pictures), maker, config, device)
    }

    fn initialise(&mut self, sources: &Sources) -> Result<Vec<String>, Error> {
        let mut notes = self.data.notes();
        match &sources.start {
            Start::Backbone { path, prefix } => {
                let (prefix, as_it_is) = (prefix.as_deref(), str::to_owned);
                notes.push(backbone::give(path, prefix, &self.store, "backbone.", as_it_is)?);
            }
            Start::Segmentor { path } => {
                let checkpoint = Checkpoint::<SemanticRecipe>::open(path)?;
                let found = &checkpoint.recipe;
                same_network(found, &self.recipe).map_err(|(key, found, here)| {
                    TransferError::OtherNetwork {
                        path: path.clone(),
                        key,
                        found,
                        here,
                    }
                })?;
                checkpoint.load_network(&self.store)?;
                notes.push(format!("all weights from {}", path.display()));
            }
            Start::Scratch => notes.push(backbone::SCRATCH.into()),
        }
        Ok(notes)
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        vec![ParameterGroup {
            containing: vec![BACKBONE],
            lr_scale: self.recipe.model.backbone_lr_scale,
            weight_decay: None,
        }]
    }

    /// Seeds dropout by run, step and rank, so that a resumed run leaves out the same channels.
    fn before_step(&mut self, position: Position) -> Result<(), Error> {
        let rank = self.store.ranks().rank() as u64;
        let mut random = Stream::new(self.recipe.run.seed, position.step, rank, Purpose::Dropout, 0);
        tch::manual_seed(random.below(1 << 62) as i64);
        Ok(())
    }

    fn forward(
        &mut self,
        batch: &DeviceBatch<CropInfo>,
        part: Part,
        half: Option<Kind>,
    ) -> Result<Forward<()>, Error> {
        let side = self.recipe.data.augment.crop as usize;
        let (pictures, labels) = crops(batch, part.range(batch.info.len()), side, &self.normaliser);
        let logits = autocast(self.store.device(), half, || {
            self.network.forward_train(&pictures)
        })??;
        drop(pictures);
        let Losses {
            total,
            decode,
            auxiliary,
        } = self.network.losses(&logits.to_float(), &labels)?;
        let mut parts = vec![("decode_loss", decode)];
        parts.extend(auxiliary.map(|loss| ("auxiliary_loss", loss)));
        Ok(Forward {
            loss: total,
            parts,
            output: (),
        })
    }

    fn summary(&self, metrics: &Metrics) -> String {
        let miou = metrics.number("validation/miou");
        miou.map_or_else(String::new, |miou| format!("mIoU {:.1} %", 100.0 * miou))
    }

    fn description(&self) -> String {
        let model = &self.recipe.model;
        let frozen = if model.freeze_backbone { " (frozen)" } else { "" };
        format!(
            "semantic segmentation, {}{frozen} at output stride {}, {} classes",
            model.arch,
            model.output_stride,
            self.data.names.len()
        )
    }

    fn validates(&self) -> bool {
        !self.data.val.is_empty()
    }

    fn validate(&mut self, half: Option<Kind>) -> Result<Option<Validation>, Error> {
        let evaluator = Evaluator::of(&self.network, &self.recipe, self.store.device(), half);
        let measured = measure(
            &evaluator,
            &self.data.val,
            &self.data.table,
            self.store.ranks(),
            |_| (),
        )?;
        let score = measured.score()?;
        let mut numbers = vec![
            ("miou".into(), score.miou),
            ("pixel_accuracy".into(), score.pixel_accuracy),
        ];
        let classes = self.data.names.iter().zip(&score.iou);
        numbers.extend(classes.filter_map(|(name, iou)| Some((format!("iou/{name}").into(), (*iou)?))));
        Ok(Some(Validation {
            score: score.miou,
            numbers,
            details: Some(confusion(&self.data.names, measured.confusion())),
            warnings: measured
                .bad
                .iter()
                .map(|bad| format!("left out of measuring: {bad}"))
                .collect(),
        }))
    }
}
