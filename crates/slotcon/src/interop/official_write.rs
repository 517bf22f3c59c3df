//! A training checkpoint of the official layout, from which the official code goes on.

use slotcon_data::{AugmentConfig, Layout};
use slotcon_nn::Role;
use slotcon_train::loss_scale;
use slotcon_train::optim::Optimizer;
use slotcon_train::recipe::{OptimizerName, Precision, ScheduleName};
use slotcon_train::schedule::LearningRate;
use slotcon_weights::pickle::Py;
use tch::Tensor;

use super::InteropError;
use crate::Checkpoint;
use crate::method::SlotCon;

/// The whole file, and what it cannot say.
pub(super) fn checkpoint(
    checkpoint: &Checkpoint,
    model: &SlotCon,
    tensors: Vec<(String, Tensor)>,
) -> Result<(Py, Vec<String>), InteropError> {
    let (recipe, progress) = (&checkpoint.recipe, &checkpoint.progress);
    let mut notes = Vec::new();
    let epoch = progress.step / progress.steps_per_epoch.max(1);
    if !progress.step.is_multiple_of(progress.steps_per_epoch.max(1)) {
        notes.push(format!(
            "step {} is inside an epoch; the official code goes on from the beginning of epoch {}",
            progress.step,
            epoch + 1
        ));
    }
    if recipe.run.epochs.fract() != 0.0 || recipe.optim.warmup_epochs.fract() != 0.0 {
        notes.push("epochs with fractions are rounded: the official code has whole ones".into());
    }
    let (own, given) = (recipe.arch()?.spec().output_stride, recipe.model.output_stride);
    if given != 0 && given != own {
        notes.push(format!(
            "the run has output stride {given}, the official {} has {own}: the weights fit, its grid is another",
            recipe.model.arch
        ));
    }
    let augment = &recipe.data.augment;
    let papers = AugmentConfig {
        image_size: augment.image_size,
        min_scale: augment.min_scale,
        max_pixels: augment.max_pixels,
        ..AugmentConfig::default()
    };
    if *augment != papers {
        notes.push(
            "the run crops or colours pictures otherwise than the paper: the official code knows only the paper's augmentation and would go on \
             with that"
                .into(),
        );
    }
    if recipe.optim.schedule != ScheduleName::Cosine {
        return Err(InteropError::Export(format!(
            "{}: its learning rate does not follow a cosine (optim.schedule), which is the only schedule of the official code",
            checkpoint.path().display()
        )));
    }
    let rate = recipe
        .optim
        .learning_rate(progress.steps_per_epoch, progress.total_steps);
    let peak = rate.peak;
    let lr = rate.at(progress.step);
    let value = Py::dict([
        ("args", arguments(checkpoint, epoch)),
        ("model", Py::Ordered(tensors)),
        ("optimizer", optimizer(checkpoint, model, lr, peak)?),
        (
            "scheduler",
            scheduler(progress.step, &rate, recipe.optim.final_lr, lr),
        ),
        ("epoch", Py::Int(epoch as i64)),
    ]);
    let mut value = match value {
        Py::Dict(items) => items,
        _ => Vec::new(),
    };
    if recipe.run.precision == Precision::F16 {
        let scale = progress.loss_scale;
        value.push((
            Py::Text("scaler".into()),
            Py::dict([
                ("scale", Py::Float(scale.value)),
                ("growth_factor", Py::Float(loss_scale::GROWTH)),
                ("backoff_factor", Py::Float(loss_scale::BACKOFF)),
                ("growth_interval", Py::Int(loss_scale::INTERVAL)),
                ("_growth_tracker", Py::Int(scale.good_steps as i64)),
            ]),
        ));
    }
    Ok((Py::Dict(value), notes))
}

