//! A segmentor and a batch for benchmarks, without pictures.

use std::sync::Arc;

use slotcon_data::Dataset;
use slotcon_data::augment::semantic::IGNORED;
use slotcon_data::labelled::{ClassTable, Classes, LabelSummary};
use slotcon_data::loader::CropInfo;
use slotcon_torch::distributed::Ranks;
use slotcon_train::feed::DeviceBatch;
use slotcon_train::{Error, Task};
use tch::{Device, Kind, Tensor};

use super::data::SemanticData;
use super::recipe::SemanticRecipe;
use super::task::SemanticSegmentation;
use crate::error::TransferError;

impl SemanticSegmentation {
    /// A fresh segmentor of `recipe` on `device` that knows the classes `names`, trained by all `ranks` together.
    ///
    /// # Errors
    /// An unknown architecture; too many classes.
    pub fn build(
        recipe: &SemanticRecipe,
        names: Vec<String>,
        device: Device,
        ranks: &Ranks,
    ) -> Result<Self, Error> {
        let classes = Classes {
            classes: names.clone(),
            ignore_index: u16::from(IGNORED),
            things: None,
            ids: None,
            palette: None,
        };
        let nothing = || Arc::new(Dataset::from_paths(std::iter::empty::<&std::path::PathBuf>()));
        let data = SemanticData {
            pictures: nothing(),
            labels: nothing(),
            val: Arc::default(),
            table: ClassTable::new(&classes).map_err(TransferError::TooManyClasses)?,
            summary: LabelSummary {
                pixels: vec![0; names.len()],
                ignored: 0,
                other_size: 0,
            },
            left_out: Vec::new(),
            names,
        };
        Self::new(recipe, &data, device, ranks)
    }

    /// A batch of random crops with random labels of `classes` classes, a row in ten ignored.
    pub fn random_batch(recipe: &SemanticRecipe, classes: usize, device: Device) -> DeviceBatch<CropInfo> {
        let (side, batch) = (recipe.data.augment.crop, recipe.optim.batch);
        let pixels = batch as i64 * i64::from(side).pow(2);
        let random = |most: i64, count: i64| Tensor::randint(most, [count], (Kind::Uint8, Device::Cpu));
        let labels = random(classes as i64, pixels);
        let _ = labels.narrow(0, 0, pixels / 10).fill_(i64::from(IGNORED));
        DeviceBatch {
            pixels: [random(256, pixels * 3), labels]
                .map(|t| t.to_device(device))
                .into(),
            info: vec![CropInfo { filled: (side, side) }; batch],
        }
    }
}
