//! A detector of detectron2 (`.pkl`, `.pth`) as a checkpoint of this task.

use std::path::Path;

use slotcon_nn::{Arch, Store};
use slotcon_train::checkpoint::{Progress, save};
use slotcon_train::optim::Optimizer;
use slotcon_train::{Error, TaskRecipe};
use slotcon_weights::names::{arch_of, from_detectron2};
use slotcon_weights::{FitReport, Found, WeightFile, fit};
use tch::{Device, Kind};

use super::network::MaskRcnn;
use super::recipe::{DetectorRecipe, InstancesRecipe, Pixels};
use crate::error::TransferError;

/// What detectron2 may save beside the weights: constants of its configuration.
const CONSTANTS: [&str; 3] = ["pixel_mean", "pixel_std", "proposal_generator.anchor_generator."];
/// What tells a detector from other files.
const OF_DETECTOR: &str = "proposal_generator.rpn_head.conv.weight";
/// Where its backbone is.
const BACKBONE: &str = "backbone.bottom_up.";

/// Whether the file holds one detector under detectron2's names, with whatever prefix.
pub fn is_detector(file: &WeightFile) -> bool {
    prefix_of(file).is_some()
}

fn prefix_of(file: &WeightFile) -> Option<&str> {
    let names = file.tensors.iter().map(|(name, _)| name.as_str());
    let mut found = names.filter_map(|name| name.strip_suffix(OF_DETECTOR));
    found.next().filter(|_| found.next().is_none())
}

/// A detector that was read.
#[derive(Debug)]
pub struct Imported {
    store: Store,
    /// What fits its weights; what weights do not say, as `settings` and the file's constants say.
    pub recipe: InstancesRecipe,
    /// What went where.
    pub report: FitReport,
}

impl Imported {
    /// Reads the file at `path`. `classes` and `category_ids` name its classes; without names they are `class 1`, …
    /// `settings` change keys of the recipe, e.g. `data.pixels=caffe2`.
    ///
    /// # Errors
    /// A file without a detector, one of a structure that is not known, names of another number of classes.
    pub fn read(
        path: &Path,
        (classes, category_ids): (Vec<String>, Vec<i64>),
        settings: &[String],
    ) -> Result<Self, Error> {
        let file = WeightFile::open(path)?;
        let prefix = prefix_of(&file).ok_or_else(|| TransferError::NoDetector { path: path.into() })?;
        let mut found = Found::new();
        let mut constants = Found::new();
        for (name, tensor) in &file.tensors {
            if let Some(rest) = name.strip_prefix(prefix) {
                let constant = CONSTANTS.iter().any(|constant| rest.starts_with(constant));
                let into = if constant { &mut constants } else { &mut found };
                into.insert(rest.to_owned(), (name.clone(), tensor.shallow_clone()));
            }
        }
        let mut recipe = InstancesRecipe::load("coco-maskrcnn-r50-fpn-90k", &[])?;
        recipe.model = structure(&found, path)?;
        recipe.data.pixels = pixels(&constants);
        recipe.model.stride_first = recipe.data.pixels == Pixels::Caffe2;
        let masks = shape(&found, "roi_heads.mask_head.predictor.weight");
        let count = masks.and_then(|shape| shape.first().copied()).unwrap_or(0);
        let numbered = || (1..=count).map(|number| format!("class {number}")).collect();
        recipe.data.classes = if classes.is_empty() { numbered() } else { classes };
        recipe.data.category_ids = category_ids;
        let named = recipe.data.classes.len();
        if named as i64 != count {
            let reason = format!("has {count} classes, {named} are named");
            return Err(unknown(path, reason).into());
        }
        let recipe = recipe.with(settings)?;
        let store = Store::new(Device::Cpu, Kind::Float);
        MaskRcnn::new(&store.root(), recipe.network(count)?);
        let mut report = fit(path, &store.entries(), "", &found)?;
        report.notes.push(format!(
            "pixels are taken as {} and bottlenecks to stride in their {} convolution; if the detector was trained otherwise, say so \
             with --set data.pixels=… --set model.stride_first=…",
            match recipe.data.pixels {
                Pixels::Imagenet => "red, green, blue with ImageNet's mean and deviation (imagenet)",
                Pixels::Caffe2 => "blue, green, red with the mean subtracted alone (caffe2)",
            },
            if recipe.model.stride_first { "first" } else { "3x3" }
        ));
        Ok(Self {
            store,
            recipe,
            report,
        })
    }

    /// Writes it as a checkpoint, from which `evaluate`, `detect` and `finetune --init-from` start.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, out: &Path) -> Result<(), Error> {
        let optimizer = Optimizer::new(self.recipe.optim.config(), &self.store, Vec::new());
        let progress = Progress::new(self.recipe.run.steps, 1, 0);
        Ok(save(out, &self.store, &optimizer, &self.recipe, &progress)?)
    }
}

