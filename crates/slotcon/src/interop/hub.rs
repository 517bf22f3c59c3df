//! A folder as timm and the Hugging Face Hub expect it: `config.json`, `model.safetensors`, a model card; and beside the
//! backbone projector and prototypes, with which the Python package of this program has the whole network.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use slotcon_nn::{Arch, Block, OutputStride};
use slotcon_train::RunDirectory;
use slotcon_train::normalise::{MEAN, STD};
use slotcon_weights::atomic_file::{WriteError, write_bytes};
use slotcon_weights::safetensors::{write, write_plain};
use slotcon_weights::{FitReport, WeightsError};
use tch::Tensor;

use super::InteropError;
use crate::Checkpoint;
use crate::method::Branch;

/// The backbone under timm's names.
const MODEL: &str = "model.safetensors";
/// Projector and prototypes.
const HEADS: &str = "slotcon.safetensors";
/// Key of what [`HEADS`] says of itself.
const HEADER: &str = "slotcon_hub";
/// Version of that.
const FORMAT_VERSION: u32 = 1;

/// What a folder is made of.
pub(super) struct Folder<'a> {
    pub checkpoint: &'a Checkpoint,
    pub arch: Arch,
    pub stride: OutputStride,
    pub branch: Branch,
    /// As the Hub spells it; without it the card says nothing.
    pub license: Option<&'a str>,
}

impl Folder<'_> {
    /// Writes the folder: `backbone` under timm's names, `heads` under theirs without the encoder's letter. Files of other
    /// names that are in it stay.
    pub(super) fn write(
        &self,
        out: &Path,
        backbone: Vec<(String, Tensor)>,
        heads: Vec<(String, Tensor)>,
    ) -> Result<(), InteropError> {
        if let Some(license) = self.license {
            check_license(license)?;
        }
        fs::create_dir_all(out).map_err(WeightsError::io(out))?;
        write_plain(&out.join(MODEL), backbone)?;
        let about = json!({
            "format_version": FORMAT_VERSION,
            "written_by": concat!("slotcon ", env!("CARGO_PKG_VERSION")),
            "network": self.branch.name(),
            "step": self.checkpoint.progress.step,
            "recipe": slotcon_train::TaskRecipe::to_toml(&self.checkpoint.recipe)?,
        });
        write(&out.join(HEADS), heads, (HEADER, about.to_string()))?;
        let config = format!("{:#}\n", self.config());
        text(&out.join("config.json"), &config)?;
        text(&out.join("README.md"), &self.card())
    }

    fn size(&self) -> i64 {
        i64::from(self.checkpoint.recipe.data.augment.image_size)
    }

    /// What `timm.create_model` builds the network from.
    fn config(&self) -> Value {
        let (name, mut args) = timm(self.arch);
        if self.stride != OutputStride::FULL {
            args["output_stride"] = self.stride.pixels().into();
        }
        let side = self.stride.side(self.size());
        let mut config = json!({
            "architecture": name,
            "num_classes": 0,
            "num_features": self.arch.channels(),
            "global_pool": "avg",
            "pretrained_cfg": {
                "tag": "slotcon",
                "custom_load": false,
                "input_size": [3, self.size(), self.size()],
                "fixed_input_size": false,
                "interpolation": "bilinear",
                "crop_pct": 1.0,
                "crop_mode": "center",
                // As decimals, not as the nearest f32.
                "mean": MEAN.map(decimal),
                "std": STD.map(decimal),
                "num_classes": 0,
                "pool_size": [side, side],
                "first_conv": if self.arch.spec().deep { "conv1.0" } else { "conv1" },
                "classifier": "fc",
            },
        });
        if args.as_object().is_some_and(|args| !args.is_empty()) {
            config["model_args"] = args;
        }
        if let Some(license) = self.license {
            config["pretrained_cfg"]["license"] = license.into();
        }
        config
    }

    /// The model card.
    fn card(&self) -> String {
        let Self { checkpoint, arch, .. } = self;
        let (recipe, progress) = (&checkpoint.recipe, &checkpoint.progress);
        let mut card = String::from("---\nlibrary_name: timm\n");
        if let Some(license) = self.license {
            let _ = writeln!(card, "license: {license}");
        }
        card.push_str(
            "pipeline_tag: image-feature-extraction\ntags:\n- image-feature-extraction\n- timm\n- slotcon\n\
             - self-supervised-learning\n---\n\n",
        );
        let _ = write!(
            card,
            "# {arch}, pretrained without labels by SlotCon\n\n\
             The {} of a run of [slotcon]({}), an implementation of *Self-Supervised Visual \
             Representation Learning with Semantic Grouping* (NeurIPS 2022, [arXiv 2205.15288](https://arxiv.org/abs/2205.15288)).\n\n\
             | | |\n|---|---|\n\
             | backbone | {arch}, output stride {}, {} features |\n\
             | prototypes | {} |\n\
             | pictures | {}, crops of {} px |\n\
             | trained | {} of {} steps, {} pictures a step |\n",
            self.branch.name(),
            env!("CARGO_PKG_REPOSITORY"),
            self.stride.pixels(),
            arch.channels(),
            recipe.model.prototypes,
            progress.pictures,
            self.size(),
            progress.step,
            progress.total_steps,
            recipe.optim.batch,
        );
        for (name, value) in figures(checkpoint.path(), progress.step) {
            let _ = writeln!(card, "| {name} at the end | {value:.4} |");
        }
        let _ = write!(
            card,
            "\n## The backbone, in timm\n\n```python\nimport timm\n\n\
             model = timm.create_model(\"hf-hub:USER/NAME\", pretrained=True).eval()\n{}```\n\n\
             Pictures are RGB in [0, 1], normalised with ImageNet's mean and deviation (`timm.data.resolve_model_data_config`).\n\n\
             ## Masks, dense features and slots\n\n\
             `pip install slotcon`, then `slotcon.load(\"hf-hub:USER/NAME\")`: `{HEADS}` has projector and prototypes.\n",
            self.dilations(),
        );
        card
    }

    /// Python that gives timm's network the dilations of ours: timm leaves the first block of a dilated stage at the dilation
    /// before and pools its shortcut.
    fn dilations(&self) -> String {
        let spec = self.arch.spec();
        let conv = match spec.block {
            Block::Basic => "conv1",
            Block::Bottleneck => "conv2",
        };
        let mut lines = String::new();
        for (stage, (_, dilation)) in self.stride.stages().into_iter().enumerate() {
            if dilation == 1 {
                continue;
            }
            let block = format!("model.layer{}[0]", stage + 1);
            let _ = writeln!(
                lines,
                "{block}.{conv}.dilation = {block}.{conv}.padding = ({dilation}, {dilation})"
            );
            if spec.pooled_shortcut {
                let _ = writeln!(lines, "{block}.downsample[0] = torch.nn.Identity()");
            }
        }
        if lines.is_empty() {
            return lines;
        }
        let import = if spec.pooled_shortcut {
            "import torch\n\n"
        } else {
            ""
        };
        format!(
            "\n# It was trained with these dilations; timm's own differ in the first block.\n{import}{lines}"
        )
    }
}

