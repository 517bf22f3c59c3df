//! Pieces of the training step that golden values do not reach: precision, steps that must be skipped, degenerate
//! batches.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::sync::Mutex;

use slotcon::method::group_loss::Temperatures;
use slotcon::method::slot_loss::{contrast_padded, contrast_selected};
use slotcon::method::{Groups, Mode, ModelConfig, SlotCon, Step, View};
use slotcon_nn::{Arch, BatchNormMode, Mlp, MlpConfig, OutputStride, Role, Store};
use slotcon_torch::distributed::Ranks;
use slotcon_train::optim::{Algorithm, Optimizer, OptimizerConfig};
use tch::{Device, Kind, Tensor};

/// libtorch's generator is one for all threads, and so for all tests.
static GENERATOR: Mutex<()> = Mutex::new(());

fn model(prototypes: i64) -> SlotCon {
    let _lock = GENERATOR.lock().unwrap();
    tch::manual_seed(3);
    let config = ModelConfig {
        arch: Arch::ResNet18,
        output_stride: OutputStride::new(32).unwrap(),
        dim_hidden: 32,
        dim_out: 16,
        prototypes,
        temperatures: Temperatures {
            student: 0.1,
            teacher: 0.07,
        },
        center_momentum: 0.9,
        group_loss_weight: 0.5,
    };
    SlotCon::new(config, Device::Cpu, Kind::Float)
}

fn views(batch: usize) -> [View; 2] {
    let _lock = GENERATOR.lock().unwrap();
    tch::manual_seed(4);
    [0, 1].map(|i| View {
        crops: slotcon_torch::channels_last(&Tensor::randn(
            [batch as i64, 3, 64, 64],
            (Kind::Float, Device::Cpu),
        )),
        coords: vec![[0.1, 0.0, 0.9, 0.8]; batch],
        flips: vec![i == 1; batch],
    })
}

fn optimizer(model: &SlotCon, algorithm: Algorithm) -> Optimizer {
    Optimizer::new(
        OptimizerConfig {
            algorithm,
            momentum: 0.9,
            weight_decay: 1e-2,
        },
        model.store(),
        Vec::new(),
    )
}

/// The teacher's move and the forward pass of a step.
fn forward(
    model: &mut SlotCon,
    views: &[View; 2],
    momentum: f64,
    half: Option<Kind>,
) -> Result<Step, slotcon_torch::Error> {
    model.move_teacher(momentum)?;
    model.forward(views, half)
}

fn parameters(model: &SlotCon) -> Vec<(String, Tensor)> {
    let entries = model
        .store()
        .entries()
        .into_iter()
        .filter(|e| e.role == Role::Parameter);
    entries.map(|e| (e.name, e.tensor.detach().copy())).collect()
}

