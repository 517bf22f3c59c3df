//! Whole training steps against the official implementation: every `step_*` case. A case of several ranks runs in as many processes, each of which repeats the one trial as its rank.

use std::error::Error;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon::method::group_loss::Temperatures;
use slotcon::method::teacher::momentum;
use slotcon::method::{Groups, ModelConfig, SlotCon, View};
use slotcon_golden::{self as golden, sym, unit, values};
use slotcon_nn::{Arch, OutputStride, Role};
use slotcon_torch::distributed::{Ranks, Reducer};
use slotcon_train::optim::{Algorithm, Optimizer, OptimizerConfig};
use slotcon_train::schedule::{Decay, LearningRate};
use tch::{Device, Kind, Tensor};

use crate::ranks;

#[derive(Debug, Clone, Deserialize)]
struct Case {
    arch: String,
    dim_hidden: i64,
    dim_out: i64,
    num_prototypes: i64,
    teacher_momentum: f64,
    teacher_temp: f64,
    student_temp: f64,
    center_momentum: f64,
    group_loss_weight: f64,
    batch_per_rank: i64,
    world_size: i64,
    image_size: i64,
    optimizer: String,
    base_lr: f64,
    momentum: f64,
    weight_decay: f64,
    epochs: u64,
    iters_per_epoch: u64,
    warmup_epochs: u64,
    warmup_multiplier: f64,
    steps: u64,
}

/// Every `step_*` case, in float64 and in float32.
pub fn trials(record: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let case: Case = serde_json::from_slice(&std::fs::read(&record.file)?)?;
    let mut trials = Vec::new();
    for (kind, suffix) in [(Kind::Double, "f64"), (Kind::Float, "f32")] {
        let (case, record) = (case.clone(), record.clone());
        let name = format!("{}::{suffix}", record.name());
        trials.push(Trial::test(name.clone(), move || {
            ranks::run(&name, case.world_size as usize, |ranks| {
                check(&case, &record, kind, ranks)
            })
        }));
    }
    Ok(trials)
}

/// The rule by which the fixtures fill weights (their README).
fn fill(model: &SlotCon) {
    let _guard = tch::no_grad_guard();
    for entry in model.store().entries() {
        if entry.role != Role::Parameter {
            continue;
        }
        let name = entry
            .name
            .replace("encoder_k", "encoder_q")
            .replace("projector_k", "projector_q");
        let name = name.replace("grouping_k", "grouping_q");
        let shape = entry.tensor.size();
        let count = shape.iter().product::<i64>() as u64;
        let fan_in: i64 = shape.iter().skip(1).product();
        let bound = (6.0 / fan_in as f64).sqrt();
        let filled: Vec<f64> = (0..count)
            .map(|i| match () {
                () if name.ends_with("slot_embed.weight") => sym(&name, i),
                () if shape.len() > 1 => bound * sym(&name, i),
                () if name.ends_with(".weight") => 1.0 + 0.1 * sym(&name, i),
                () => 0.1 * sym(&name, i),
            })
            .collect();
        entry
            .tensor
            .shallow_clone()
            .copy_(&Tensor::from_slice(&filled).reshape(shape));
    }
}

/// The samples of `rank`: it takes its own run of the total batch.
fn view(case: &Case, step: u64, view: usize, kind: Kind, rank: usize) -> View {
    let batch = case.batch_per_rank as u64;
    let first = batch * rank as u64;
    let samples = || first..first + batch;
    let size = case.image_size;
    let name = format!("step{step}.crop{view}");
    let picture = 3 * (size * size) as u64;
    let pixels: Vec<f64> = (first * picture..(first + batch) * picture)
        .map(|i| 2.0 * sym(&name, i))
        .collect();
    let coord = |sample: u64, i: u64| unit(&format!("step{step}.coord{view}"), 4 * sample + i);
    View {
        crops: slotcon_torch::channels_last(
            &Tensor::from_slice(&pixels)
                .reshape([batch as i64, 3, size, size])
                .to_kind(kind),
        ),
        coords: samples()
            .map(|s| {
                [
                    0.4 * coord(s, 0),
                    0.4 * coord(s, 1),
                    0.6 + 0.4 * coord(s, 2),
                    0.6 + 0.4 * coord(s, 3),
                ]
            })
            .collect(),
        flips: samples()
            .map(|s| unit(&format!("step{step}.flag{view}"), s) < 0.5)
            .collect(),
    }
}

/// What PyTorch's own float32 is off by on a case, from the file `NAME.f32.json` beside it: the largest relative difference from
/// float64 over several memory layouts, numbers of threads, convolutions, orders of the batch and widths of vectors (`benches/peers/step.py
/// --record-f32`).
#[derive(Debug, Clone, Copy, Deserialize)]
struct Float32Difference {
    losses: f64,
    gradient_norms: f64,
    gradient_values: f64,
}

