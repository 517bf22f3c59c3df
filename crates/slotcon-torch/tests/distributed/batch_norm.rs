//! Batch norm over ranks against batch norm over all rows in one process.

use slotcon_torch::distributed::Ranks;
use tch::{Kind, Tensor};

use crate::numbers::numbers;
use crate::support::{distance, on_ranks};

const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

struct Outcome {
    y: Tensor,
    of_x: Tensor,
    of_weight: Tensor,
    of_bias: Tensor,
    running: [Tensor; 2],
}

/// Forward and backward of `x` with a loss that weighs every value otherwise.
fn pass(x: &Tensor, loss_weights: &Tensor, ranks: Option<&Ranks>, kind: Kind) -> Outcome {
    let channels = x.size()[1];
    let wide = if kind == Kind::Double {
        Kind::Double
    } else {
        Kind::Float
    };
    let weight = (numbers(&[channels], 90, wide) + 1.0).set_requires_grad(true);
    let bias = numbers(&[channels], 91, wide).set_requires_grad(true);
    let mean = numbers(&[channels], 92, wide);
    let var = numbers(&[channels], 93, wide) + 1.0;
    let x = x.detach().copy().set_requires_grad(true);
    let y = match ranks {
        Some(ranks) => ranks
            .batch_norm(&x, [&weight, &bias], [&mean, &var], MOMENTUM, EPS)
            .unwrap()
            .unwrap(),
        None => x.batch_norm(
            Some(&weight),
            Some(&bias),
            Some(&mean),
            Some(&var),
            true,
            MOMENTUM,
            EPS,
            true,
        ),
    };
    (&y * loss_weights).sum(wide).backward();
    Outcome {
        of_x: x.grad(),
        of_weight: weight.grad(),
        of_bias: bias.grad(),
        running: [mean, var],
        y,
    }
}

/// Rank r has the rows `parts[r]` of `shape`; the offset of 50 makes a mean that is large beside the deviations.
fn compare(ranks: &Ranks, shape: &[i64], parts: &[i64], last: bool, kind: Kind, tolerance: f64) {
    let layout = |x: Tensor| if last { slotcon_torch::channels_last(&x) } else { x };
    let x = layout((numbers(shape, 1, Kind::Double) + 50.0).to_kind(kind));
    let loss_weights = layout(numbers(shape, 2, Kind::Double).to_kind(kind));
    let first: i64 = parts[..ranks.rank()].iter().sum();
    let own = |t: &Tensor| layout(t.narrow(0, first, parts[ranks.rank()]));
    let got = pass(&own(&x), &own(&loss_weights), Some(ranks), kind);
    let whole = pass(&x, &loss_weights, None, kind);
    let check = |what: &str, a: &Tensor, b: &Tensor| {
        let distance = distance(a, b);
        assert!(
            distance <= tolerance,
            "{what} of {shape:?} {kind:?}: {distance:e}"
        );
    };
    assert_eq!(got.y.kind(), kind);
    check("y", &got.y, &own(&whole.y));
    check("gradient of x", &got.of_x, &own(&whole.of_x));
    // Gradients of weights are this rank's own; c10d's reducer adds them up.
    let sum = |t: &Tensor| {
        ranks
            .sum(t, slotcon_torch::distributed::Traffic::Metrics)
            .unwrap()
    };
    check("gradient of weight", &sum(&got.of_weight), &whole.of_weight);
    check("gradient of bias", &sum(&got.of_bias), &whole.of_bias);
    for (a, b) in got.running.iter().zip(&whole.running) {
        check("running statistics", a, b);
    }
}

#[test]
fn equals_one_process_with_all_rows() {
    on_ranks("batch_norm::equals_one_process_with_all_rows", 3, |ranks| {
        for last in [false, true] {
            compare(ranks, &[6, 5, 4, 3], &[2, 2, 2], last, Kind::Double, 1e-11);
            compare(ranks, &[6, 5, 4, 3], &[1, 3, 2], last, Kind::Float, 1e-3);
        }
        // Rows that differ between ranks, or are none.
        compare(ranks, &[9, 7], &[5, 0, 4], false, Kind::Double, 1e-11);
        compare(ranks, &[9, 7], &[9, 0, 0], false, Kind::Double, 1e-11);
        compare(ranks, &[64, 16], &[32, 1, 31], false, Kind::BFloat16, 0.26);
    });
}

#[test]
fn fewer_than_two_rows_leave_the_running_statistics() {
    on_ranks(
        "batch_norm::fewer_than_two_rows_leave_the_running_statistics",
        2,
        |ranks| {
            for rows in [0, 1] {
                let own = if ranks.rank() == 0 { rows } else { 0 };
                let x = numbers(&[own, 4], 3, Kind::Double);
                let out = pass(&x, &x, Some(ranks), Kind::Double);
                assert_eq!(distance(&out.running[0], &numbers(&[4], 92, Kind::Double)), 0.0);
                assert_eq!(
                    distance(&out.running[1], &(numbers(&[4], 93, Kind::Double) + 1.0)),
                    0.0
                );
                let finite = out.of_weight.isfinite().all();
                assert!(bool::try_from(finite).unwrap(), "a row alone has no variance");
            }
        },
    );
}

#[test]
fn works_under_autocast() {
    on_ranks("batch_norm::works_under_autocast", 2, |ranks| {
        let x = numbers(&[8, 6], 5 + ranks.rank() as u64, Kind::Float).set_requires_grad(true);
        let linear = numbers(&[6, 6], 7, Kind::Float).set_requires_grad(true);
        let [weight, bias] = [1.0, 0.0].map(|v| Tensor::full([6], v, (Kind::Float, tch::Device::Cpu)));
        let (weight, bias) = (weight.set_requires_grad(true), bias.set_requires_grad(true));
        let [mean, var] = [0.0, 1.0].map(|v| Tensor::full([6], v, (Kind::Float, tch::Device::Cpu)));
        let y = slotcon_torch::autocast(tch::Device::Cpu, Some(Kind::BFloat16), || {
            let x = x.linear(&linear, None::<&Tensor>);
            assert_eq!(x.kind(), Kind::BFloat16);
            ranks
                .batch_norm(&x, [&weight, &bias], [&mean, &var], MOMENTUM, EPS)
                .unwrap()
                .unwrap()
        })
        .unwrap();
        let all = ranks
            .gather_equal(
                &y.to_kind(Kind::Float),
                slotcon_torch::distributed::Traffic::Metrics,
            )
            .unwrap();
        let variance = all.square().mean_dim(Some([0i64].as_slice()), false, Kind::Float);
        assert!(distance(&variance, &variance.ones_like()) < 0.02, "{variance:?}");
        y.square().sum(Kind::Float).backward();
        assert_eq!(linear.grad().kind(), Kind::Float);
    });
}
