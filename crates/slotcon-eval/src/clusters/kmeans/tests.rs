//! Clusters whose places are known.

use super::*;

fn stream(seed: u64, number: u64) -> Stream {
    Stream::new(seed, 0, number, Purpose::KMeans, 0)
}

fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut random = stream(seed, 99);
    (0..n).map(|_| random.unit() as f32).collect()
}

/// `per` rows around each of `k` corners of a grid, in turns; the true cluster of row i is i % k.
fn planted(k: usize, per: usize, dimension: usize) -> Vec<f32> {
    let jitter = noise(5, k * per * dimension);
    (0..k * per)
        .flat_map(|i| (0..dimension).map(move |j| (i, j)))
        .map(|(i, j)| ((i % k) >> j & 1) as f32 * 10.0 + jitter[i * dimension + j])
        .collect()
}

#[test]
fn inertia_never_rises_and_belongs_to_the_centres() {
    for (dimension, clusters) in [(1, 4), (3, 7), (19, 30)] {
        let rows = noise(dimension as u64, 3000 * dimension);
        let seeds = plus_plus(&rows, dimension, clusters, &mut stream(1, 1));
        let config = KMeansConfig {
            tolerance: 0.0,
            ..KMeansConfig::default()
        };
        let (centres, inertias) = lloyd(&rows, dimension, seeds, &config);
        assert!(inertias.len() > 3);
        for pair in inertias.windows(2) {
            assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{inertias:?}");
        }
        let direct: f64 = rows
            .chunks_exact(dimension)
            .map(|row| f64::from(nearest(row, &centres).1))
            .sum();
        assert!((direct - last(&inertias)).abs() <= 1e-9 * direct);
    }
}

#[test]
fn planted_clusters_are_found() {
    for dimension in [4, 11] {
        let rows = planted(16, 200, dimension);
        let config = KMeansConfig {
            clusters: 16,
            restarts: 10,
            ..KMeansConfig::default()
        };
        let found = KMeans::fit(&rows, dimension, &config).unwrap();
        let labels = found.predict(&rows).unwrap();
        for (i, label) in labels.iter().enumerate() {
            assert_eq!(*label, labels[i % 16], "row {i}");
        }
        let mut distinct = labels[..16].to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 16);
    }
}

#[test]
fn the_same_on_any_number_of_threads() {
    let rows = noise(3, 40_000 * 5);
    let config = KMeansConfig {
        clusters: 12,
        max_rows: 20_000,
        restarts: 2,
        ..KMeansConfig::default()
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let found = KMeans::fit(&rows, 5, &config).unwrap();
            (found.predict(&rows).unwrap(), found)
        })
    };
    let one = on(1);
    assert_eq!(one, on(3));
    let other = KMeansConfig {
        seed: 1,
        ..config.clone()
    };
    assert_ne!(one.1.centres(), KMeans::fit(&rows, 5, &other).unwrap().centres());
}

#[test]
fn the_sample_is_spread_over_all_rows() {
    let rows: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
    let taken = sample(&rows, 1, 100, 7);
    assert_eq!(taken.len(), 100);
    for (i, row) in taken.iter().enumerate() {
        assert!(
            (100.0 * i as f32..100.0 * (i + 1) as f32).contains(row),
            "{i}: {row}"
        );
    }
    assert_eq!(sample(&rows, 1, 10_000, 7), rows);
}

#[test]
fn fewer_distinct_rows_than_clusters_give_fewer_clusters() {
    let rows = [1.0, 1.0, 5.0, 5.0, 1.0, 1.0, 5.0, 5.0];
    let found = KMeans::fit(
        &rows,
        2,
        &KMeansConfig {
            clusters: 6,
            ..KMeansConfig::default()
        },
    )
    .unwrap();
    let mut centres: Vec<_> = found.centres().chunks(2).collect();
    centres.sort_by(|a, b| a[0].total_cmp(&b[0]));
    assert_eq!(centres, [[1.0, 1.0], [5.0, 5.0]]);
}

#[test]
fn a_centre_without_rows_moves_to_the_farthest_row() {
    let rows = [0.0, 0.1, 0.2, 9.0];
    let mut centres = vec![0.1, 500.0];
    update(&rows, 1, &mut centres, assign(&rows, 1, &[0.1, 500.0]));
    assert_eq!(centres[1], 9.0);
}

#[test]
fn what_cannot_be_clustered_is_named() {
    let fit = |rows: &[f32], dimension, clusters| {
        KMeans::fit(
            rows,
            dimension,
            &KMeansConfig {
                clusters,
                ..KMeansConfig::default()
            },
        )
        .unwrap_err()
    };
    assert_eq!(fit(&[], 3, 2), KMeansError::Empty);
    assert_eq!(
        fit(&[1.0; 4], 3, 2),
        KMeansError::Shape {
            values: 4,
            dimension: 3
        }
    );
    assert_eq!(
        fit(&[1.0; 4], 0, 2),
        KMeansError::Shape {
            values: 4,
            dimension: 0
        }
    );
    assert_eq!(fit(&[1.0, 1.0, 1.0, f32::NAN], 2, 2), KMeansError::NotFinite(1));
    assert!(fit(&[1.0; 4], 2, 0).to_string().contains("clusters is 0"));
    assert!(fit(&[1.0; 4], 2, 70_000).to_string().contains("65536"));
}
