//! The step over two ranks, as real processes: both forms of the slot loss, and what is sent.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

#[path = "golden/ranks.rs"]
mod ranks;

use slotcon::method::slot_loss::{contrast_padded, contrast_selected};
use slotcon::method::{Groups, Mode};
use slotcon::traffic::StepTraffic;
use slotcon::{Pretraining, Recipe};
use slotcon_data::PairInfo;
use slotcon_nn::{BatchNormMode, Mlp, MlpConfig, Role, Store};
use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_train::feed::DeviceBatch;
use slotcon_train::task::Position;
use slotcon_train::{TaskRecipe, TrainingStep};
use tch::{Device, Kind, Tensor};

const MODE: Mode = Mode {
    batch_norm: BatchNormMode::Train,
    half: None,
};

/// Loss, gradients, and running statistics of one form of the slot loss.
fn contrast(padded: bool, student: &Groups, teacher: &Groups, ranks: &Ranks) -> Vec<(String, Tensor)> {
    tch::manual_seed(1);
    let store = Store::across(Device::Cpu, Kind::Double, ranks.clone());
    let config = MlpConfig {
        input: 6,
        hidden: 10,
        output: 6,
    };
    let predictor = Mlp::new(&store.root(), config);
    let form = if padded {
        contrast_padded
    } else {
        contrast_selected
    };
    let loss = form(student, teacher, &predictor, MODE, ranks).unwrap();
    let mut slots = student.slots.shallow_clone();
    slots.zero_grad();
    loss.backward();
    let mut all = vec![
        ("loss".to_owned(), loss.detach()),
        ("slots".to_owned(), slots.grad().copy()),
    ];
    for entry in store.entries() {
        let value = match entry.role {
            Role::Parameter => entry.tensor.grad(),
            Role::Buffer => entry.tensor,
            Role::Counter => continue,
        };
        // A form that has nothing to do leaves no gradient; the other one leaves zeros.
        let value = if value.defined() {
            value
        } else {
            Tensor::zeros([1], (Kind::Double, Device::Cpu))
        };
        all.push((entry.name, value.detach().copy()));
    }
    all
}

/// `kind` of what counts: 0: as it comes; 1: rank 1 has no positives; 2: none has any.
fn groups(rank: usize, kind: usize) -> [Groups; 2] {
    let (batch, prototypes, dim, grid) = (3i64, 7i64, 6i64, (3i64, 3i64));
    tch::manual_seed(100 + rank as i64);
    [0i64, 1].map(|of| {
        let positions = grid.0 * grid.1;
        let random = |shape: [i64; 3]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let scores = random([batch, positions, prototypes]);
        if kind == 2 || (kind == 1 && rank == 1) {
            // Every position of the student goes to group 0, of the teacher to group 1.
            let _ = scores.select(2, of).fill_(100.0);
        }
        Groups {
            features: random([batch, positions, dim]),
            scores: scores.shallow_clone(),
            slots: random([batch, prototypes, dim]).set_requires_grad(of == 0),
            grid,
        }
    })
}

