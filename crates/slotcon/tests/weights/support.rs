//! A small trained-looking checkpoint, and the unpacked golden one.

use std::io::Read;
use std::path::{Path, PathBuf};

use slotcon::method::SlotCon;
use slotcon::recipe::Recipe;
use slotcon_train::checkpoint::{self, Progress};
use slotcon_train::optim::Optimizer;
use tch::{Device, Kind};

/// The official checkpoint, unpacked into `folder`.
pub fn official(packed: &Path, folder: &Path) -> PathBuf {
    let packed = std::fs::File::open(packed).unwrap();
    let mut bytes = Vec::new();
    lzma_rust2::XzReader::new(std::io::BufReader::new(packed), true)
        .read_to_end(&mut bytes)
        .unwrap();
    let path = folder.join("official.pth");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A recipe of the smallest heads.
pub fn recipe(arch: &str) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.model.arch = arch.into();
    recipe.model.dim_hidden = 8;
    recipe.model.dim_out = 4;
    recipe.model.prototypes = 4;
    recipe
}

/// A model of `recipe` in which no two encoders are alike.
pub fn model(recipe: &Recipe) -> SlotCon {
    tch::manual_seed(7);
    let model = SlotCon::new(recipe.model_config().unwrap(), Device::Cpu, Kind::Float);
    let _guard = tch::no_grad_guard();
    for entry in model.store().entries() {
        let mut tensor = entry.tensor;
        let _ = if tensor.kind() == Kind::Float {
            tensor.uniform_(0.5, 1.5)
        } else {
            tensor.fill_(3)
        };
    }
    model
}

/// A checkpoint of [`model`] after 30 of 300 steps.
pub fn save(model: &SlotCon, recipe: &Recipe, path: &Path) {
    let optimizer = Optimizer::new(recipe.optim.config(), model.store(), Vec::new());
    let progress = Progress {
        step: 30,
        ..Progress::new(300, 10, 5120)
    };
    checkpoint::save(path, model.store(), &optimizer, recipe, &progress).unwrap();
}