fn same(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> bool {
    a.iter().zip(b).all(|((_, a), (_, b))| a.equal(b))
}

#[test]
fn half_precision_gives_nearly_the_same_losses_and_gradients() {
    let mut full = model(8);
    let exact = forward(&mut full, &views(4), 0.99, None).unwrap().losses;
    exact.total.backward();
    for half in [Kind::BFloat16, Kind::Half] {
        let mut rounded = model(8);
        let losses = forward(&mut rounded, &views(4), 0.99, Some(half)).unwrap().losses;
        assert_eq!(losses.total.kind(), Kind::Float);
        losses.total.backward();
        let (a, b) = (losses.total.double_value(&[]), exact.total.double_value(&[]));
        assert!((a / b - 1.0).abs() < 0.02, "{half:?}: loss {a}, in f32 {b}");
        assert!(a != b, "{half:?} was not used");
        let (mut distance, mut length) = (0.0, 0.0);
        for (r, f) in rounded.store().entries().iter().zip(full.store().entries()) {
            let (r, f) = (r.tensor.grad(), f.tensor.grad());
            assert_eq!(r.defined(), f.defined());
            if r.defined() {
                assert_eq!(r.kind(), Kind::Float);
                distance += (r - &f).square().sum(Kind::Double).double_value(&[]);
                length += f.square().sum(Kind::Double).double_value(&[]);
            }
        }
        let relative = (distance / length).sqrt();
        println!("{half:?}: gradients differ by {relative:.1e} of their length");
        // 8 and 11 significant bits, through some twenty layers and their batch statistics over few pictures.
        let allowed = if half == Kind::BFloat16 { 0.3 } else { 0.1 };
        assert!(relative > 0.0 && relative < allowed, "{half:?}: {relative}");
    }
}

#[test]
fn a_step_with_a_gradient_that_is_not_finite_changes_nothing() {
    for algorithm in [Algorithm::Lars { eta: 0.001 }, Algorithm::Sgd] {
        let mut model = model(8);
        let mut optimizer = optimizer(&model, algorithm);
        let mut step = |model: &mut SlotCon, spoil: Option<f64>| {
            let losses = forward(model, &views(4), 1.0, None).unwrap().losses;
            optimizer.zero_grad();
            losses.total.backward();
            if let Some(value) = spoil {
                let entries = model.store().entries();
                let conv = entries
                    .iter()
                    .find(|e| e.name == "encoder_q.layer1.0.conv1.weight")
                    .unwrap();
                let _ = conv.tensor.grad().narrow(0, 5, 1).fill_(value);
            }
            let skipped = optimizer.step(0.1, &losses.total, None).unwrap();
            let momenta: Vec<(String, Tensor)> = optimizer
                .state()
                .map(|(name, t)| (name.to_owned(), t.copy()))
                .collect();
            (skipped.double_value(&[]), momenta)
        };
        let (_, momenta) = step(&mut model, None);
        for spoil in [f64::NAN, f64::INFINITY] {
            let before = parameters(&model);
            let (skipped, after) = step(&mut model, Some(spoil));
            assert_eq!(skipped, 1.0);
            assert!(
                same(&before, &parameters(&model)),
                "{algorithm:?}: parameters moved"
            );
            assert!(same(&momenta, &after), "{algorithm:?}: momenta moved");
        }
        let before = parameters(&model);
        let (skipped, _) = step(&mut model, None);
        assert_eq!(skipped, 0.0);
        assert!(
            !same(&before, &parameters(&model)),
            "{algorithm:?}: a good step moves the parameters"
        );
    }
}

#[test]
fn a_loss_scale_does_not_change_the_step() {
    let run = |scale: f64| {
        let mut model = model(8);
        let mut optimizer = optimizer(&model, Algorithm::Sgd);
        let losses = forward(&mut model, &views(4), 1.0, None).unwrap().losses;
        (&losses.total * scale).backward();
        let inverse = Tensor::from(1.0 / scale as f32);
        drop(optimizer.step(0.1, &losses.total, Some(&inverse)).unwrap());
        parameters(&model)
    };
    for ((name, a), (_, b)) in run(1.0).iter().zip(run(1024.0)) {
        let difference = (a - b).abs().max().double_value(&[]);
        assert!(difference <= 1e-5, "{name}: {difference}");
    }
}

#[test]
fn a_batch_without_common_slots_has_a_loss_and_a_gradient() {
    // One prototype far more alike to everything in the teacher than in the student: no slot counts in both.
    let mut model = model(2);
    {
        let _guard = tch::no_grad_guard();
        for entry in model.store().entries() {
            if entry.name.ends_with("slot_embed.weight") {
                let sign = if entry.name.starts_with("grouping_q") {
                    1.0
                } else {
                    -1.0
                };
                let row = Tensor::ones([16], (Kind::Float, Device::Cpu)) * sign;
                entry
                    .tensor
                    .shallow_clone()
                    .copy_(&Tensor::stack(&[&row, &(-&row)], 0));
            }
            if entry.name.ends_with("mlp.6.bias") && entry.name.starts_with("projector") {
                let _ = entry.tensor.shallow_clone().fill_(5.0);
            }
        }
    }
    let step = forward(&mut model, &views(4), 1.0, None).unwrap();
    assert_eq!(step.losses.slot[0].double_value(&[]), 0.0);
    step.losses.total.backward();
    let total = step.losses.total.double_value(&[]);
    assert!(total.is_finite(), "loss {total}");
}

#[test]
fn the_teacher_gets_no_gradient_and_follows_the_student() {
    let mut model = model(8);
    let step = forward(&mut model, &views(4), 0.5, None).unwrap();
    step.losses.total.backward();
    for entry in model.store().entries() {
        if entry.name.contains("_k.") && entry.role == Role::Parameter {
            assert!(
                !entry.tensor.requires_grad() && !entry.tensor.grad().defined(),
                "{}",
                entry.name
            );
        }
    }
    let mut optimizer = optimizer(&model, Algorithm::Sgd);
    drop(optimizer.step(0.1, &step.losses.total, None).unwrap());
    let before = parameters(&model);
    forward(&mut model, &views(4), 0.75, None).unwrap();
    let find = |list: &[(String, Tensor)], name: &str| list.iter().find(|(n, _)| n == name).unwrap().1.copy();
    let after = parameters(&model);
    let (q, k) = ("projector_q.mlp.0.weight", "projector_k.mlp.0.weight");
    let expected = find(&before, k) * 0.75 + find(&before, q) * 0.25;
    let difference = (find(&after, k) - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-7, "{difference}");
    assert!(
        !find(&before, k).equal(&find(&before, q)),
        "the student did not move"
    );
}

#[test]
fn the_padded_slot_loss_equals_the_selected_one() {
    for (prototypes, grid) in [(8i64, (3i64, 3i64)), (20, (3, 3)), (5, (7, 7))] {
        let n = grid.0 * grid.1;
        let store = Store::new(Device::Cpu, Kind::Double);
        let (batch, dim) = (4i64, 16i64);
        let lock = GENERATOR.lock().unwrap();
        tch::manual_seed(5);
        let random = |shape: [i64; 3]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let groups = |slots: Tensor| Groups {
            features: random([batch, n, dim]),
            scores: random([batch, n, prototypes]),
            slots,
            grid,
        };
        let slots = random([batch, prototypes, dim]);
        let student = groups(slots.copy().set_requires_grad(true));
        let teacher = groups(random([batch, prototypes, dim]));
        let config = MlpConfig {
            input: dim,
            hidden: 12,
            output: dim,
        };
        let predictor = Mlp::new(&store.root(), config);
        drop(lock);
        let run = |padded: bool| {
            let _guard = tch::no_grad_guard();
            for entry in store.entries().iter().filter(|e| e.role == Role::Buffer) {
                let _ = entry
                    .tensor
                    .shallow_clone()
                    .fill_(if entry.name.ends_with("var") { 1.0 } else { 0.0 });
            }
            drop(_guard);
            let mode = Mode {
                batch_norm: BatchNormMode::Train,
                half: None,
            };
            let form = if padded {
                contrast_padded
            } else {
                contrast_selected
            };
            let loss = form(&student, &teacher, &predictor, mode, &Ranks::alone()).unwrap();
            student.slots.shallow_clone().zero_grad();
            store.entries().into_iter().for_each(|mut e| {
                if e.role == Role::Parameter {
                    e.tensor.zero_grad()
                }
            });
            loss.backward();
            let mut all = vec![
                ("loss".to_owned(), loss.detach()),
                ("slots".into(), student.slots.grad().copy()),
            ];
            for entry in store.entries() {
                match entry.role {
                    Role::Parameter => all.push((entry.name, entry.tensor.grad().copy())),
                    Role::Buffer => all.push((entry.name, entry.tensor.copy())),
                    Role::Counter => {}
                }
            }
            all
        };
        for ((name, a), (_, b)) in run(false).iter().zip(run(true)) {
            // The gradient of a bias in front of a batch norm is rounding alone.
            let scale = a.abs().max().double_value(&[]).max(1e-3);
            let difference = (a - b).abs().max().double_value(&[]) / scale;
            assert!(
                difference < 1e-10,
                "K {prototypes}, grid {grid:?}, {name}: {difference:e}"
            );
        }
    }
}
