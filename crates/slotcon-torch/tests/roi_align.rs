//! RoIAlign: against values that can be told by thinking, and our kernel against libtorch's operations.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod numbers;

use slotcon_torch::{Backend, RoiAlign, channels_last};
use tch::{Device, Kind, Tensor};

use numbers::numbers;

const BACKENDS: [Backend; 2] = [Backend::Fastest, Backend::Operations];

const POOL: RoiAlign = RoiAlign {
    bins: (2, 2),
    scale: 1.0,
    sampling: 0,
    aligned: true,
};

fn boxes(list: &[[f64; 4]]) -> Tensor {
    Tensor::from_slice(list.as_flattened()).reshape([-1, 4])
}

fn pictures(list: &[i64]) -> Tensor {
    Tensor::from_slice(list)
}

#[track_caller]
fn assert_near(got: &Tensor, expected: &[f64]) {
    let got = Vec::<f64>::try_from(got.contiguous().view([-1])).unwrap();
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < 1e-12, "{got:?}, expected {expected:?}");
    }
}

/// A map whose value is 10 y + x: a bin inside is the value at its centre, whatever is sampled.
fn ramp(side: i64) -> Tensor {
    let along = Tensor::arange(side, (Kind::Double, Device::Cpu));
    (along.unsqueeze(1) * 10 + along.unsqueeze(0)).reshape([1, 1, side, side])
}

#[test]
fn a_bin_of_a_ramp_is_the_value_at_its_centre() {
    for backend in BACKENDS {
        for sampling in [0, 1, 3] {
            let pool = RoiAlign { sampling, ..POOL };
            let of = |pool: RoiAlign, list| {
                pool.apply_by(backend, &ramp(12), &boxes(list), &pictures(&[0]))
                    .unwrap()
            };
            // Centres of bins at x 2.5 and 4.5, y 4 and 8, of which half a position goes off: x 2 and 4, y 3.5 and 7.5.
            let expected = [37.0, 39.0, 77.0, 79.0];
            assert_near(&of(pool, &[[1.5, 2.0, 5.5, 10.0]]), &expected);
            // Not aligned: nothing goes off.
            let unaligned = RoiAlign {
                aligned: false,
                ..pool
            };
            assert_near(
                &of(unaligned, &[[1.5, 2.0, 5.5, 10.0]]),
                &[42.5, 44.5, 82.5, 84.5],
            );
            // In pixels of a picture four times as large.
            let scaled = RoiAlign { scale: 0.25, ..pool };
            assert_near(&of(scaled, &[[6.0, 8.0, 22.0, 40.0]]), &expected);
        }
    }
}

#[test]
fn what_lies_further_than_a_position_outside_is_zero() {
    for backend in BACKENDS {
        let map = Tensor::ones([1, 1, 4, 4], (Kind::Double, Device::Cpu));
        // The upper left bin has one sample of four inside; a box far away has none, nor has one of negative size.
        let list = boxes(&[
            [-4.0, -4.0, 4.0, 4.0],
            [50.0, 50.0, 60.0, 60.0],
            [3.0, 3.0, 1.0, 1.0],
        ]);
        let out = POOL
            .apply_by(backend, &map, &list, &pictures(&[0, 0, 0]))
            .unwrap();
        // Samples at -4, -3, -2, -1: the last one is on the edge, which counts.
        assert_near(&out.get(0), &[1.0 / 16.0, 0.25, 0.25, 1.0]);
        assert_near(&out.get(1), &[0.0; 4]);
        assert_near(&out.get(2), &[0.0; 4]);
    }
}

/// Boxes of every kind: within a position, over many, over the edge, outside.
fn many(count: i64, kind: Kind) -> Tensor {
    let corner = numbers(&[count, 2], 7, kind) * 60 + 20;
    let size = (numbers(&[count, 2], 8, kind) + 0.5).square() * 50 + 0.01;
    Tensor::cat(&[&corner, &(&corner + size)], 1)
}

