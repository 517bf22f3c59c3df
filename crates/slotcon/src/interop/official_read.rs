//! The official training checkpoint as one of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use slotcon_nn::Role;
use slotcon_train::checkpoint::{self, CheckpointError, LossScaleState, Progress};
use slotcon_train::optim::Optimizer;
use slotcon_train::{Error, RunDirectory, TaskRecipe, loss_scale};
use slotcon_weights::{FileFormat, FitReport, Found, WeightFile, WeightsError, fit};
use tch::{Device, Kind, Tensor};

use super::official_args::recipe;
use super::{FileKind, InteropError};
use crate::method::SlotCon;
use crate::recipe::Recipe;

/// An official checkpoint, brought into our model and optimizer.
#[derive(Debug)]
pub struct Imported {
    /// What was done with every tensor.
    pub report: FitReport,
    /// The official command line as a recipe.
    pub recipe: Recipe,
    /// How far the run got.
    pub progress: Progress,
    model: SlotCon,
    optimizer: Optimizer,
}

impl Imported {
    /// Reads `from`, a whole training checkpoint of the official implementation: weights of both networks, momentum, centre,
    /// schedule, loss scale. `settings` (`section.key=value`) change the recipe that its `args` make, e.g. its precision.
    ///
    /// # Errors
    /// Another kind of file, names or shapes that do not fit, or an `args` that makes no recipe.
    pub fn read(from: &Path, settings: &[String]) -> Result<Self, InteropError> {
        Self::of(&WeightFile::open(from)?, settings)
    }

    /// The same of a file that is open.
    ///
    /// # Errors
    /// As [`Imported::read`].
    pub fn of(file: &WeightFile, settings: &[String]) -> Result<Self, InteropError> {
        let from = &file.path;
        let kind = FileKind::of(file);
        if kind != FileKind::Official {
            return Err(WeightsError::format(
                from,
                format!(
                    "{}, not a training checkpoint of the official implementation (which has args, model and optimizer); a \
                     backbone alone is the start of a run: pretrain --init-backbone",
                    match kind {
                        FileKind::Checkpoint => "already a slotcon checkpoint",
                        FileKind::Other(FileFormat::Safetensors) => "plain safetensors",
                        _ => "some other file of torch.save or pickle",
                    }
                ),
            )
            .into());
        }
        let (recipe, mut notes) = recipe(file)?;
        let recipe = recipe.with(settings)?;
        let (progress, more) = progress(file, &recipe)?;
        notes.extend(more);

        let model = SlotCon::new(recipe.model_config()?, Device::Cpu, Kind::Float);
        let entries = model.store().entries();
        let found: Found = file
            .tensors
            .iter()
            .filter_map(|(name, tensor)| {
                let ours = name.strip_prefix("model.")?;
                // Put there by DistributedDataParallel.
                let ours = ours.strip_prefix("module.").unwrap_or(ours);
                Some((ours.to_owned(), (name.clone(), tensor.shallow_clone())))
            })
            .collect();
        let mut report = fit(from, &entries, "", &found)?;

        let parameters: Vec<(String, bool)> = entries
            .iter()
            .filter(|e| e.role == Role::Parameter)
            .map(|e| (e.name.clone(), e.tensor.requires_grad()))
            .collect();
        let optimizer = Optimizer::new(recipe.optim.config(), model.store(), Vec::new());
        momentum(file, &parameters, &optimizer, &mut report)?;
        report.notes = notes;
        Ok(Self {
            report,
            recipe,
            progress,
            model,
            optimizer,
        })
    }

    /// Writes our checkpoint to `path`, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, path: &Path) -> Result<(), InteropError> {
        Ok(self.write_checkpoint(path)?)
    }

    fn write_checkpoint(&self, path: &Path) -> Result<(), CheckpointError> {
        checkpoint::save(
            path,
            self.model.store(),
            &self.optimizer,
            &self.recipe,
            &self.progress,
        )
    }

    /// Makes `folder` a run directory that `pretrain --resume` goes on with. Returns its checkpoint.
    ///
    /// # Errors
    /// A run that is there already, or what the file system says.
    pub fn save_run(&self, folder: &Path) -> Result<PathBuf, Error> {
        let directory = RunDirectory::at(folder);
        if directory.holds_a_run() {
            return Err(Error::Exists(folder.into()));
        }
        directory.create()?;
        let step = self.progress.step;
        self.write_checkpoint(&directory.step(step))?;
        directory.publish(step, self.recipe.run.keep)?;
        directory.write_recipe(&self.recipe.to_toml()?)?;
        Ok(directory.last())
    }
}

