//! Optimizer steps: against numbers computed by hand, and our kernels against libtorch's operations.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod numbers;

use slotcon_torch::multi_tensor::{OptimizerStep, Rule, TensorGroup};
use slotcon_torch::{Backend, channels_last};
use tch::{Device, Kind, Tensor};

use numbers::numbers;

const SGD: Rule = Rule {
    lars: None,
    lr: 0.1,
    momentum: 0.5,
    weight_decay: 0.2,
};
const LARS: Rule = Rule {
    lars: Some(0.01),
    ..SGD
};

fn found(kind: Kind) -> Tensor {
    Tensor::zeros([0i64; 0], (kind, Device::Cpu))
}

fn group(rule: Rule, parameter: &Tensor, gradient: &Tensor) -> TensorGroup {
    let mut group = TensorGroup::new(rule);
    group.push(parameter, gradient.shallow_clone(), &parameter.zeros_like());
    group
}

/// Takes a step; whether it was skipped.
fn step(backend: Backend, groups: &[TensorGroup], loss: f64, inverse_scale: Option<f64>) -> bool {
    let mut found = found(Kind::Float);
    let scale = inverse_scale.map(|scale| Tensor::from(scale as f32));
    let step =
        OptimizerStep::inspect_by(backend, groups, &Tensor::from(loss), scale.as_ref(), &mut found).unwrap();
    step.take(&found).unwrap();
    f64::try_from(found).unwrap() != 0.0
}

#[track_caller]
fn assert_near(got: &Tensor, expected: &[f64]) {
    let difference = got.flatten(0, -1) - Tensor::from_slice(expected);
    assert!(
        difference.abs().max().double_value(&[]) < 1e-12,
        "{got:?}: {}",
        got.to_string(20).unwrap()
    );
}

#[test]
fn sgd_moves_every_group_by_its_own_rate_and_decay() {
    for backend in [Backend::Fastest, Backend::Operations] {
        let own = Rule {
            lr: 0.01,
            weight_decay: 0.0,
            ..SGD
        };
        let (a, b) = (Tensor::from_slice(&[1.0, 2.0]), Tensor::from_slice(&[1.0, 2.0]));
        let gradient = Tensor::from_slice(&[10.0, 20.0]);
        let groups = [group(SGD, &a, &gradient), group(own, &b, &gradient)];
        assert!(!step(backend, &groups, 1.0, None));
        // 10 + 0.2 * 1 = 10.2; 1 - 0.1 * 10.2. And without decay, a tenth of the rate.
        assert_near(&groups[0].momenta[0], &[10.2, 20.4]);
        assert_near(&a, &[-0.02, -0.04]);
        assert_near(&b, &[0.9, 1.8]);
        // The second step: 0.5 * 10.2 + 10 + 0.2 * -0.02 = 15.096.
        step(backend, &groups, 1.0, None);
        assert_near(&groups[0].momenta[0], &[15.096, 30.192]);
        assert_near(&a, &[-1.5296, -3.0592]);
        assert_near(&b, &[0.75, 1.5]);
    }
}

#[test]
fn an_update_of_lars_has_a_length_that_belongs_to_its_weights() {
    for backend in [Backend::Fastest, Backend::Operations] {
        let weight = Tensor::from_slice(&[3.0, 4.0]).reshape([1, 2]);
        let bias = Tensor::from_slice(&[3.0, 4.0]);
        let nothing = Tensor::zeros([1, 2], (Kind::Double, Device::Cpu));
        let gradient = Tensor::from_slice(&[0.3, 0.4]);
        let mut groups = [TensorGroup::new(LARS)];
        for parameter in [&weight, &bias, &nothing] {
            groups[0].push(
                parameter,
                gradient.view_as(parameter).copy(),
                &parameter.zeros_like(),
            );
        }
        assert!(!step(backend, &groups, 1.0, None));
        // Update 0.3 + 0.2 * 3 = 0.9 and 1.2, of length 1.5; weights of length 5: times 0.01 * 5 / 1.5.
        assert_near(&groups[0].momenta[0], &[0.03, 0.04]);
        assert_near(&weight, &[3.0 - 0.003, 4.0 - 0.004]);
        // One dimension: the gradient as it is. Weights of length zero: neither.
        assert_near(&bias, &[3.0 - 0.03, 4.0 - 0.04]);
        assert_near(&nothing, &[-0.03, -0.04]);
    }
}