fn unknown(path: &Path, reason: impl Into<String>) -> TransferError {
    TransferError::UnknownDetector {
        path: path.into(),
        reason: reason.into(),
    }
}

fn shape(found: &Found, name: &str) -> Option<Vec<i64>> {
    found.get(name).map(|(_, tensor)| tensor.size())
}

/// The network that has these tensors.
fn structure(found: &Found, path: &Path) -> Result<DetectorRecipe, TransferError> {
    let backbone = found.iter().filter_map(|(name, (_, tensor))| {
        let name = from_detectron2(name.strip_prefix(BACKBONE)?);
        Some((name, tensor.size()))
    });
    let arch: Arch = arch_of(&backbone.collect())
        .ok_or_else(|| unknown(path, format!("{BACKBONE}* is no ResNet that is known")))?;
    let count = |what: &str| {
        let is_there = |i: &usize| found.contains_key(&format!("roi_heads.box_head.{what}{i}.weight"));
        (1..).take_while(is_there).count()
    };
    let needed = |name: &str| {
        let first = shape(found, name).and_then(|shape| shape.first().copied());
        first.ok_or_else(|| unknown(path, format!("has no {name}")))
    };
    let counted = |part: &str| {
        found
            .keys()
            .any(|name| name.starts_with(BACKBONE) && name.ends_with(part))
    };
    Ok(DetectorRecipe {
        arch: arch.name().into(),
        norm: found.contains_key("backbone.fpn_lateral2.norm.weight"),
        // Frozen ones count no batches.
        freeze_norm: !counted("num_batches_tracked"),
        box_convolutions: count("conv"),
        box_layers: count("fc"),
        channels: needed("backbone.fpn_lateral2.weight")?,
        features: needed("roi_heads.box_head.fc1.weight")?,
        ..DetectorRecipe::default()
    })
}

/// What the constants say of pixels; without them what this program writes.
fn pixels(constants: &Found) -> Pixels {
    let undivided = constants.get("pixel_std").is_some_and(|(_, std)| {
        let std = std.to_kind(Kind::Double);
        (std - 1.0).abs().max().double_value(&[]) < 1e-6
    });
    if undivided {
        Pixels::Caffe2
    } else {
        Pixels::Imagenet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotcon_nn::Role;
    use slotcon_weights::pickle::Py;
    use slotcon_weights::torch_save::write_numpy;
    use tch::Tensor;

    /// The layout of detectron2's zoo: names of the state dict, arrays of numpy, frozen norms, which count no batches, and constants of
    /// the configuration. The oldest of them have no norm in pyramid and heads, and two fully connected layers.
    #[test]
    fn a_detector_of_the_zoo_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model_final.pkl");
        let mut recipe = InstancesRecipe::load("instances-small", &["model.norm=false".into()]).unwrap();
        recipe.model.channels = 16;
        recipe.model.features = 24;
        let store = Store::new(Device::Cpu, Kind::Float);
        MaskRcnn::new(&store.root(), recipe.network(3).unwrap());
        let entries = || {
            store
                .entries()
                .into_iter()
                .filter(|entry| entry.role != Role::Counter)
        };
        let constant = |value: f64| Py::Tensor(Tensor::full([3, 1, 1], value, (Kind::Float, Device::Cpu)));
        let mut model = vec![
            (Py::Text("pixel_mean".into()), constant(110.0)),
            (Py::Text("pixel_std".into()), constant(1.0)),
            (
                Py::Text("proposal_generator.anchor_generator.cell_anchors.0".into()),
                constant(8.0),
            ),
        ];
        model.extend(entries().map(|entry| (Py::Text(entry.name), Py::Tensor(entry.tensor))));
        let file = Py::dict([
            ("model", Py::Dict(model)),
            ("__author__", Py::Text("Detectron2 Model Zoo".into())),
        ]);
        write_numpy(&path, file).unwrap();

        let imported = Imported::read(&path, (Vec::new(), Vec::new()), &[]).unwrap();
        let model = &imported.recipe.model;
        assert_eq!(
            (model.arch.as_str(), model.norm, model.freeze_norm),
            ("resnet18", false, true)
        );
        assert_eq!((model.box_convolutions, model.box_layers), (0, 2));
        assert_eq!((model.channels, model.features), (16, 24));
        assert!(model.stride_first && imported.recipe.data.pixels == Pixels::Caffe2);
        assert_eq!(imported.recipe.data.classes, ["class 1", "class 2", "class 3"]);
        let found = imported.store.entries();
        for entry in entries() {
            let other = found.iter().find(|other| other.name == entry.name).unwrap();
            assert_eq!(other.tensor, entry.tensor, "{}", entry.name);
        }
    }
}
