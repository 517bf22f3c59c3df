//! A detector and a batch without a data set, to measure the time of a step.

use std::sync::Arc;

use slotcon_data::annotations::{Category, Shape};
use slotcon_data::augment::instances::PlacedObject;
use slotcon_data::loader::InstanceSample;
use slotcon_data::rng::{Purpose, Stream};
use slotcon_data::{Dataset, Picture};
use slotcon_torch::distributed::Ranks;
use slotcon_train::feed::DeviceBatch;
use slotcon_train::recipe::TaskRecipe;
use slotcon_train::{Error, Task};
use tch::Device;

use super::data::InstancesData;
use super::recipe::InstancesRecipe;
use super::task::InstanceSegmentation;

/// Classes of the objects.
const CLASSES: i64 = 80;

impl InstanceSegmentation {
    /// A fresh detector of 80 classes that has nothing to learn from.
    ///
    /// # Errors
    /// A recipe that cannot be used.
    pub fn unfed(recipe: &InstancesRecipe, device: Device) -> Result<Self, Error> {
        let categories = (1..=CLASSES).map(|id| Category {
            id,
            name: format!("class {id}"),
        });
        let files = Arc::new(Dataset::from_paths(Vec::<&str>::new()));
        let data = InstancesData::without_pictures(categories.collect(), files);
        Self::new(recipe, &data, device, &Ranks::alone())
    }

    /// A batch of random pixels, `size` (height, width) each, with so many squares as objects.
    pub fn random_batch(
        recipe: &InstancesRecipe,
        size: (u32, u32),
        objects: u32,
    ) -> DeviceBatch<InstanceSample> {
        let sample = |number: usize| {
            let mut random = Stream::new(0, 0, number as u64, Purpose::Scene, 0);
            let bytes = size.0 as usize * size.1 as usize * 3;
            let rgb = (0..bytes).map(|_| random.below(256) as u8).collect();
            InstanceSample {
                picture: Picture::new(size.1, size.0, rgb),
                objects: (0..objects).map(|i| square(i, size)).collect(),
            }
        };
        DeviceBatch {
            pixels: Vec::new(),
            info: (0..recipe.optim().batch).map(sample).collect(),
        }
    }
}

/// Square `i` of a picture of (height, width).
fn square(i: u32, (height, width): (u32, u32)) -> PlacedObject {
    let side = 16 + i * 37 % (height.min(width) / 2).max(1);
    let x = i * 53 % width.saturating_sub(side).max(1);
    let y = i * 29 % height.saturating_sub(side).max(1);
    let [left, top, right, bottom] = [x, y, (x + side).min(width), (y + side).min(height)].map(f64::from);
    PlacedObject {
        class: (i * 7 % CLASSES as u32) as usize,
        bounds: [left, top, right, bottom].map(|v| v as f32),
        shape: Shape::Polygons(vec![vec![left, top, right, top, right, bottom, left, bottom]]),
    }
}