#[test]
fn a_loss_scale_is_undone() {
    for (backend, rule) in [
        (Backend::Fastest, SGD),
        (Backend::Operations, SGD),
        (Backend::Fastest, LARS),
        (Backend::Operations, LARS),
    ] {
        let moved = |factor: f64, inverse_scale| {
            let weight = numbers(&[3, 5], 1, Kind::Double);
            let gradient = numbers(&[3, 5], 2, Kind::Double) * factor;
            step(backend, &[group(rule, &weight, &gradient)], 1.0, inverse_scale);
            weight
        };
        let difference = (moved(1.0, None) - moved(1024.0, Some(1.0 / 1024.0))).abs().max();
        assert!(difference.double_value(&[]) < 1e-14, "{backend:?} {rule:?}");
    }
}

#[test]
fn what_is_not_finite_anywhere_stops_every_group() {
    for (backend, rule) in [
        (Backend::Fastest, SGD),
        (Backend::Operations, SGD),
        (Backend::Fastest, LARS),
        (Backend::Operations, LARS),
    ] {
        for (bad, loss) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (1.0, f64::NAN)] {
            let parameters = [numbers(&[2, 3], 1, Kind::Double), numbers(&[3], 2, Kind::Double)];
            let before = parameters.each_ref().map(Tensor::copy);
            let gradients = [
                numbers(&[2, 3], 3, Kind::Double),
                Tensor::from_slice(&[1.0, bad, 2.0]),
            ];
            let groups = [
                group(rule, &parameters[0], &gradients[0]),
                group(rule, &parameters[1], &gradients[1]),
            ];
            assert!(
                step(backend, &groups, loss, None),
                "{backend:?} {rule:?} {bad} {loss}"
            );
            assert_eq!(parameters, before, "{backend:?} {rule:?}");
            assert_eq!(groups[0].momenta[0], before[0].zeros_like());
        }
    }
}

#[test]
fn our_kernels_compute_what_libtorchs_operations_do() {
    // Fewer than a vector, no multiple of one, more than one chunk; channels last; a gradient in another layout.
    let shapes: [&[i64]; 6] = [&[3], &[1, 1], &[5, 7], &[70_001], &[64, 48, 3, 3], &[257, 300]];
    for (kind, tolerance) in [(Kind::Double, 1e-14), (Kind::Float, 1e-6)] {
        for rule in [SGD, LARS] {
            let trained = |backend| {
                let mut groups = [TensorGroup::new(rule)];
                for (i, shape) in shapes.iter().enumerate() {
                    let mut parameter = numbers(shape, i as u64, kind);
                    let gradient = numbers(shape, 100 + i as u64, kind);
                    if shape.len() == 4 {
                        parameter = channels_last(&parameter);
                    }
                    groups[0].push(&parameter, gradient, &parameter.zeros_like());
                }
                for _ in 0..3 {
                    assert!(!step(backend, &groups, 1.0, None));
                }
                let [group] = groups;
                (group.parameters, group.momenta)
            };
            let (ours, theirs) = (trained(Backend::Fastest), trained(Backend::Operations));
            let pairs = ours.0.iter().zip(&theirs.0).chain(ours.1.iter().zip(&theirs.1));
            for (ours, theirs) in pairs {
                let difference = (ours - theirs).abs().max().double_value(&[]);
                let largest = theirs.abs().max().double_value(&[]);
                assert!(
                    difference <= tolerance * largest,
                    "{kind:?} {rule:?} {:?}: {difference:e} of {largest}",
                    ours.size()
                );
            }
        }
    }
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    let trained = |threads| {
        tch::set_num_threads(threads);
        let weight = numbers(&[333, 1001], 1, Kind::Float);
        let gradient = numbers(&[333, 1001], 2, Kind::Float);
        step(Backend::Fastest, &[group(LARS, &weight, &gradient)], 1.0, None);
        weight
    };
    let (one, two) = (trained(1), trained(2));
    assert_eq!(one, two);
}

#[test]
fn lists_that_do_not_fit_each_other_are_an_error() {
    let mut groups = [group(
        SGD,
        &numbers(&[3], 1, Kind::Double),
        &numbers(&[3], 2, Kind::Double),
    )];
    groups[0].momenta.clear();
    let mut found = found(Kind::Float);
    let pending = OptimizerStep::inspect(&groups, &Tensor::from(1.0), None, &mut found).unwrap();
    let said = pending.take(&found).unwrap_err().to_string();
    assert!(said.contains("1 parameters and 0 momenta"), "{said}");
}