/// Steps done and to do. The official program saves after an epoch and counts epochs from 1.
pub(super) fn progress(file: &WeightFile, recipe: &Recipe) -> Result<(Progress, Vec<String>), WeightsError> {
    let need = |name: &str| {
        file.count(name)
            .ok_or_else(|| WeightsError::format(&file.path, format!("it has no {name}, a whole number")))
    };
    let (epoch, pictures) = (need("epoch")?, need("args.num_instances")?);
    let batch = recipe.optim.batch as u64;
    let steps_per_epoch = pictures / batch;
    let impossible = |reason: String| Err(WeightsError::format(&file.path, reason));
    if steps_per_epoch == 0 {
        return impossible(format!(
            "args.num_instances = {pictures} is less than one batch of {batch}"
        ));
    }
    let mut notes = Vec::new();
    let epochs = recipe.run.epochs;
    let scheduled = match file.count("scheduler.warmup_epoch") {
        Some(warmup) => file
            .count("scheduler.after_scheduler.T_max")
            .and_then(|t| t.checked_add(warmup)),
        None => file.count("scheduler.T_max"),
    };
    let total_steps = (epochs * steps_per_epoch as f64).round() as u64;
    match scheduled {
        Some(total) if total == total_steps => {}
        // Its sampler rounds the part of each process up, which can make one more step an epoch.
        Some(total) if total.abs_diff(total_steps) as f64 <= epochs => notes.push(format!(
            "its schedule has {total} steps, here the run has {total_steps}: pictures are not repeated to fill up"
        )),
        Some(total) => {
            return impossible(format!(
                "its schedule has {total} steps, but {epochs} epochs of {pictures} pictures in batches of {batch} are \
                 {total_steps}"
            ));
        }
        None => return impossible("it has no scheduler.T_max or scheduler.after_scheduler.T_max".into()),
    }
    let Some(step) = epoch.checked_mul(steps_per_epoch).filter(|&s| s <= total_steps) else {
        return impossible(format!("epoch {epoch} is beyond the {epochs} of the run"));
    };
    match file.count("scheduler.last_epoch") {
        Some(counted) if counted == step || scheduled != Some(total_steps) => {}
        Some(counted) => notes.push(format!(
            "its scheduler has counted {counted} steps, {epoch} epochs are {step}: the epoch is taken"
        )),
        None => {}
    }
    let progress = Progress {
        step,
        total_steps,
        steps_per_epoch,
        pictures,
        loss_scale: if recipe.run.precision.half() == Some(Kind::Half) {
            LossScaleState {
                value: file.number("scaler.scale").unwrap_or(loss_scale::INITIAL),
                good_steps: file.count("scaler._growth_tracker").unwrap_or(0),
            }
        } else {
            LossScaleState::OFF
        },
        skipped: 0,
        bad_pictures: 0,
        best: None,
    };
    Ok((progress, notes))
}

/// Copies the momentum buffers. The optimizer knows its parameters by number only: their order is that of the state dict,
/// in which student and teacher both count.
fn momentum(
    file: &WeightFile,
    parameters: &[(String, bool)],
    optimizer: &Optimizer,
    report: &mut FitReport,
) -> Result<(), WeightsError> {
    let numbers: Vec<String> = group_parameters(file);
    let trained: Vec<&str> = parameters.iter().filter(|p| p.1).map(|p| p.0.as_str()).collect();
    let names: Vec<&str> = if numbers.len() == parameters.len() {
        parameters.iter().map(|p| p.0.as_str()).collect()
    } else if numbers.len() == trained.len() {
        trained
    } else {
        return Err(WeightsError::Mismatch {
            path: file.path.clone(),
            reason: format!(
                "its optimizer has {} parameters, the network has {} ({} of them trained)",
                numbers.len(),
                parameters.len(),
                trained.len()
            ),
        });
    };
    let saved: BTreeMap<&str, (&String, &Tensor)> = file
        .tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("optimizer.state.")?, (name, tensor))))
        .collect();
    let name_of: BTreeMap<&str, &str> = names
        .iter()
        .zip(&numbers)
        .map(|(name, number)| (*name, number.as_str()))
        .collect();
    let _guard = tch::no_grad_guard();
    let mut used = Vec::new();
    for (name, mut buffer) in optimizer.state() {
        let ours = format!("{}{name}", checkpoint::MOMENTUM);
        let found = name_of.get(name).and_then(|number| {
            ["mu", "momentum_buffer"]
                .iter()
                .find_map(|kind| saved.get(format!("{number}.{kind}").as_str()))
        });
        match found {
            Some((from, tensor)) if tensor.size() == buffer.size() => {
                buffer
                    .f_copy_(tensor)
                    .map_err(|e| WeightsError::format(&file.path, format!("{from}: {e}")))?;
                report.matched.push(((*from).clone(), ours, buffer.size()));
                used.push(from.as_str());
            }
            Some((from, tensor)) => {
                return Err(WeightsError::Mismatch {
                    path: file.path.clone(),
                    reason: format!(
                        "{from} has shape {:?}, the momentum of {name} has {:?}",
                        tensor.size(),
                        buffer.size()
                    ),
                });
            }
            None => report.missing.push((ours, buffer.size())),
        }
    }
    if used.is_empty() && file.count("epoch") != Some(0) {
        return Err(WeightsError::Mismatch {
            path: file.path.clone(),
            reason: "its optimizer has no momentum (optimizer.state.N.mu or .momentum_buffer), so a run could not go on from it"
                .into(),
        });
    }
    let rest = saved.values().filter(|(name, _)| !used.contains(&name.as_str()));
    report
        .unexpected
        .extend(rest.map(|(name, tensor)| ((*name).clone(), tensor.size())));
    Ok(())
}

/// Numbers of the optimizer's parameters, group after group.
fn group_parameters(file: &WeightFile) -> Vec<String> {
    let mut found = Vec::new();
    for group in 0.. {
        let before = found.len();
        for i in 0.. {
            let name = format!("optimizer.param_groups.{group}.params.{i}");
            match file.count(&name) {
                Some(number) => found.push(number.to_string()),
                None => break,
            }
        }
        if found.len() == before {
            break;
        }
    }
    found
}
