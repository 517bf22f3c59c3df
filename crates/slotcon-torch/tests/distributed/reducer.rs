//! Averaged gradients, with accumulation and with parameters that a pass leaves out.

use slotcon_torch::distributed::{Ranks, Reducer, Traffic};
use tch::{Kind, Tensor};

use crate::numbers::numbers;
use crate::support::{distance, on_ranks};

fn parameters() -> Vec<Tensor> {
    // The first is large enough for a bucket of its own.
    let shapes: [&[i64]; 3] = [&[600, 1000], &[5, 3, 2, 2], &[7]];
    shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let value = numbers(shape, i as u64, Kind::Float);
            let value = if shape.len() == 4 {
                slotcon_torch::channels_last(&value)
            } else {
                value
            };
            value.set_requires_grad(true)
        })
        .collect()
}

/// A loss whose gradient differs from rank to rank and from batch to batch.
fn loss(parameters: &[Tensor], rank: usize, batch: u64) -> Tensor {
    let parts = parameters.iter().enumerate().map(|(i, p)| {
        let weights = numbers(
            &p.size(),
            1000 * (rank as u64 + 1) + 10 * batch + i as u64,
            Kind::Float,
        );
        (p * weights).sum(Kind::Float)
    });
    parts.fold(Tensor::from(0f32), |sum, part| sum + part)
}

/// The mean over ranks of their sums over `batches` of gradients.
fn expected(ranks: &Ranks, batches: &[u64]) -> Vec<Tensor> {
    let alone = Reducer::new(&Ranks::alone(), &[], false).unwrap();
    let mut sums: Vec<Tensor> = parameters().iter().map(Tensor::zeros_like).collect();
    for rank in 0..ranks.size() {
        for &batch in batches {
            let own = parameters();
            alone.backward(&loss(&own, rank, batch), true).unwrap();
            for (sum, p) in sums.iter_mut().zip(&own) {
                *sum += p.grad();
            }
        }
    }
    sums.into_iter()
        .map(|s| s.detach() / ranks.size() as f64)
        .collect()
}

#[test]
fn gradients_are_the_mean_over_ranks() {
    on_ranks("reducer::gradients_are_the_mean_over_ranks", 2, |ranks| {
        for find_unused in [false, true] {
            let mut own = parameters();
            let before = ranks.bytes(Traffic::Gradients);
            let reducer = Reducer::new(ranks, &own, find_unused).unwrap();
            for step in 0..3 {
                own.iter_mut().for_each(Tensor::zero_grad);
                reducer.backward(&loss(&own, ranks.rank(), step), true).unwrap();
                for (p, expected) in own.iter().zip(expected(ranks, &[step])) {
                    assert!(distance(&p.grad(), &expected) < 1e-6);
                }
            }
            let parameters = 600 * 1000 + 60 + 7;
            assert_eq!(ranks.bytes(Traffic::Gradients) - before, 3 * 4 * parameters);
        }
    });
}

#[test]
fn accumulated_gradients_are_sent_once() {
    on_ranks("reducer::accumulated_gradients_are_sent_once", 2, |ranks| {
        let mut own = parameters();
        let reducer = Reducer::new(ranks, &own, false).unwrap();
        for first in [0, 3] {
            own.iter_mut().for_each(Tensor::zero_grad);
            let sent = ranks.bytes(Traffic::Gradients);
            for batch in 0..3 {
                let loss = loss(&own, ranks.rank(), first + batch);
                reducer.backward(&loss, batch == 2).unwrap();
                let now = ranks.bytes(Traffic::Gradients) > sent;
                assert_eq!(now, batch == 2, "only the last of the three sends");
            }
            for (p, expected) in own.iter().zip(expected(ranks, &[first, first + 1, first + 2])) {
                assert!(distance(&p.grad(), &expected) < 1e-6);
            }
        }
    });
}

#[test]
fn parameters_may_be_left_out() {
    on_ranks("reducer::parameters_may_be_left_out", 2, |ranks| {
        let mut own = parameters();
        let reducer = Reducer::new(ranks, &own, true).unwrap();
        for step in 0..2 {
            own.iter_mut().for_each(Tensor::zero_grad);
            // The last one is used by nobody in the first step, by rank 1 alone in the second.
            let used = if step == 1 && ranks.rank() == 1 { 3 } else { 2 };
            reducer
                .backward(&loss(&own[..used], ranks.rank(), step), true)
                .unwrap();
            let all = expected(ranks, &[step]);
            assert!(distance(&own[0].grad(), &all[0]) < 1e-6);
            if step == 0 {
                assert!(!own[2].grad().defined(), "no gradient came from anywhere");
            } else {
                let alone = numbers(&[7], 1000 * 2 + 10 + 2, Kind::Float) / 2.0;
                assert!(distance(&own[2].grad(), &alone) < 1e-6);
            }
        }
    });
}