/// timm's function for a backbone, and what it has to be told.
fn timm(arch: Arch) -> (String, Value) {
    let name = arch.name();
    match arch {
        Arch::ResNet10 => ("resnet18".into(), json!({"layers": arch.spec().blocks})),
        Arch::ResNet50S16 => ("resnet50".into(), json!({})),
        Arch::ResNeXt152 => ("resnext101_32x8d".into(), json!({"layers": arch.spec().blocks})),
        // Not every size of these has a function of its own.
        _ if arch.spec().deep && !arch.spec().pooled_shortcut => (
            name.trim_end_matches("_c").into(),
            json!({"stem_type": "deep", "stem_width": 32}),
        ),
        _ if arch.spec().deep => (name.replace("_d", "d"), json!({})),
        _ => (name.into(), json!({})),
    }
}

/// Figures of the logged step with this number, where the checkpoint lies in a run directory that has it.
fn figures(checkpoint: &Path, step: u64) -> Vec<(&'static str, f64)> {
    let run = checkpoint.parent().and_then(Path::parent);
    let lines = run.and_then(|run| fs::read_to_string(RunDirectory::at(run).metrics()).ok());
    let logged = lines.iter().flat_map(|text| text.lines().rev());
    let found = logged
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|logged| logged["step"] == step);
    let number = |key| Some((key, found.as_ref()?.get(key)?.as_f64()?));
    ["loss", "group_loss", "slot_loss"]
        .into_iter()
        .filter_map(number)
        .collect()
}

/// The shortest decimal of an f32.
fn decimal(value: f32) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or(Value::Null)
}

fn check_license(license: &str) -> Result<(), InteropError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !license.is_empty() && license.chars().all(plain) {
        return Ok(());
    }
    Err(InteropError::Export(format!(
        "'{license}' is no name of a licence as the Hub spells them: small letters, digits, - and ., as in apache-2.0"
    )))
}

fn text(path: &Path, text: &str) -> Result<(), InteropError> {
    let unwritable = |WriteError { path, source }| WeightsError::io(&path)(source);
    Ok(write_bytes(path, text.as_bytes()).map_err(unwritable)?)
}

/// What was left unsaid.
pub(super) fn notes(license: Option<&str>, report: &mut FitReport) {
    if license.is_none() {
        report
            .notes
            .push("the model card names no licence: --license does, as in --license apache-2.0".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_one_word() {
        assert!(check_license("cc-by-nc-4.0").is_ok());
        for odd in ["", "MIT", "mit\ntags: x", "mit # y"] {
            assert!(check_license(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn decimals_stay_short() {
        assert_eq!(decimal(0.485).to_string(), "0.485");
    }
}