#[test]
fn both_forms_of_the_slot_loss_are_one_over_ranks() {
    let name = "both_forms_of_the_slot_loss_are_one_over_ranks";
    ranks::run(name, 2, |ranks| {
        for kind in 0..3 {
            let [student, teacher] = groups(ranks.rank(), kind);
            let selected = contrast(false, &student, &teacher, ranks);
            let padded = contrast(true, &student, &teacher, ranks);
            for ((name, a), (_, b)) in selected.iter().zip(&padded) {
                let distance = f64::try_from((a - b).abs().max()).unwrap();
                let size = f64::try_from(a.abs().max()).unwrap();
                if distance.is_nan() || distance > 1e-9 * size.max(1.0) {
                    return Err(format!("{name}, case {kind}, {ranks:?}: {distance:e} of {size:e}").into());
                }
            }
            let loss = f64::try_from(&selected[0].1).unwrap();
            let none = kind == 2 || (kind == 1 && ranks.rank() == 1);
            assert_eq!(loss == 0.0, none, "case {kind}, {ranks:?}: loss {loss}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_sent_is_what_was_computed() {
    let name = "what_is_sent_is_what_was_computed";
    ranks::run(name, 2, |ranks| {
        for parts in [1usize, 2] {
            let mut recipe = Recipe::default();
            recipe.model.arch = "resnet18".into();
            (
                recipe.model.dim_hidden,
                recipe.model.dim_out,
                recipe.model.prototypes,
            ) = (24, 16, 6);
            (recipe.optim.batch, recipe.optim.accumulate) = (8, parts);
            recipe.data.augment.image_size = 96;
            let build = || Pretraining::build(&recipe, Device::Cpu, ranks);
            let mut training = TrainingStep::new(&recipe, ranks, None, build).unwrap();
            training.broadcast().unwrap();
            let batch = recipe.optim.per_rank_batch(2).unwrap();
            let before = Traffic::ALL.map(|kind| ranks.bytes(kind));
            let mut slots = 0;
            tch::manual_seed(7 + ranks.rank() as i64);
            let bytes = (batch * 96 * 96 * 3) as i64;
            let views = [0, 1].map(|_| Tensor::randint(256, [bytes], (Kind::Uint8, Device::Cpu)));
            let pair = PairInfo {
                coords: [[0.0, 0.0, 1.0, 1.0]; 2],
                flips: [false, true],
            };
            let given = DeviceBatch {
                pixels: views.into(),
                info: vec![pair; batch],
            };
            let position = Position {
                step: 0,
                total_steps: 10,
                steps_per_epoch: 10,
                samples: 80,
            };
            let output = training.run(&given, position, 0.1).unwrap();
            let batch = batch / parts;
            let after = Traffic::ALL.map(|kind| ranks.bytes(kind));
            let sent = |kind: Traffic| after[kind as usize] - before[kind as usize];
            let computed = StepTraffic::of(training.task.model(), batch, 9, parts, false);
            assert_eq!(sent(Traffic::Gradients), computed.gradients);
            assert_eq!(
                sent(Traffic::BatchNorm),
                computed.batch_norm_gathered + computed.batch_norm_reduced
            );
            assert_eq!(sent(Traffic::Center), computed.center);
            assert_eq!(sent(Traffic::Control), 4, "whether the step counts");
            assert_eq!(sent(Traffic::Metrics), 0);
            assert!(sent(Traffic::Slots) <= computed.slots && sent(Traffic::Slots) > 0);
            if parts == 1 {
                // On a CPU: as many rows as the rank with the most has.
                for teacher in &output.output.teacher {
                    let mut rows = teacher.active().sum(Kind::Float);
                    ranks.max_(&mut rows, Traffic::Metrics).unwrap();
                    slots += 16 + 16 * 4 * f64::try_from(rows).unwrap() as u64;
                }
                assert_eq!(sent(Traffic::Slots), slots);
            }
        }

        // The form of a GPU sends what does not depend on what counts.
        let [student, teacher] = groups(ranks.rank(), 0);
        let before = ranks.bytes(Traffic::Slots);
        contrast(true, &student, &teacher, ranks);
        assert_eq!(
            ranks.bytes(Traffic::Slots) - before,
            3 * 7 * (6 + 2) * 8,
            "in float64"
        );
        let before = ranks.bytes(Traffic::BatchNorm);
        contrast(true, &student, &teacher, ranks);
        assert_eq!(
            ranks.bytes(Traffic::BatchNorm) - before,
            2 * (2 * (2 * 10 + 1)) * 8,
            "two batch norms of ten channels, forward and backward"
        );
        Ok(())
    })
    .unwrap();
}

/// The rows of the table in docs/distributed.md: the published recipes, a rank's share of batch 512.
#[test]
fn the_documented_bytes_are_the_computed_ones() {
    let document = include_str!("../../../docs/distributed.md");
    for (recipe, name) in [("coco-r50-800ep", "COCO"), ("imagenet-r50-200ep", "ImageNet")] {
        let recipe = Recipe::load(recipe, &[]).unwrap();
        let model = slotcon::method::SlotCon::new(recipe.model_config().unwrap(), Device::Cpu, Kind::Float);
        for gpus in [8usize, 64, 512] {
            let batch = recipe.optim.per_rank_batch(gpus).unwrap();
            let put = StepTraffic::of(&model, batch, 49, 1, true);
            let mb = |bytes: f64| format!("{:.1}", bytes / 1e6);
            // Received by each rank: a ring all-reduce, an all-gather.
            let reduced = |put: u64| put as f64 * 2.0 * (gpus as f64 - 1.0) / gpus as f64;
            let gathered = |put: u64| put as f64 * (gpus as f64 - 1.0);
            let row = format!(
                "| {name} | {gpus} | {batch} | {} | {} | {} | {} |",
                mb(reduced(put.gradients)),
                mb(gathered(put.batch_norm_gathered) + reduced(put.batch_norm_reduced)),
                mb(gathered(put.slots)),
                mb(reduced(put.center) * 1e3),
            );
            assert!(document.contains(&row), "docs/distributed.md lacks\n{row}");
        }
    }
}
