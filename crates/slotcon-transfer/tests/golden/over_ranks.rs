//! A batch of a detector shared out over two processes against the same batch in one, in float64: loss, gradients and the
//! statistics of precise batch norm.
//!
//! Equal they are where every picture has as many regions with an object as any other: like detectron2, each rank takes the mean over its
//! own. One such region of four is taken here.

use libtest_mimic::{Failed, Trial};
use slotcon_nn::{Arch, BatchNormMode, ResNetConfig, Role, Store};
use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_transfer::instances::{
    DetectorConfig, Drawn, MaskRcnn, Pictures, PreciseNorm, Sampling, Shape, Training, Truth,
};
use tch::{Device, Kind, Tensor};

use crate::compare::fill;
use crate::ranks;

const NAME: &str = "a detector over 2 ranks";
/// Relative to the largest value of each tensor.
const TOLERANCE: f64 = 1e-9;
const HEIGHT: i64 = 64;
const WIDTH: i64 = 96;

/// The trial.
pub fn trial() -> Trial {
    Trial::test(NAME, || ranks::run(NAME, 2, check))
}

fn detector(ranks: Ranks) -> (Store, MaskRcnn) {
    let store = Store::across(Device::Cpu, Kind::Double, ranks);
    let config = DetectorConfig {
        backbone: ResNetConfig::detectron2(Arch::ResNet18),
        freeze_norm: false,
        norm: true,
        box_convolutions: 1,
        box_layers: 1,
        channels: 16,
        features: 32,
        classes: 3,
        anchor_sampling: Sampling {
            total: 32,
            positive: 16,
        },
        region_sampling: Sampling {
            total: 4,
            positive: 1,
        },
    };
    let network = MaskRcnn::new(&store.root(), config);
    fill(&store, |_| 0.5);
    (store, network)
}

/// Picture `number` with two objects.
fn picture(number: i64) -> Result<(Tensor, Truth), Failed> {
    let count = 3 * HEIGHT * WIDTH;
    let ramp = Tensor::arange(count, (Kind::Double, Device::Cpu)) * (0.7 + 0.31 * number as f64);
    let shift = 7.0 * number as f64;
    let corners = [[8.0, 6.0, 40.0 + shift, 38.0], [30.0, 20.0 + shift, 80.0, 60.0]];
    let polygons = corners.map(|[l, t, r, b]| Shape::Polygons(vec![vec![l, t, r, t, r, b, l, b]]));
    let boxes = corners.map(|corner| corner.map(|v| v as f32));
    let truth = Truth::new(&boxes, vec![number % 3, 2], polygons.into())?;
    Ok((ramp.sin().reshape([3, HEIGHT, WIDTH]), truth))
}

fn batch(numbers: std::ops::Range<usize>) -> Result<(Pictures, Vec<Truth>), Failed> {
    let all = numbers.map(|number| picture(number as i64));
    let (pixels, truths): (Vec<_>, Vec<_>) = all.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let pictures = Pictures {
        sizes: vec![(HEIGHT, WIDTH); pixels.len()],
        pixels: slotcon_torch::channels_last(&Tensor::stack(&pixels, 0)),
    };
    Ok((pictures, truths))
}

/// A forward pass of the pictures with these numbers.
fn forward(
    network: &MaskRcnn,
    numbers: std::ops::Range<usize>,
    mode: BatchNormMode,
) -> Result<Training, Failed> {
    let mut drawn = Drawn {
        seed: 5,
        step: 0,
        first: numbers.start as u64,
    };
    let (pictures, truths) = batch(numbers)?;
    let training = network.forward_train(&pictures, &truths, &mut drawn, mode)?;
    for regions in &training.regions {
        let found = (regions.objects.len(), regions.boxes.size()[0]);
        assert_eq!(found, (1, 4), "the means are over as many");
    }
    Ok(training)
}

fn near(name: &str, got: &Tensor, expected: &Tensor) -> Result<(), Failed> {
    let largest = expected.abs().max().double_value(&[]).max(1e-9);
    let error = (got - expected).abs().max().double_value(&[]) / largest;
    if error.is_nan() || error > TOLERANCE {
        return Err(format!("{name}: {error:.1e} of the largest value, {largest:.3e}").into());
    }
    Ok(())
}

fn check(ranks: &Ranks) -> Result<(), Failed> {
    let own = ranks.rank()..ranks.rank() + 1;
    let (shared, of_shared) = detector(ranks.clone());
    let (whole, of_whole) = detector(Ranks::alone());

    let part = forward(&of_shared, own.clone(), BatchNormMode::Train)?
        .losses
        .total;
    let all = forward(&of_whole, 0..ranks.size(), BatchNormMode::Train)?
        .losses
        .total;
    near(
        "loss",
        &ranks.mean(&part.detach(), Traffic::Metrics)?,
        &all.detach(),
    )?;
    part.backward();
    all.backward();
    let mut moved = 0;
    for (one, other) in shared.entries().iter().zip(whole.entries()) {
        if one.role == Role::Parameter {
            let gradient = ranks.mean(&one.tensor.grad(), Traffic::Gradients)?;
            moved += i64::from(gradient.abs().max().double_value(&[]) > 0.0);
            near(&one.name, &gradient, &other.tensor.grad())?;
        }
    }
    assert!(moved > 50, "only {moved} parameters have a gradient");

    let _guard = tch::no_grad_guard();
    for (store, network, numbers) in [(&shared, &of_shared, own), (&whole, &of_whole, 0..ranks.size())] {
        let mut precise = PreciseNorm::default();
        forward(network, numbers, BatchNormMode::Measure)?;
        precise.add(store)?;
        precise.finish(store);
    }
    for (one, other) in shared.norms().iter().zip(whole.norms()) {
        near("mean", &one.mean, &other.mean)?;
        near("variance", &one.var, &other.var)?;
    }
    Ok(())
}
