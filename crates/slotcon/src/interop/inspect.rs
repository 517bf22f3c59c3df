//! What a file with weights is: kind, architecture, how far it got, its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use slotcon_train::TaskRecipe;
use slotcon_train::checkpoint::{About, HEADER};
use slotcon_weights::names::{arch_of, backbone_prefixes, choose_prefix, from_detectron2, from_timm};
use slotcon_weights::{Dtype, FileFormat, WeightFile};

use super::official_args::recipe as official_recipe;
use super::official_read::progress as official_progress;
use super::{FileKind, InteropError};
use crate::recipe::Recipe;
use tch::Kind;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Its name; of a tensor in dictionaries with theirs, e.g. `state_dict.conv1.weight`.
    pub name: String,
    /// Elements along each dimension.
    pub shape: Vec<i64>,
    /// Type of an element, e.g. `float32`.
    pub dtype: &'static str,
    /// Euclidean norm of all elements.
    pub norm: f64,
}

/// What [`inspect`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What the file is.
    pub kind: FileKind,
    /// What was trained, for checkpoints of this program.
    pub task: Option<String>,
    /// The backbone, if one is recognised by name or by its shapes.
    pub arch: Option<String>,
    /// Steps done, for checkpoints of runs.
    pub step: Option<u64>,
    /// The program that wrote it, for checkpoints of this one; empty where an old one did not say.
    pub written_by: Option<String>,
    /// The recipe as TOML, for checkpoints of runs.
    pub recipe: Option<String>,
    /// In the order of the file, or by name where it has none.
    pub tensors: Vec<TensorInfo>,
}

/// Looks into `path`.
///
/// # Errors
/// See [`WeightFile::open`].
pub fn inspect(path: &Path) -> Result<Inspection, InteropError> {
    let file = WeightFile::open(path)?;
    let kind = FileKind::of(&file);
    let (mut task, mut recipe, mut arch, mut step, mut written_by) = (None, None, None, None, None);
    if let Some(header) = file.metadata.get(HEADER) {
        let about = About::parse(path, header)?;
        if about.task == Recipe::TASK {
            arch = Some(about.recipe_of::<Recipe>(path)?.model.arch);
        }
        task = Some(about.task);
        recipe = Some(about.recipe);
        step = Some(about.progress.step);
        written_by = Some(about.written_by);
    } else if kind == FileKind::Official {
        let (args, _) = official_recipe(&file)?;
        let (progress, _) = official_progress(&file, &args)?;
        arch = Some(args.model.arch.clone());
        recipe = Some(args.to_toml()?);
        step = Some(progress.step);
    }
    let arch = arch.or_else(|| recognise(&file));
    let tensors = file.tensors.iter().map(|(name, tensor)| TensorInfo {
        name: name.clone(),
        shape: tensor.size(),
        dtype: Dtype::of(tensor.kind()).map_or("other", Dtype::name),
        norm: tensor.to_kind(Kind::Double).norm().double_value(&[]),
    });
    Ok(Inspection {
        kind,
        task,
        arch,
        step,
        written_by,
        recipe,
        tensors: tensors.collect(),
    })
}

/// The backbone by its tensors.
fn recognise(file: &WeightFile) -> Option<String> {
    // detectron2's names are turned into ours first.
    let named: Vec<(String, Vec<i64>)> = file
        .tensors
        .iter()
        .map(|(name, tensor)| {
            let inner = name.strip_prefix("model.").unwrap_or(name);
            let ours = match file.format {
                FileFormat::Pickle => from_detectron2(inner),
                _ => name.clone(),
            };
            (ours, tensor.size())
        })
        .collect();
    let prefixes = backbone_prefixes(named.iter().map(|(name, _)| name.as_str()));
    // Student and teacher are alike.
    let prefix = choose_prefix(&prefixes, false).or(prefixes.first())?;
    let below: BTreeMap<&str, Vec<i64>> = named
        .iter()
        .filter_map(|(name, shape)| Some((name.strip_prefix(prefix.as_str())?, shape.clone())))
        .collect();
    let flat = below.contains_key("conv1.6.weight");
    let shapes = below
        .into_iter()
        .map(|(name, shape)| {
            let name = if flat { from_timm(name) } else { name.into() };
            (name, shape)
        })
        .collect();
    arch_of(&shapes).map(|arch| arch.name().to_owned())
}