impl Float32Difference {
    /// The record beside a case; `None` if there is none.
    fn read(record: &golden::Case) -> Result<Option<Self>, Failed> {
        #[derive(Deserialize)]
        struct File {
            largest_relative_difference: Float32Difference,
        }
        let path = record.with_ending("f32.json");
        if !path.is_file() {
            return Ok(None);
        }
        let file: File = serde_json::from_slice(&std::fs::read(&path)?)?;
        Ok(Some(file.largest_relative_difference))
    }
}

/// Relative differences that are allowed.
#[derive(Clone, Copy)]
struct Tolerance {
    /// Of losses, centre and norms.
    scalar: f64,
    /// Of gradient norms.
    norm: f64,
    /// Of single values; infinite: not compared.
    single: f64,
    /// Smaller values are compared as if they were as large as this: the gradient of a bias in front of a batch norm is
    /// zero but for rounding. In float32 single values are compared as if they were as large as the largest of the eight
    /// that are recorded.
    floor: f64,
}

impl Tolerance {
    const DOUBLE: Self = Self {
        scalar: 1e-7,
        norm: 1e-7,
        single: 1e-6,
        floor: 1e-9,
    };

    /// For a case on which PyTorch's float32 was not measured: what the deepest of the measured cases needs.
    const FLOAT_UNMEASURED: Self = Self {
        scalar: 1e-3,
        norm: 3e-2,
        single: f64::INFINITY,
        floor: 1e-2,
    };

    fn float(difference: Option<Float32Difference>) -> Self {
        difference.map_or(Self::FLOAT_UNMEASURED, |difference| Self {
            scalar: difference.losses,
            norm: difference.gradient_norms,
            single: difference.gradient_values,
            floor: 1e-2,
        })
    }
}

/// Collects every difference, so that one run shows them all.
struct Comparison<'a> {
    expected: SafeTensors<'a>,
    wrong: Vec<String>,
    worst: f64,
    compared: usize,
}

impl Comparison<'_> {
    /// The largest recorded magnitude, at least 1e-2.
    fn largest(&self, name: &str) -> f64 {
        let recorded = values(&self.expected, name).unwrap_or_default();
        recorded
            .into_iter()
            .fold(1e-2, |largest, value| largest.max(value.abs()))
    }

    fn check_value(&mut self, name: &str, got: f64, expected: f64) {
        if got != expected {
            self.wrong.push(format!("{name}: {got}, expected {expected}"));
        }
    }

    /// `floor`: below this magnitude the difference is taken relative to it.
    fn check(&mut self, name: &str, got: &Tensor, tolerance: f64, floor: f64) {
        let Some(expected) = values(&self.expected, name) else {
            self.wrong.push(format!("{name}: not recorded"));
            return;
        };
        let got = Vec::<f64>::try_from(got.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap();
        if got.len() < expected.len() {
            self.wrong.push(format!(
                "{name}: {} values, recorded {}",
                got.len(),
                expected.len()
            ));
            return;
        }
        for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
            let error = (g - e).abs() / e.abs().max(floor);
            self.worst = self.worst.max(error);
            self.compared += 1;
            if error.is_nan() || error > tolerance {
                self.wrong.push(format!(
                    "{name}[{i}]: {g:e}, recorded {e:e} (relative {error:.1e})"
                ));
            }
        }
    }
}

