//! A fine-tuned segmentor as MMSegmentation reads it.

use std::path::Path;

use serde_json::{Value, json};
use slotcon_data::labelled::Palette;
use slotcon_nn::{Arch, Store};
use slotcon_train::{Checkpoint, Error};
use slotcon_weights::names::to_mmsegmentation;
use slotcon_weights::pickle::Py;
use slotcon_weights::torch_save::write_torch;
use slotcon_weights::{FitReport, WeightsError, safetensors};
use tch::{Device, Kind, Tensor};

use super::{META, config};
use crate::error::TransferError;
use crate::semantic::network::Segmentor;
use crate::semantic::recipe::SemanticRecipe;

/// Writes the segmentor in `checkpoint` to `out`, whole or not at all: `state_dict` and `meta` (classes, colours, and the
/// configuration from which MMSegmentation builds the network) as `torch.save` does where `out` ends in `.pth`; as safetensors, with
/// the same `meta` as JSON in its metadata, where it ends in `.safetensors`.
///
/// # Errors
/// A checkpoint of another task or that is not read; another ending; a backbone that MMSegmentation does not have; what the file system says.
pub fn export(checkpoint: &Path, out: &Path) -> Result<FitReport, Error> {
    let ending = out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !["pth", "safetensors"].contains(&ending) {
        let reason = "a segmentor of format mmsegmentation must end in .pth or .safetensors";
        return Err(WeightsError::format(out, reason).into());
    }
    let opened = Checkpoint::<SemanticRecipe>::open(checkpoint)?;
    let recipe = &opened.recipe;
    let classes = &recipe.data.classes;
    if classes.is_empty() {
        return Err(Error::task(TransferError::NoClasses {
            path: checkpoint.into(),
        }));
    }
    let network = recipe.network(classes.len() as i64)?;
    let spec = network.backbone.arch.spec();
    if spec.width != 1 || spec.groups != 1 || network.backbone.arch == Arch::ResNet10 {
        return Err(WeightsError::format(
            checkpoint,
            format!("MMSegmentation has no ResNet like {}", spec.name),
        )
        .into());
    }
    let store = Store::new(Device::Cpu, Kind::Float);
    let _ = Segmentor::new(&store.root(), network);
    opened.load_network(&store)?;
    let mut report = FitReport::default();
    let tensors = store.entries().into_iter().map(|entry| {
        let theirs = match entry.name.strip_prefix("backbone.") {
            Some(rest) => format!("backbone.{}", to_mmsegmentation(rest, spec.deep)),
            None => entry.name.clone(),
        };
        report
            .matched
            .push((entry.name, theirs.clone(), entry.tensor.size()));
        (theirs, entry.tensor)
    });
    let tensors: Vec<(String, Tensor)> = tensors.collect();

    let palette = Palette(&recipe.data.palette);
    let colours = Vec::from_iter((0..classes.len()).map(|class| palette.colour(class as u16)));
    let text = config::text(recipe, &network);
    // Under the names of 0.x and of 1.x.
    let meta = json!({
        "CLASSES": classes,
        "PALETTE": colours,
        "config": text,
        "dataset_meta": {"classes": classes, "palette": colours},
        "cfg": text,
        "written_by": concat!("slotcon ", env!("CARGO_PKG_VERSION")),
    });
    if ending == "safetensors" {
        safetensors::write(out, tensors, (META, meta.to_string()))?;
    } else {
        write_torch(
            out,
            Py::dict([("meta", python(meta)), ("state_dict", Py::Ordered(tensors))]),
        )?;
    }
    Ok(report)
}

fn python(value: Value) -> Py {
    match value {
        Value::Null => Py::None,
        Value::Bool(b) => Py::Bool(b),
        Value::Number(n) => match n.as_i64() {
            Some(whole) => Py::Int(whole),
            None => Py::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Py::Text(text),
        Value::Array(values) => Py::List(values.into_iter().map(python).collect()),
        Value::Object(items) => {
            let items = items
                .into_iter()
                .map(|(key, value)| (Py::Text(key), python(value)));
            Py::Dict(items.collect())
        }
    }
}
