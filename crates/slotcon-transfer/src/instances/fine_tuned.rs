//! A fine-tuned detector, from its checkpoint.

use std::path::Path;

use slotcon_nn::Store;
use slotcon_train::{Checkpoint, Error};
use tch::{Device, Kind};

use super::evaluate::Detector;
use super::network::MaskRcnn;
use super::recipe::InstancesRecipe;
use crate::error::TransferError;

/// A detector in evaluation mode, with its recipe.
#[derive(Debug)]
pub struct FineTuned {
    network: MaskRcnn,
    store: Store,
    recipe: InstancesRecipe,
    device: Device,
}

impl FineTuned {
    /// Reads a checkpoint of fine-tuning.
    ///
    /// # Errors
    /// A file that cannot be read, is of another task, or does not fit its own recipe.
    pub fn open(path: &Path, device: Device) -> Result<Self, Error> {
        let checkpoint = Checkpoint::<InstancesRecipe>::open(path)?;
        let recipe = checkpoint.recipe.clone();
        let classes = recipe.data.classes.len();
        if classes == 0 {
            return Err(Error::task(TransferError::NoClasses { path: path.into() }));
        }
        let store = Store::new(device, Kind::Float);
        let network = MaskRcnn::new(&store.root(), recipe.network(classes as i64)?);
        checkpoint.load_network(&store)?;
        Ok(Self {
            network,
            store,
            recipe,
            device,
        })
    }

    /// Names of its classes, in their order.
    pub fn classes(&self) -> &[String] {
        &self.recipe.data.classes
    }

    /// Number of each class in results; 1, 2, … where the recipe says none.
    pub fn category_ids(&self) -> Vec<i64> {
        match &self.recipe.data.category_ids[..] {
            [] => (1..=self.classes().len() as i64).collect(),
            ids => ids.to_vec(),
        }
    }

    /// What it was trained by.
    pub fn recipe(&self) -> &InstancesRecipe {
        &self.recipe
    }

    /// Its weights, under detectron2's names.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// It as the recipe says that pictures are measured.
    pub fn detector(&self) -> Detector<'_> {
        Detector::of(&self.network, &self.recipe, self.device, None)
    }
}