/// The official command line that this run is.
fn arguments(checkpoint: &Checkpoint, epoch: u64) -> Py {
    let (recipe, progress) = (&checkpoint.recipe, &checkpoint.progress);
    let (data, model, optim, run) = (&recipe.data, &recipe.model, &recipe.optim, &recipe.run);
    let dataset = match data.layout {
        Layout::CocoPlus => "COCOplus",
        Layout::ImageNet => "ImageNet",
        Layout::Coco | Layout::Folder => "COCO",
    };
    let optimizer = match optim.optimizer {
        OptimizerName::Lars => "lars",
        OptimizerName::Sgd => "sgd",
    };
    let text = |t: &str| Py::Text(t.into());
    let rounded = |x: f64| Py::Int(x.round() as i64);
    Py::Namespace(vec![
        ("dataset", text(dataset)),
        ("data_dir", text("./data")),
        ("image_size", Py::Int(i64::from(data.augment.image_size))),
        ("min_scale", Py::Float(data.augment.min_scale)),
        ("arch", text(&model.arch)),
        ("dim_hidden", Py::Int(model.dim_hidden)),
        ("dim_out", Py::Int(model.dim_out)),
        ("num_prototypes", Py::Int(model.prototypes)),
        ("teacher_momentum", Py::Float(model.teacher_momentum)),
        ("teacher_temp", Py::Float(model.teacher_temp)),
        ("student_temp", Py::Float(model.student_temp)),
        ("center_momentum", Py::Float(model.center_momentum)),
        ("group_loss_weight", Py::Float(model.group_loss_weight)),
        // Of one process, of which there is one.
        ("batch_size", Py::Int(optim.batch as i64)),
        ("world_size", Py::Int(1)),
        ("num_instances", Py::Int(progress.pictures as i64)),
        ("base_lr", Py::Float(optim.base_lr)),
        ("optimizer", text(optimizer)),
        ("warmup_epoch", rounded(optim.warmup_epochs)),
        ("warmup_multiplier", rounded(optim.warmup_multiplier)),
        ("weight_decay", Py::Float(optim.weight_decay)),
        ("momentum", Py::Float(optim.momentum)),
        ("fp16", Py::Bool(run.precision == Precision::F16)),
        ("start_epoch", Py::Int(epoch as i64 + 1)),
        ("epochs", rounded(run.epochs)),
        ("seed", Py::Int(run.seed as i64)),
    ])
}

/// Momentum buffers by the number of their parameter: student and teacher both count, only the student has any.
fn optimizer(checkpoint: &Checkpoint, model: &SlotCon, lr: f64, peak: f64) -> Result<Py, InteropError> {
    let optim = &checkpoint.recipe.optim;
    let optimizer = Optimizer::new(optim.config(), model.store(), Vec::new());
    checkpoint.load_optimizer(&optimizer)?;
    let lars = optim.optimizer == OptimizerName::Lars;
    let buffer = if lars { "mu" } else { "momentum_buffer" };
    let entries = model.store().entries();
    let parameters: Vec<&str> = entries
        .iter()
        .filter(|e| e.role == Role::Parameter)
        .map(|e| e.name.as_str())
        .collect();
    let state = optimizer.state().filter_map(|(name, momentum)| {
        let number = parameters.iter().position(|p| *p == name)?;
        Some((Py::Int(number as i64), Py::dict([(buffer, Py::Tensor(momentum))])))
    });
    let mut group = vec![
        ("lr", Py::Float(lr)),
        ("weight_decay", Py::Float(optim.weight_decay)),
        ("momentum", Py::Float(optim.momentum)),
    ];
    if lars {
        group.extend([
            ("eta", Py::Float(optim.trust)),
            ("weight_decay_filter", Py::None),
            ("lars_adaptation_filter", Py::None),
        ]);
    } else {
        group.extend([
            ("dampening", Py::Int(0)),
            ("nesterov", Py::Bool(false)),
            ("maximize", Py::Bool(false)),
            ("foreach", Py::None),
            ("differentiable", Py::Bool(false)),
            ("fused", Py::None),
        ]);
    }
    let numbers = (0..parameters.len() as i64).map(Py::Int).collect();
    group.extend([("initial_lr", Py::Float(peak)), ("params", Py::List(numbers))]);
    let group = group
        .into_iter()
        .map(|(key, value)| (Py::Text(key.into()), value))
        .collect();
    Ok(Py::dict([
        ("state", Py::Dict(state.collect())),
        ("param_groups", Py::List(vec![Py::Dict(group)])),
    ]))
}

/// Warm-up, then cosine, both counted in steps.
fn scheduler(step: u64, rate: &LearningRate, final_lr: f64, lr: f64) -> Py {
    let list = |x: f64| Py::List(vec![Py::Float(x)]);
    let int = |n: u64| Py::Int(n as i64);
    let after = step.saturating_sub(rate.warmup);
    let cosine = [
        ("T_max", int(rate.total - rate.warmup.min(rate.total))),
        ("eta_min", Py::Float(final_lr)),
        ("base_lrs", list(rate.peak)),
        ("last_epoch", int(after)),
        ("_step_count", int(after + 1)),
        ("_get_lr_called_within_step", Py::Bool(false)),
        ("_last_lr", list(if after > 0 { lr } else { rate.peak })),
    ];
    if rate.warmup == 0 {
        return Py::dict(cosine);
    }
    Py::dict([
        ("multiplier", Py::Float(rate.warmup_multiplier)),
        ("warmup_epoch", int(rate.warmup)),
        ("finished", Py::Bool(false)),
        ("base_lrs", list(rate.peak)),
        ("last_epoch", int(step)),
        ("_step_count", int(step + 1)),
        ("_get_lr_called_within_step", Py::Bool(false)),
        ("_last_lr", list(lr)),
        ("after_scheduler", Py::dict(cosine)),
    ])
}
