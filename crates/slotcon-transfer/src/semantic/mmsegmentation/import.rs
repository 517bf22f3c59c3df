//! An FCN checkpoint of MMSegmentation, 0.x or 1.x, as one of ours.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use slotcon_nn::Store;
use slotcon_train::checkpoint::{self, Progress};
use slotcon_train::optim::Optimizer;
use slotcon_train::{Error, TaskRecipe};
use slotcon_weights::names::{arch_of, from_mmsegmentation};
use slotcon_weights::{FitReport, Found, Value, WeightFile, WeightsError, fit};
use tch::{Device, Kind};

use super::config::Config;
use super::{CLASSIFIER, META};
use crate::semantic::network::Segmentor;
use crate::semantic::recipe::SemanticRecipe;

/// Keys that leave no trace in weights.
const UNSEEN: [&str; 4] = [
    "model.output_stride",
    "model.head_dilation",
    "model.align_corners",
    "data.normalisation",
];

/// A segmentor of MMSegmentation, brought into our network.
#[derive(Debug)]
pub struct Imported {
    /// What was done with every tensor.
    pub report: FitReport,
    /// What the network is and how it is used.
    pub recipe: SemanticRecipe,
    store: Store,
}

/// Whether `file` holds a segmentor of MMSegmentation.
pub fn is_segmentor(file: &WeightFile) -> bool {
    !prefixes(file).is_empty()
}

fn prefixes(file: &WeightFile) -> Vec<String> {
    let names = file
        .tensors
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(CLASSIFIER));
    names.map(str::to_owned).collect()
}