fn check(case: &Case, record: &golden::Case, kind: Kind, ranks: &Ranks) -> Result<(), Failed> {
    let rank = ranks.rank();
    let bytes = std::fs::read(match case.world_size {
        1 => record.with_ending("safetensors"),
        _ => record.with_ending(&format!("rank{rank}.safetensors")),
    })?;
    let expected = SafeTensors::deserialize(&bytes)?;
    let mut all = Comparison {
        expected,
        wrong: Vec::new(),
        worst: 0.0,
        compared: 0,
    };
    let precise = kind == Kind::Double;

    let Tolerance {
        scalar,
        norm,
        single,
        floor,
    } = if precise {
        Tolerance::DOUBLE
    } else {
        let difference = Float32Difference::read(record)?;
        if difference.is_none() {
            eprintln!(
                "{}: no {}.f32.json beside it, so float32 is held to a loose tolerance",
                record.name(),
                record.stem
            );
        }
        Tolerance::float(difference)
    };
    let arch: Arch = case.arch.parse()?;
    let config = ModelConfig {
        arch,
        output_stride: OutputStride::new(arch.spec().output_stride).unwrap(),
        dim_hidden: case.dim_hidden,
        dim_out: case.dim_out,
        prototypes: case.num_prototypes,
        temperatures: Temperatures {
            student: case.student_temp,
            teacher: case.teacher_temp,
        },
        center_momentum: case.center_momentum,
        group_loss_weight: case.group_loss_weight,
    };
    let mut model = SlotCon::across(config, Device::Cpu, kind, ranks);
    fill(&model);
    let algorithm = match case.optimizer.as_str() {
        "lars" => Algorithm::Lars { eta: 0.001 },
        "sgd" => Algorithm::Sgd,
        other => return Err(format!("unknown optimizer {other}").into()),
    };
    let config = OptimizerConfig {
        algorithm,
        momentum: case.momentum,
        weight_decay: case.weight_decay,
    };
    let mut optimizer = Optimizer::new(config, model.store(), Vec::new());
    let reducer = Reducer::new(ranks, optimizer.parameters(), true)?;
    let total = case.epochs * case.iters_per_epoch;
    let rate = LearningRate {
        peak: (case.batch_per_rank * case.world_size) as f64 / 256.0 * case.base_lr,
        warmup_multiplier: case.warmup_multiplier,
        warmup: case.warmup_epochs * case.iters_per_epoch,
        total,
        decay: Decay::Cosine { end: 1e-6 },
    };

    // float32 is compared on the first step: rounding then drives the two runs apart.
    for step in 0..if precise { case.steps } else { 1 } {
        let views = [0, 1].map(|v| view(case, step, v, kind, rank));
        model.move_teacher(momentum(case.teacher_momentum, step, total))?;
        let out = model.forward(&views, None)?;
        optimizer.zero_grad();
        reducer.backward(&out.losses.total, true)?;

        let at = |what: &str| format!("step{step}.{what}");
        all.check(&at("loss"), &out.losses.total, scalar, 0.0);
        for i in 0..2 {
            all.check(&at(&format!("group_loss{i}")), &out.losses.group[i], scalar, 0.0);
            all.check(&at(&format!("slot_loss{i}")), &out.losses.slot[i], scalar, 0.0);
        }
        if precise && step == 0 {
            for (i, groups) in out.student.iter().enumerate() {
                let Groups {
                    features,
                    scores,
                    slots,
                    grid,
                } = groups;
                all.check(
                    &at(&format!("grouping{i}.input")),
                    &map(features, *grid),
                    single,
                    floor,
                );
                all.check(&at(&format!("grouping{i}.slots")), slots, single, floor);
                all.check(
                    &at(&format!("grouping{i}.scores")),
                    &map(scores, *grid),
                    single,
                    floor,
                );
            }
            for (i, aligned) in out.aligned.iter().enumerate() {
                all.check(
                    &at(&format!("invaug{i}")),
                    &map(aligned, out.student[0].grid),
                    single,
                    floor,
                );
            }
        }
        for entry in model.store().entries() {
            let grad = entry.tensor.grad();
            if grad.defined() {
                all.check(
                    &at(&format!("grad_norm.{}", entry.name)),
                    &grad.norm(),
                    norm,
                    floor,
                );
                if single.is_finite() {
                    let floor = if precise {
                        floor
                    } else {
                        all.largest(&at(&format!("grad_head.{}", entry.name)))
                    };
                    all.check(
                        &at(&format!("grad_head.{}", entry.name)),
                        &head(&grad),
                        single,
                        floor,
                    );
                }
            }
        }
        let lr = rate.at(step);
        all.check(&at("lr"), &Tensor::from(lr), 1e-12, 0.0);
        let skipped = optimizer.step(lr, &out.losses.total, None)?;
        all.check_value("skipped", f64::try_from(skipped)?, 0.0);
        if precise {
            for entry in model.store().entries() {
                match entry.role {
                    Role::Counter => {}
                    _ if entry.name == "center" => all.check(&at("center"), &entry.tensor, scalar, floor),
                    _ => {
                        all.check(
                            &at(&format!("norm.{}", entry.name)),
                            &entry.tensor.norm(),
                            scalar,
                            floor,
                        );
                        all.check(
                            &at(&format!("head.{}", entry.name)),
                            &head(&entry.tensor),
                            single,
                            floor,
                        );
                    }
                }
            }
        }
    }
    println!(
        "{} {kind:?} {ranks:?}: {} values, largest relative difference {:.1e}",
        record.name(),
        all.compared,
        all.worst
    );
    if all.wrong.is_empty() {
        return Ok(());
    }
    let count = all.wrong.len();
    all.wrong.truncate(20);
    Err(format!(
        "{count} differences, the first of them:\n{}",
        all.wrong.join("\n")
    )
    .into())
}

/// `[B, h w, C]` as the official `[B, C, h, w]`.
fn map(rows: &Tensor, (h, w): (i64, i64)) -> Tensor {
    let (batch, _, channels) = rows.size3().unwrap();
    rows.transpose(1, 2).reshape([batch, channels, h, w])
}

/// The first eight values in PyTorch's order.
fn head(t: &Tensor) -> Tensor {
    let flat = t.contiguous().view([-1]);
    flat.narrow(0, 0, flat.size()[0].min(8))
}
