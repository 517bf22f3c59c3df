//! Our weights in the files of other programs.

use std::path::Path;

use slotcon_nn::{Arch, Entry};
use tch::{Device, Kind, Tensor};

use slotcon_weights::FitReport;
use slotcon_weights::names::{to_detectron2, to_timm};
use slotcon_weights::pickle::Py;
use slotcon_weights::safetensors::write_plain;
use slotcon_weights::torch_save::{write_numpy, write_torch};

use super::hub::{self, Folder};
use super::{InteropError, official_write};
use crate::Checkpoint;
use crate::method::{Branch, SlotCon};

/// Whose file it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A backbone's state dict as torchvision names it, without `fc`.
    Torchvision,
    /// The same as timm names it.
    Timm,
    /// A pickle with numpy arrays and `matching_heuristics`.
    Detectron2,
    /// A state dict in `state_dict`.
    Mmsegmentation,
    /// A whole training checkpoint, from which the official code goes on.
    Official,
    /// Every tensor of the model under its official name.
    Safetensors,
    /// A folder as timm and the Hugging Face Hub take it.
    Hub,
    /// A graph of operators, which only the Python package writes.
    Onnx,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(&'static str, Format); 8] = [
        ("torchvision", Format::Torchvision),
        ("timm", Format::Timm),
        ("detectron2", Format::Detectron2),
        ("mmsegmentation", Format::Mmsegmentation),
        ("official", Format::Official),
        ("safetensors", Format::Safetensors),
        ("hub", Format::Hub),
        ("onnx", Format::Onnx),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, format)| *format == self);
        found.map_or("", |(name, _)| name)
    }

    /// Endings that a file of it may have; none for a folder.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Format::Torchvision | Format::Timm => &["safetensors", "pth"],
            Format::Detectron2 => &["pkl"],
            Format::Mmsegmentation | Format::Official => &["pth"],
            Format::Safetensors => &["safetensors"],
            Format::Hub => &[],
            Format::Onnx => &["onnx"],
        }
    }

    /// Whether it holds one backbone; the others hold both networks.
    pub fn is_backbone(self) -> bool {
        !matches!(self, Format::Official | Format::Safetensors)
    }
}

/// Where ONNX comes from.
const ONNX: &str = "ONNX is written by the Python package, through PyTorch: pip install 'slotcon[onnx]', then in Python \
                    slotcon.export(checkpoint=…, format=\"onnx\", out=\"model.onnx\") (docs/python.md)";

/// Writes the weights of `checkpoint` to `out`, whole or not at all (of a folder, each file). The ending of `out` decides between
/// safetensors and PyTorch's own format where both are possible. `branch` is for the formats that hold one backbone, `license` for
/// the model card of [`Format::Hub`], as the Hub spells it.
///
/// # Errors
/// A checkpoint that is not read, an ending or a backbone that the format does not have, or what the file system says.
pub fn export(
    checkpoint: &Path,
    format: Format,
    branch: Branch,
    license: Option<&str>,
    out: &Path,
) -> Result<FitReport, InteropError> {
    if format == Format::Onnx {
        return Err(InteropError::Export(ONNX.into()));
    }
    let ending = out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if format == Format::Hub {
        if out.exists() && !out.is_dir() {
            return Err(InteropError::Export(format!(
                "{}: is no folder, and format hub writes one",
                out.display()
            )));
        }
    } else if !format.endings().contains(&ending) {
        return Err(InteropError::Export(format!(
            "{}: a file of format {} must end in .{}",
            out.display(),
            format.name(),
            format.endings().join(" or .")
        )));
    }
    let checkpoint = Checkpoint::open(checkpoint)?;
    let arch = checkpoint.recipe.arch()?;
    let notes = suits(format, arch)?;
    let model = SlotCon::new(checkpoint.recipe.model_config()?, Device::Cpu, Kind::Float);
    checkpoint.load_network(model.store())?;
    let entries = model.store().entries();
    let mut report = FitReport {
        notes,
        ..FitReport::default()
    };

    if !format.is_backbone() {
        let prefix = if format == Format::Official { "module." } else { "" };
        let named: Vec<_> = entries
            .into_iter()
            .map(|e| (format!("{prefix}{}", e.name), e.name, e.tensor))
            .collect();
        let tensors = list(&mut report, named);
        if format == Format::Safetensors {
            write_plain(out, tensors)?;
        } else {
            let (value, notes) = official_write::checkpoint(&checkpoint, &model, tensors)?;
            report.notes.extend(notes);
            write_torch(out, value)?;
        }
        return Ok(report);
    }

    let named = backbone(&entries, branch)
        .map(|(name, entry)| {
            let theirs = match format {
                Format::Timm | Format::Hub => to_timm(name),
                Format::Detectron2 => to_detectron2(name),
                _ => name.to_owned(),
            };
            (theirs, entry.name.clone(), entry.tensor.shallow_clone())
        })
        .collect();
    let tensors = list(&mut report, named);
    match format {
        Format::Hub => {
            let heads = heads(&entries, branch);
            let folder = Folder {
                checkpoint: &checkpoint,
                arch,
                stride: checkpoint.recipe.output_stride()?,
                branch,
                license,
            };
            report.matched.extend(
                heads
                    .iter()
                    .map(|(ours, theirs, t)| (ours.clone(), theirs.clone(), t.size())),
            );
            let heads = heads.into_iter().map(|(_, theirs, tensor)| (theirs, tensor));
            folder.write(out, tensors, heads.collect())?;
            hub::notes(license, &mut report);
        }
        Format::Detectron2 => {
            let model = tensors
                .into_iter()
                .map(|(name, tensor)| (Py::Text(name), Py::Tensor(tensor)));
            let value = Py::dict([
                ("model", Py::Dict(model.collect())),
                ("__author__", Py::Text("slotcon".into())),
                ("matching_heuristics", Py::Bool(true)),
            ]);
            write_numpy(out, value)?;
        }
        Format::Mmsegmentation => write_torch(out, Py::dict([("state_dict", Py::Ordered(tensors))]))?,
        _ if ending == "safetensors" => write_plain(out, tensors)?,
        _ => write_torch(out, Py::Ordered(tensors))?,
    }
    Ok(report)
}

