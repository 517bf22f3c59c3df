//! What a file with weights is: kind, architecture, how far it got, its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Kind;

use super::error::WeightsError;
use super::file::{FileKind, WeightFile};
use super::import;
use super::names::{arch_of, backbone_prefixes, choose_prefix, from_detectron2, from_timm};

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
pub fn inspect(path: &Path) -> Result<Inspection, WeightsError> {
    let file = WeightFile::open(path)?;
    let (mut recipe, mut step, mut written_by) = (None, None, None);
    if let Some(run) = &file.run {
        recipe = Some(run.recipe.clone());
        step = Some(run.progress.step);
        written_by = Some(run.written_by.clone());
    } else if file.kind == FileKind::Official {
        let (args, _) = import::recipe(&file)?;
        let (progress, _) = import::progress(&file, &args)?;
        recipe = Some(args);
        step = Some(progress.step);
    }
    let arch = match &recipe {
        Some(recipe) => Some(recipe.model.arch.clone()),
        None => recognise(&file),
    };
    let tensors = file.tensors.iter().map(|(name, tensor)| TensorInfo {
        name: name.clone(),
        shape: tensor.size(),
        dtype: dtype(tensor.kind()),
        norm: tensor.to_kind(Kind::Double).norm().double_value(&[]),
    });
    Ok(Inspection {
        kind: file.kind,
        arch,
        step,
        written_by,
        recipe: recipe.map(|r| r.to_toml()),
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
            let ours = match file.kind {
                FileKind::Pickle => from_detectron2(inner),
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

/// Python's name of it.
fn dtype(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float32",
        Kind::Double => "float64",
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        Kind::Int64 => "int64",
        Kind::Int => "int32",
        Kind::Int16 => "int16",
        Kind::Int8 => "int8",
        Kind::Uint8 => "uint8",
        Kind::Bool => "bool",
        _ => "other",
    }
}