/// Output and the gradient of the features, for a loss whose gradient differs at every value.
fn both(pool: RoiAlign, backend: Backend, features: &Tensor, boxes: &Tensor) -> [Tensor; 2] {
    let x = features.copy().set_requires_grad(true);
    let count = boxes.size()[0];
    let pictures = Tensor::arange(count, (Kind::Int64, Device::Cpu)).fmod(2);
    let out = pool.apply_by(backend, &x, boxes, &pictures).unwrap();
    let slope = numbers(&out.size(), 9, x.kind());
    (&out * slope).sum(None).backward();
    [out.detach(), x.grad()]
}

#[test]
fn our_kernel_computes_what_libtorchs_operations_do() {
    for (kind, tolerance) in [(Kind::Double, 1e-13), (Kind::Float, 3e-6)] {
        for channels in [1, 3, 64, 150] {
            for (bins, sampling, aligned) in [((7, 7), 0, true), ((3, 5), 2, false), ((14, 14), 0, true)] {
                let features = numbers(&[2, channels, 19, 23], 1, kind);
                let pool = RoiAlign {
                    bins,
                    scale: 0.5,
                    sampling,
                    aligned,
                };
                let list = many(40, kind);
                let ours = both(pool, Backend::Fastest, &channels_last(&features), &list);
                let theirs = both(pool, Backend::Operations, &features, &list);
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    let difference = (ours - theirs).abs().max().double_value(&[]);
                    let largest = theirs.abs().max().double_value(&[]);
                    assert!(
                        difference <= tolerance * largest,
                        "{kind:?} {pool:?}: {difference:e} of {largest}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_gradient_is_the_transpose_of_the_forward_pass() {
    // <slope, A x> = <transposed A slope, x>, for A does not depend on x.
    let features = channels_last(&numbers(&[2, 5, 19, 23], 1, Kind::Double));
    let [out, gradient] = both(POOL, Backend::Fastest, &features, &many(30, Kind::Double));
    let slope = numbers(&out.size(), 9, Kind::Double);
    let (left, right) = ((out * slope).sum(None), (gradient * features).sum(None));
    assert!((left - right).abs().double_value(&[]) < 1e-10);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let with = |threads| {
        tch::set_num_threads(threads);
        let features = channels_last(&numbers(&[2, 33, 19, 23], 1, Kind::Float));
        both(POOL, Backend::Fastest, &features, &many(50, Kind::Float))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn half_precision_comes_back_as_it_went_in() {
    let features = numbers(&[1, 4, 9, 9], 1, Kind::Float);
    let half = features.to_kind(Kind::BFloat16);
    let list = many(6, Kind::Float) * 0.1;
    let of = |x: &Tensor| POOL.apply(x, &list, &pictures(&[0; 6])).unwrap();
    assert_eq!(of(&half).kind(), Kind::BFloat16);
    assert_eq!(of(&half), of(&half.to_kind(Kind::Float)).to_kind(Kind::BFloat16));
}

#[test]
fn no_boxes_have_no_bins_and_a_gradient_of_zero() {
    for backend in BACKENDS {
        let x = numbers(&[1, 4, 9, 9], 1, Kind::Double).set_requires_grad(true);
        let none = Tensor::zeros([0, 4], (Kind::Double, Device::Cpu));
        let out = POOL.apply_by(backend, &x, &none, &pictures(&[])).unwrap();
        assert_eq!(out.size(), [0, 4, 2, 2]);
        out.sum(None).backward();
        assert_eq!(x.grad().abs().max().double_value(&[]), 0.0);
    }
}

#[test]
fn what_cannot_be_pooled_is_an_error() {
    let x = numbers(&[1, 4, 9, 9], 1, Kind::Double);
    let one = boxes(&[[0.0, 0.0, 1.0, 1.0]]);
    let said = |features: &Tensor, boxes: &Tensor, of: &[i64]| {
        POOL.apply(features, boxes, &pictures(of))
            .unwrap_err()
            .to_string()
    };
    assert!(said(&x, &one, &[1]).contains("picture 1 of a batch of 1"));
    assert!(said(&x, &one, &[]).contains("[0]"));
    assert!(said(&x.get(0), &one, &[0]).contains("[B, C, H, W]"));
    assert!(said(&x, &boxes(&[[0.0, f64::NAN, 1.0, 1.0]]), &[0]).contains("box 0 is not finite"));
}
