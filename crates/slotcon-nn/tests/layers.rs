//! Single layers: bias, how weights start, whose statistics batch norm uses.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use slotcon_nn::{BatchNorm, BatchNormMode, Conv2d, ConvConfig, Init, Store};
use tch::{Device, Kind, Tensor};

fn set(store: &Store, name: &str, values: &[f64]) {
    let _guard = tch::no_grad_guard();
    let entry = store.entries().into_iter().find(|e| e.name == name).unwrap();
    entry
        .tensor
        .shallow_clone()
        .copy_(&Tensor::from_slice(values).view_as(&entry.tensor));
}

fn gradient(store: &Store, name: &str) -> Tensor {
    store
        .entries()
        .into_iter()
        .find(|e| e.name == name)
        .unwrap()
        .tensor
        .grad()
}

#[test]
fn a_bias_is_added_to_every_position_of_its_channel() {
    let store = Store::new(Device::Cpu, Kind::Double);
    let config = ConvConfig {
        bias: true,
        ..ConvConfig::default()
    };
    let conv = Conv2d::new(&store.root(), 1, 2, config);
    set(&store, "weight", &[2.0, 3.0]);
    set(&store, "bias", &[10.0, 20.0]);
    let x = Tensor::from_slice(&[1.0, 2.0]).reshape([1, 1, 1, 2]);
    let y = conv.forward(&x).unwrap();
    assert_eq!(
        y,
        Tensor::from_slice(&[12.0, 14.0, 23.0, 26.0]).reshape([1, 2, 1, 2])
    );
}

#[test]
fn weights_start_from_the_distributions_of_pytorch_and_detectron2() {
    tch::manual_seed(0);
    let (output, input, kernel) = (64, 48, 3);
    let start = |init: Init| {
        let store = Store::new(Device::Cpu, Kind::Float);
        store
            .root()
            .parameter("w", &[output, input, kernel, kernel], init)
            .detach()
    };
    let std = |t: &Tensor| t.std(false).double_value(&[]);
    let (fan_in, fan_out) = ((input * 9) as f64, (output * 9) as f64);
    // 27,648 draws: a standard deviation is known to 0.4 %.
    let near =
        |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 0.02, "{got}, not {expected}");
    near(std(&start(Init::Normal(0.01))), 0.01);
    near(std(&start(Init::KaimingFanOut)), (2.0 / fan_out).sqrt());
    let xavier = start(Init::Xavier);
    let bound = (3.0 / fan_in).sqrt();
    near(std(&xavier), bound / 3f64.sqrt());
    let largest = xavier.abs().max().double_value(&[]);
    assert!(
        largest <= bound && largest > 0.99 * bound,
        "{largest}, bound {bound}"
    );
    assert_eq!(
        start(Init::Constant(2.5))
            .unique_consecutive(false, false, None)
            .0,
        Tensor::from_slice(&[2.5f32])
    );
}

#[test]
fn batch_norm_uses_the_statistics_of_its_mode() {
    let store = Store::new(Device::Cpu, Kind::Double);
    let norm = BatchNorm::new(&store.root(), 1);
    set(&store, "running_mean", &[1.0]);
    set(&store, "running_var", &[4.0]);
    set(&store, "weight", &[2.0]);
    let x = Tensor::from_slice(&[1.0, 5.0]).reshape([2, 1]);
    let buffer = |name: &str| {
        let entry = store.entries().into_iter().find(|e| e.name == name).unwrap();
        entry.tensor.double_value(&[])
    };
    // (x - 1) / 2 * 2, but for eps.
    for mode in [BatchNormMode::Eval, BatchNormMode::Frozen] {
        let y = norm.forward(&x, mode).unwrap();
        assert!(
            (y - Tensor::from_slice(&[0.0, 4.0]).reshape([2, 1]))
                .abs()
                .max()
                .double_value(&[])
                < 1e-4
        );
        assert_eq!(
            (buffer("running_mean"), buffer("num_batches_tracked")),
            (1.0, 0.0)
        );
    }
    // Mean 3, variance 4: -1 and 1, times 2.
    let y = norm.forward(&x, BatchNormMode::Train).unwrap();
    assert!(
        (y - Tensor::from_slice(&[-2.0, 2.0]).reshape([2, 1]))
            .abs()
            .max()
            .double_value(&[])
            < 1e-4
    );
    // A tenth of the way to the batch's mean and unbiased variance 8.
    assert!((buffer("running_mean") - 1.2).abs() < 1e-12 && (buffer("running_var") - 4.4).abs() < 1e-12);
    assert_eq!(buffer("num_batches_tracked"), 1.0);
}

#[test]
fn a_frozen_norm_passes_gradients_on_and_keeps_none() {
    let through = |mode: BatchNormMode| {
        let store = Store::new(Device::Cpu, Kind::Double);
        let norm = BatchNorm::new(&store.root(), 2);
        let x = Tensor::ones([3, 2], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        norm.forward(&x, mode).unwrap().sum(Kind::Double).backward();
        assert!(x.grad().abs().min().double_value(&[]) > 0.9);
        (
            gradient(&store, "weight").defined(),
            gradient(&store, "bias").defined(),
        )
    };
    assert_eq!(through(BatchNormMode::Eval), (true, true));
    assert_eq!(through(BatchNormMode::Frozen), (false, false));
}
