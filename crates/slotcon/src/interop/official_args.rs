//! The official command line (its `args`) as a recipe.

use slotcon_data::Layout;

use slotcon_train::TaskRecipe;
use slotcon_train::recipe::{OptimizerName, Precision};
use slotcon_weights::{Value, WeightFile, WeightsError};

use super::InteropError;
use crate::recipe::Recipe;

/// The recipe, and notes on what `args` does not say.
pub(super) fn recipe(file: &WeightFile) -> Result<(Recipe, Vec<String>), InteropError> {
    let mut args = Arguments {
        file,
        notes: Vec::new(),
    };
    let mut recipe = Recipe::default();
    recipe.model.arch = args.need_text("arch")?.to_owned();
    let model = &mut recipe.model;
    model.dim_hidden = args.need_count("dim_hidden")?;
    model.dim_out = args.need_count("dim_out")?;
    model.prototypes = args.need_count("num_prototypes")?;
    args.number("teacher_momentum", &mut model.teacher_momentum);
    args.number("teacher_temp", &mut model.teacher_temp);
    args.number("student_temp", &mut model.student_temp);
    args.number("center_momentum", &mut model.center_momentum);
    args.number("group_loss_weight", &mut model.group_loss_weight);

    let data = &mut recipe.data;
    data.layout = match file.text("args.dataset") {
        Some("COCO") => Layout::Coco,
        Some("COCOplus") => Layout::CocoPlus,
        Some("ImageNet") => Layout::ImageNet,
        other => {
            let said = other.unwrap_or("(absent)");
            let note = format!("args.dataset is {said}: data.layout is folder");
            args.notes.push(note);
            Layout::Folder
        }
    };
    if let Some(size) = file.count("args.image_size").and_then(|n| u32::try_from(n).ok()) {
        data.augment.image_size = size;
    }
    args.number("min_scale", &mut data.augment.min_scale);

    let optim = &mut recipe.optim;
    optim.optimizer = match args.need_text("optimizer")? {
        "lars" => OptimizerName::Lars,
        "sgd" => OptimizerName::Sgd,
        other => {
            return Err(WeightsError::format(
                &file.path,
                format!("args.optimizer is {other}; lars and sgd are known"),
            )
            .into());
        }
    };
    // What is saved is the batch of one process: the official program divides it when it starts.
    let processes = file.count("args.world_size").unwrap_or(1).max(1);
    let batch = u64::try_from(args.need_count("batch_size")?).unwrap_or_default();
    optim.batch = batch
        .checked_mul(processes)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n > 0)
        .ok_or_else(|| {
            WeightsError::format(
                &file.path,
                format!("args.batch_size is {batch}, of {processes} processes"),
            )
        })?;
    args.number("base_lr", &mut optim.base_lr);
    args.number("warmup_epoch", &mut optim.warmup_epochs);
    args.number("warmup_multiplier", &mut optim.warmup_multiplier);
    // What the optimizer worked with counts more than what was asked for.
    for (key, target) in [
        ("momentum", &mut optim.momentum),
        ("weight_decay", &mut optim.weight_decay),
    ] {
        match file.number(&format!("optimizer.param_groups.0.{key}")) {
            Some(value) => *target = value,
            None => args.number(key, target),
        }
    }
    if let Some(eta) = file.number("optimizer.param_groups.0.eta") {
        optim.trust = eta;
    }

    let run = &mut recipe.run;
    run.epochs = args.need_count("epochs")? as f64;
    run.seed = file.count("args.seed").unwrap_or(run.seed);
    run.precision = match file.values.get("args.fp16") {
        Some(Value::Bool(true)) => Precision::F16,
        _ => Precision::F32,
    };
    recipe.check()?;
    Ok((recipe, args.notes))
}

struct Arguments<'a> {
    file: &'a WeightFile,
    notes: Vec<String>,
}

impl<'a> Arguments<'a> {
    /// A number that has a default here as there.
    fn number(&mut self, name: &str, target: &mut f64) {
        match self.file.number(&format!("args.{name}")) {
            Some(value) => *target = value,
            None => self
                .notes
                .push(format!("args has no {name}: the default {target} is taken")),
        }
    }

    fn need_text(&self, name: &str) -> Result<&'a str, WeightsError> {
        let found = self.file.text(&format!("args.{name}"));
        found.ok_or_else(|| WeightsError::format(&self.file.path, format!("args has no {name}, a text")))
    }

    fn need_count(&self, name: &str) -> Result<i64, WeightsError> {
        let found = self.file.count(&format!("args.{name}"));
        found.and_then(|n| i64::try_from(n).ok()).ok_or_else(|| {
            WeightsError::format(&self.file.path, format!("args has no {name}, a whole number"))
        })
    }
}