/// The backbone's tensors by their names without the encoder's.
fn backbone(entries: &[Entry], branch: Branch) -> impl Iterator<Item = (&str, &Entry)> {
    entries
        .iter()
        .filter_map(move |entry| Some((entry.name.strip_prefix(branch.encoder())?, entry)))
}

/// Projector and prototypes: our name, the name without the branch's letter, the tensor.
fn heads(entries: &[Entry], branch: Branch) -> Vec<(String, String, Tensor)> {
    let letter = branch.encoder().trim_start_matches("encoder");
    let named = entries.iter().flat_map(|entry| {
        ["projector", "grouping"].into_iter().filter_map(move |part| {
            let rest = entry.name.strip_prefix(part)?.strip_prefix(letter)?;
            Some((
                entry.name.clone(),
                format!("{part}.{rest}"),
                entry.tensor.shallow_clone(),
            ))
        })
    });
    named.collect()
}

/// Notes down what goes where.
fn list(report: &mut FitReport, named: Vec<(String, String, Tensor)>) -> Vec<(String, Tensor)> {
    let named = named.into_iter().map(|(theirs, ours, tensor)| {
        report.matched.push((ours, theirs.clone(), tensor.size()));
        (theirs, tensor)
    });
    named.collect()
}

/// Refuses a backbone that the other program does not have; says what is to be known of others.
fn suits(format: Format, arch: Arch) -> Result<Vec<String>, InteropError> {
    let refused = |reason: &str| {
        Err(InteropError::Export(format!(
            "{} has no backbone like {arch}: {reason}",
            format.name()
        )))
    };
    let mut notes = Vec::new();
    match format {
        Format::Torchvision if arch.spec().deep => {
            return refused("its ResNets have no deep stem; timm has (--format timm)");
        }
        Format::Torchvision | Format::Timm | Format::Hub if arch == Arch::ResNet50W2x => {
            return refused(
                "its wide ResNets widen only the 3x3 convolutions; use --format detectron2, mmsegmentation, official or \
                 safetensors",
            );
        }
        Format::Official if arch == Arch::ResNet10 => {
            return refused("its smallest is resnet18; use --format torchvision, timm, hub or safetensors");
        }
        Format::Torchvision | Format::Timm if arch == Arch::ResNet10 => {
            notes.push("no function has this name: build a ResNet of basic blocks [1, 1, 1, 1]".into());
        }
        Format::Detectron2 | Format::Mmsegmentation if arch == Arch::ResNet10 => notes.push(format!(
            "{}'s own ResNets begin at depth 18: only a backbone of one basic block a stage takes these weights",
            format.name()
        )),
        Format::Torchvision | Format::Timm if arch == Arch::ResNeXt152 => {
            let note = "no function has this name: build a ResNet of bottlenecks [3, 8, 36, 3], 32 groups of width 8";
            notes.push(note.into());
        }
        Format::Detectron2 | Format::Mmsegmentation if arch.spec().deep => notes.push(format!(
            "{}'s own ResNets call a deep stem otherwise: the names follow the official converter's rule, but only a \
             backbone written for them takes them",
            format.name()
        )),
        _ => {}
    }
    if arch == Arch::ResNet50S16 && format != Format::Hub {
        let note = "the last stage has stride 1 and dilation 2 in every 3x3 convolution, also in the first";
        notes.push(note.into());
    }
    Ok(notes)
}
