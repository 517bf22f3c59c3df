//! Sums, gathers, broadcasts, their gradients and their failures.

use std::time::{Duration, Instant};

use slotcon_torch::distributed::{Ranks, Store, Traffic};
use tch::{Kind, Tensor};

use crate::numbers::numbers;
use crate::support::{distance, on_ranks, on_ranks_within};

#[test]
fn a_process_alone_pays_nothing() {
    let alone = Ranks::alone();
    let x = Tensor::from_slice(&[1.0, 2.0]);
    assert!(alone.is_alone() && alone.size() == 1 && alone.rank() == 0);
    let sum = alone.sum(&x, Traffic::Center).unwrap();
    assert_eq!(sum.data_ptr(), x.data_ptr(), "nothing is copied");
    let (rows, first) = alone.gather_rows(&x, Traffic::Slots).unwrap();
    assert_eq!((rows.data_ptr(), first), (x.data_ptr(), 0));
    assert_eq!(alone.sum_numbers([3, 4], Traffic::Control).unwrap(), [3, 4]);
    assert_eq!(alone.operations(), 0);
}

#[test]
fn sums_and_gathers() {
    on_ranks("collectives::sums_and_gathers", 3, |ranks| {
        let rank = ranks.rank() as i64;
        assert_eq!(
            ranks.sum_numbers([rank, 1, 10 * rank], Traffic::Control).unwrap(),
            [3, 3, 30]
        );

        let x = numbers(&[4, 2], rank as u64, Kind::Double).set_requires_grad(true);
        let all = |f: &dyn Fn(u64) -> Tensor| (1..3).fold(f(0), |sum, r| sum + f(r));
        let sum = ranks.sum(&x, Traffic::Center).unwrap();
        assert!(distance(&sum, &all(&|r| numbers(&[4, 2], r, Kind::Double))) < 1e-15);
        // Every rank weighs the sum otherwise; x's gradient is the sum of all weights.
        let weights = |r: u64| numbers(&[4, 2], 10 + r, Kind::Double);
        (sum * weights(rank as u64)).sum(Kind::Double).backward();
        assert!(distance(&x.grad(), &all(&weights)) < 1e-15);

        let mean = ranks.mean(&x, Traffic::Center).unwrap();
        assert!(distance(&mean, &(all(&|r| numbers(&[4, 2], r, Kind::Double)) / 3.0)) < 1e-15);
        let mut largest = Tensor::from_slice(&[rank as f32, -rank as f32]);
        ranks.max_(&mut largest, Traffic::Control).unwrap();
        assert_eq!(Vec::<f32>::try_from(&largest).unwrap(), [2.0, 0.0]);

        // Rank 1 has nothing to give.
        let rows = |r: u64| numbers(&[[2, 0, 3][r as usize], 5], 20 + r, Kind::Float);
        let (gathered, first) = ranks.gather_rows(&rows(rank as u64), Traffic::Slots).unwrap();
        assert_eq!(first, [0, 2, 2][rank as usize]);
        assert_eq!(
            distance(&gathered, &Tensor::cat(&[rows(0), rows(1), rows(2)], 0)),
            0.0
        );
        let equal = |r: u64| numbers(&[2, 3], 30 + r, Kind::Float);
        let gathered = ranks.gather_equal(&equal(rank as u64), Traffic::Slots).unwrap();
        assert_eq!(
            distance(&gathered, &Tensor::cat(&[equal(0), equal(1), equal(2)], 0)),
            0.0
        );
    });
}

#[test]
fn rank_0_hands_out_its_values_in_every_layout_and_type() {
    on_ranks(
        "collectives::rank_0_hands_out_its_values_in_every_layout_and_type",
        2,
        |ranks| {
            let own = 100 * ranks.rank() as u64;
            let make = |name: u64| {
                [
                    numbers(&[3, 4, 2, 2], name, Kind::Float),
                    slotcon_torch::channels_last(&numbers(&[3, 4, 2, 2], 1 + name, Kind::Float)),
                    numbers(&[7], 2 + name, Kind::Double),
                    Tensor::from_slice(&[name as i64]).squeeze(),
                ]
            };
            let mine = make(own);
            ranks.broadcast(&mine).unwrap();
            for (got, expected) in mine.iter().zip(make(0)) {
                assert_eq!(distance(got, &expected), 0.0);
            }
            assert_eq!(mine[1].stride(), make(0)[1].stride());
        },
    );
}

#[test]
fn bytes_are_counted_by_purpose() {
    on_ranks("collectives::bytes_are_counted_by_purpose", 2, |ranks| {
        let x = Tensor::zeros([10], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let sum = ranks.sum(&x, Traffic::Center).unwrap();
        assert_eq!(ranks.bytes(Traffic::Center), 40);
        sum.sum(Kind::Float).backward();
        assert_eq!(ranks.bytes(Traffic::Center), 80, "the backward sends as much");
        let rows = Tensor::zeros([1 + ranks.rank() as i64, 3], (Kind::Double, tch::Device::Cpu));
        let (all, _) = ranks.gather_rows(&rows, Traffic::Slots).unwrap();
        assert_eq!(all.size(), [3, 3]);
        assert_eq!(
            ranks.bytes(Traffic::Slots),
            8 + 2 * 3 * 8,
            "a count, then rows padded to the most"
        );
        assert_eq!(ranks.bytes(Traffic::BatchNorm), 0);
        assert_eq!(ranks.operations(), 4);
        assert!(!ranks.broken());
    });
}

#[test]
fn a_rank_that_does_not_come_is_an_error_in_time() {
    on_ranks_within(
        "collectives::a_rank_that_does_not_come_is_an_error_in_time",
        2,
        Duration::from_secs(1),
        |ranks| {
            if ranks.rank() == 1 {
                std::thread::sleep(Duration::from_secs(3));
                return;
            }
            let start = Instant::now();
            let error = ranks.sum_numbers([1], Traffic::Control).unwrap_err();
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
            assert!(ranks.broken() && !error.to_string().contains('\n'), "{error}");
        },
    );
}

#[test]
fn a_store_keeps_texts_and_numbers() {
    let timeout = Duration::from_secs(20);
    let store = Store::keep(0, timeout, "a/").unwrap();
    let other = Store::connect("localhost", store.port(), timeout, "a/").unwrap();
    let foreign = Store::connect("localhost", store.port(), timeout, "b/").unwrap();
    store.set("who", "rank null").unwrap();
    assert_eq!(other.get("who").unwrap(), "rank null");
    assert!(other.has("who").unwrap() && !foreign.has("who").unwrap());
    assert_eq!((store.add("n", 2).unwrap(), other.add("n", 3).unwrap()), (2, 5));

    let taken = Store::keep(store.port(), timeout, "").unwrap_err().to_string();
    assert!(taken.contains("already in use"), "{taken}");
    let hasty = Store::connect("localhost", store.port(), Duration::from_millis(200), "a/").unwrap();
    assert!(hasty.get("nothing").is_err(), "no such key");
    drop(store);
    let start = Instant::now();
    assert!(Store::connect("localhost", 9, Duration::from_secs(1), "").is_err());
    assert!(start.elapsed() < Duration::from_secs(10));
}
