//! Non-maximum suppression: by hand, and our kernel against libtorch's operations.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod numbers;

use slotcon_torch::{Backend, nms_by};
use tch::{Device, Kind, Tensor};

use numbers::numbers;

const BACKENDS: [Backend; 2] = [Backend::Fastest, Backend::Operations];

fn kept(
    backend: Backend,
    boxes: &Tensor,
    scores: &Tensor,
    groups: Option<&[i64]>,
    threshold: f64,
) -> Vec<i64> {
    let groups = groups.map(Tensor::from_slice);
    let kept = nms_by(backend, boxes, scores, groups.as_ref(), threshold).unwrap();
    Vec::try_from(kept).unwrap()
}

/// Three boxes of 10 x 10: the second is the first moved by 5 (overlap 1/3), the third lies elsewhere.
fn three() -> Tensor {
    let list = [
        [0f32, 0.0, 10.0, 10.0],
        [5.0, 0.0, 15.0, 10.0],
        [50.0, 50.0, 60.0, 60.0],
    ];
    Tensor::from_slice(list.as_flattened()).reshape([3, 4])
}

#[test]
fn the_highest_score_of_what_overlaps_stays() {
    for backend in BACKENDS {
        let scores = Tensor::from_slice(&[0.5f32, 0.9, 0.7]);
        assert_eq!(kept(backend, &three(), &scores, None, 0.3), [1, 2]);
        assert_eq!(kept(backend, &three(), &scores, None, 0.34), [1, 2, 0]);
        // An overlap of exactly the threshold is kept: 50 of 150, in f32.
        let third = f64::from(50f32 / 150f32);
        assert_eq!(kept(backend, &three(), &scores, None, third), [1, 2, 0]);
        assert_eq!(kept(backend, &three(), &scores, None, third - 1e-12), [1, 2]);
    }
}

#[test]
fn boxes_of_other_groups_do_not_compete() {
    for backend in BACKENDS {
        let scores = Tensor::from_slice(&[0.5f32, 0.9, 0.7]);
        assert_eq!(kept(backend, &three(), &scores, Some(&[4, 7, 4]), 0.3), [1, 2, 0]);
        assert_eq!(kept(backend, &three(), &scores, Some(&[7, 7, 4]), 0.3), [1, 2]);
    }
}

#[test]
fn of_equal_scores_the_first_stays() {
    for backend in BACKENDS {
        let scores = Tensor::from_slice(&[0.5f32, 0.5, 0.5]);
        assert_eq!(kept(backend, &three(), &scores, None, 0.3), [0, 2]);
        // Doubles that differ, but not as f32.
        let scores = Tensor::from_slice(&[0.5, 0.5 + 1e-12, 0.5]);
        assert_eq!(kept(backend, &three(), &scores, None, 0.3), [0, 2]);
    }
}

#[test]
fn boxes_of_size_zero_are_kept() {
    for backend in BACKENDS {
        let point = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
        assert_eq!(
            kept(backend, &point, &Tensor::from_slice(&[0.1f32, 0.2]), None, 0.5),
            [1, 0]
        );
        let none = point.narrow(0, 0, 0);
        assert!(kept(backend, &none, &Tensor::from_slice::<f32>(&[]), None, 0.5).is_empty());
    }
}

#[test]
fn our_kernel_keeps_what_libtorchs_operations_keep() {
    let corner = numbers(&[900, 2], 1, Kind::Float) * 100;
    let size = (numbers(&[900, 2], 2, Kind::Float) + 0.5) * 60;
    let boxes = Tensor::cat(&[&corner, &(&corner + size)], 1);
    // Many equal scores.
    let scores = (numbers(&[900], 3, Kind::Float) * 50).round();
    let groups: Vec<i64> = (0..900).map(|i| (i * 7919) % 5 * 1000).collect();
    for groups in [None, Some(groups.as_slice())] {
        for threshold in [0.1, 0.5, 0.7] {
            let [ours, theirs] = BACKENDS.map(|backend| kept(backend, &boxes, &scores, groups, threshold));
            assert!(ours.len() > 10 && ours.len() < 900, "{}", ours.len());
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn lists_that_do_not_fit_each_other_are_an_error() {
    let said = nms_by(
        Backend::Fastest,
        &three(),
        &Tensor::from_slice(&[1f32]),
        None,
        0.5,
    )
    .unwrap_err()
    .to_string();
    assert!(said.contains("each of the 3 boxes"), "{said}");
}