impl Imported {
    /// Reads the segmentor in `file`: its classes from `classes` or its meta; the network from the shapes of its tensors and from
    /// `recipe` (a published one or a file), or else from the configuration in its meta; then each `section.key=value` of
    /// `settings`. Whatever else the file holds, an optimizer above all, is left out.
    ///
    /// # Errors
    /// No FCN of a ResNet; several; a network that neither its configuration nor `recipe` nor `settings` describe; weights that do
    /// not fit it, or more of them than it has.
    pub fn read(
        file: &WeightFile,
        recipe: Option<&str>,
        settings: &[String],
        classes: Option<Vec<String>>,
    ) -> Result<Self, Error> {
        let wrong = |reason: String| {
            Error::from(WeightsError::Mismatch {
                path: file.path.clone(),
                reason,
            })
        };
        let mut notes = Vec::new();
        let prefix = match &prefixes(file)[..] {
            [] => {
                return Err(wrong(format!(
                    "it has no {CLASSIFIER}, as every FCN of MMSegmentation"
                )));
            }
            [only] => only.clone(),
            several => {
                let averaged = |prefix: &&String| !prefix.starts_with("ema_");
                let first = several.iter().find(averaged).unwrap_or(&several[0]);
                notes.push(format!(
                    "of its segmentors {}, the one taken is {first}",
                    several.join(", ")
                ));
                first.clone()
            }
        };
        let found = tensors(file, &prefix);
        let shapes = Shapes(
            found
                .iter()
                .map(|(name, (_, tensor))| (name.as_str(), tensor.size()))
                .collect(),
        );
        let meta = Meta::of(file);

        let mut described = match recipe {
            Some(name) => SemanticRecipe::load(name, &[])?,
            None => SemanticRecipe::default(),
        };
        match (recipe, &meta.config) {
            (Some(_), _) => {}
            (None, Some(text)) => {
                notes.extend(Config::read(text).apply(&mut described).map_err(|reason| {
                    wrong(format!(
                        "{reason}; --recipe NAME|FILE takes the network from a recipe instead"
                    ))
                })?)
            }
            (None, None) => {
                let unsaid = |key: &&&str| {
                    !settings
                        .iter()
                        .any(|s| s.trim_start().starts_with(&format!("{key}=")))
                };
                let missing = Vec::from_iter(UNSEEN.iter().filter(unsaid).copied());
                if !missing.is_empty() {
                    return Err(wrong(format!(
                        "its meta has no configuration, and its weights do not show {}: give --recipe, or --set {}=…",
                        missing.join(", "),
                        missing[0]
                    )));
                }
            }
        }
        shapes.apply(&mut described).map_err(&wrong)?;
        let count = shapes.first(CLASSIFIER).unwrap_or(0);
        let names = match classes.or(meta.classes) {
            Some(names) => names,
            None => {
                return Err(wrong(format!(
                    "its meta names no classes: give --classes FILE with its {count}"
                )));
            }
        };
        if names.len() as i64 != count {
            return Err(wrong(format!(
                "its classifier has {count} classes, {} are named: {}",
                names.len(),
                names.join(", ")
            )));
        }
        described.data.palette = meta
            .palette
            .filter(|p| p.len() == names.len())
            .unwrap_or_default();
        described.data.classes = names;
        let recipe = described.with(settings)?;

        let store = Store::new(Device::Cpu, Kind::Float);
        let _ = Segmentor::new(&store.root(), recipe.network(count)?);
        let mut report = fit(&file.path, &store.entries(), "", &found)?;
        if !report.unexpected.is_empty() {
            return Err(wrong(format!(
                "it has weights that an FCN on {} does not have: {}",
                recipe.model.arch,
                report
                    .unexpected
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
        report.notes = notes;
        Ok(Self {
            report,
            recipe,
            store,
        })
    }

    /// Writes it as a checkpoint of no steps to `path`, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let optimizer = Optimizer::new(self.recipe.optim.config(), &self.store, Vec::new());
        let progress = Progress::new(self.recipe.run.steps, 1, 0);
        Ok(checkpoint::save(
            path,
            &self.store,
            &optimizer,
            &self.recipe,
            &progress,
        )?)
    }
}

/// Its tensors by our names.
fn tensors(file: &WeightFile, prefix: &str) -> Found {
    let named = file.tensors.iter().filter_map(|(name, tensor)| {
        let theirs = name.strip_prefix(prefix)?;
        let ours = match theirs.strip_prefix("backbone.") {
            Some(rest) => format!("backbone.{}", from_mmsegmentation(rest)),
            None if theirs.starts_with("decode_head.") || theirs.starts_with("auxiliary_head.") => {
                theirs.to_owned()
            }
            None => return None,
        };
        Some((ours, (name.clone(), tensor.shallow_clone())))
    });
    named.collect()
}

/// Shapes of tensors by our names.
struct Shapes<'a>(BTreeMap<&'a str, Vec<i64>>);

impl Shapes<'_> {
    fn first(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.first().copied()
    }

    /// Writes what shapes say into `recipe`.
    fn apply(&self, recipe: &mut SemanticRecipe) -> Result<(), String> {
        let below = self.0.iter().filter_map(|(name, shape)| {
            let name = name.strip_prefix("backbone.")?;
            Some((name.to_owned(), shape.clone()))
        });
        let arch = arch_of(&below.collect());
        let arch =
            arch.ok_or("its backbone is no ResNet that is known here (`slotcon inspect` lists its tensors)")?;
        let model = &mut recipe.model;
        model.arch = arch.name().into();
        let convolution = |head: &str, i: usize| self.first(&format!("{head}.convs.{i}.conv.weight"));
        model.head_convolutions = (0..)
            .take_while(|&i| convolution("decode_head", i).is_some())
            .count();
        let mixed = self.first("decode_head.conv_cat.conv.weight");
        model.concat_input = mixed.is_some();
        if let Some(channels) = mixed.or(convolution("decode_head", 0)) {
            model.head_channels = channels;
        }
        match self.first(&format!(
            "auxiliary_head.{}",
            CLASSIFIER.trim_start_matches("decode_head.")
        )) {
            None => model.auxiliary_weight = 0.0,
            Some(_) if model.auxiliary_weight <= 0.0 => model.auxiliary_weight = 0.4,
            Some(_) => {}
        }
        Ok(())
    }
}

/// What MMSegmentation writes beside the weights.
struct Meta {
    classes: Option<Vec<String>>,
    palette: Option<Vec<[u8; 3]>>,
    config: Option<String>,
}

impl Meta {
    /// Of 0.x: `CLASSES`, `PALETTE`, `config`; of 1.x: `dataset_meta.classes`, `.palette`, `cfg`.
    fn of(file: &WeightFile) -> Self {
        if let Some(meta) = file
            .metadata
            .get(META)
            .and_then(|text| serde_json::from_str::<Json>(text).ok())
        {
            let part = |key: &str| meta.get(key).cloned().unwrap_or(Json::Null);
            return Self {
                classes: serde_json::from_value(part("CLASSES")).ok(),
                palette: serde_json::from_value(part("PALETTE")).ok(),
                config: serde_json::from_value(part("config")).ok(),
            };
        }
        let text = |names: [&str; 2]| names.iter().find_map(|name| file.text(&format!("meta.{name}")));
        let classes = ["meta.CLASSES", "meta.dataset_meta.classes"].map(|place| {
            let names = (0..).map_while(|i| file.text(&format!("{place}.{i}")).map(str::to_owned));
            names.collect::<Vec<_>>()
        });
        let palette = ["meta.PALETTE", "meta.dataset_meta.palette"].map(|place| {
            let part = |i: usize, j: usize| match file.values.get(&format!("{place}.{i}.{j}"))? {
                Value::Int(part) => u8::try_from(*part).ok(),
                _ => None,
            };
            let colours = (0..).map_while(|i| Some([part(i, 0)?, part(i, 1)?, part(i, 2)?]));
            colours.collect::<Vec<_>>()
        });
        Self {
            classes: classes.into_iter().find(|names| !names.is_empty()),
            palette: palette.into_iter().find(|colours| !colours.is_empty()),
            config: text(["config", "cfg"]).map(str::to_owned),
        }
    }
}
