//! A fine-tuned segmentor, from its checkpoint.

use std::path::Path;

use slotcon_nn::Store;
use slotcon_train::{Checkpoint, Error};
use tch::{Device, Kind, Tensor};

use super::evaluate::Evaluator;
use super::network::Segmentor;
use super::recipe::SemanticRecipe;
use crate::error::TransferError;

/// A segmentor in evaluation mode, with its recipe.
#[derive(Debug)]
pub struct FineTuned {
    network: Segmentor,
    recipe: SemanticRecipe,
    device: Device,
}

impl FineTuned {
    /// Reads a checkpoint of fine-tuning.
    ///
    /// # Errors
    /// A file that cannot be read, is of another task, or does not fit its own recipe.
    pub fn open(path: &Path, device: Device) -> Result<Self, Error> {
        let checkpoint = Checkpoint::<SemanticRecipe>::open(path)?;
        let recipe = checkpoint.recipe.clone();
        let classes = recipe.data.classes.len();
        if classes == 0 {
            return Err(Error::task(TransferError::NoClasses { path: path.into() }));
        }
        let store = Store::new(device, Kind::Float);
        let network = Segmentor::new(&store.root(), recipe.network(classes as i64)?);
        checkpoint.load_network(&store)?;
        Ok(Self {
            network,
            recipe,
            device,
        })
    }

    /// Names of its classes, in their order.
    pub fn classes(&self) -> &[String] {
        &self.recipe.data.classes
    }

    /// What it was trained by.
    pub fn recipe(&self) -> &SemanticRecipe {
        &self.recipe
    }

    /// Normalised pictures `[B, 3, H, W]` to logits `[B, classes, H, W]`, whole or in windows as the recipe says.
    ///
    /// # Errors
    /// Pictures of another shape.
    pub fn logits(&self, pictures: &Tensor) -> Result<Tensor, slotcon_torch::Error> {
        self.recipe.inference().logits(&self.network, pictures)
    }

    /// It as the recipe says that pictures are measured.
    pub fn evaluator(&self) -> Evaluator<'_> {
        Evaluator::of(&self.network, &self.recipe, self.device, None)
    }
}
