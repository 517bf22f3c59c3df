//! Batches: the same whatever the threads and ranks, resumed anywhere, undisturbed by pictures that cannot be used.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::Path;
use std::sync::Arc;

use slotcon_data::{
    AugmentConfig, Batch, Dataset, Error, Layout, Loader, LoaderConfig, PairInfo, PairMaker, scenes,
};

fn write_pictures(folder: &Path, count: u64) {
    for index in 0..count {
        let (picture, _) = scenes::draw(1, index, 40 + index as u32 % 7);
        let path = folder.join(format!("{index:03}.png"));
        let file = std::fs::File::create(path).unwrap();
        let mut encoder = png::Encoder::new(file, picture.width(), picture.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(picture.rgb())
            .unwrap();
    }
}

fn pictures(count: u64) -> (tempfile::TempDir, Arc<Dataset>) {
    let dir = tempfile::tempdir().unwrap();
    write_pictures(dir.path(), count);
    let data = Dataset::open(&[dir.path().to_path_buf()], Layout::Folder).unwrap();
    (dir, Arc::new(data))
}

fn augment() -> AugmentConfig {
    AugmentConfig {
        image_size: 32,
        ..Default::default()
    }
}

fn maker(augment: AugmentConfig) -> PairMaker {
    PairMaker::new(augment).unwrap()
}

fn loader(data: &Arc<Dataset>, config: LoaderConfig) -> Loader<PairMaker> {
    Loader::new(Arc::clone(data), maker(augment()), config).unwrap()
}

/// All that a batch holds, to be compared.
type Content = (u64, u64, Vec<u32>, Vec<Vec<u8>>, Vec<PairInfo>, Vec<String>);

fn content(batch: &Batch<PairInfo>) -> Content {
    (
        batch.epoch,
        batch.step,
        batch.indices.clone(),
        batch.pixels.iter().map(|view| view.to_vec()).collect(),
        batch.info.clone(),
        batch.bad.iter().map(ToString::to_string).collect(),
    )
}

fn run(data: &Arc<Dataset>, config: LoaderConfig, steps: usize) -> Vec<Content> {
    let mut loader = loader(data, config);
    (0..steps).map(|_| content(&loader.next().unwrap())).collect()
}

#[test]
fn threads_and_prefetch_change_nothing() {
    let (dir, data) = pictures(30);
    std::fs::write(dir.path().join("007.png"), b"not a picture at all").unwrap();
    let base = LoaderConfig {
        batch: 4,
        seed: 5,
        threads: 1,
        prefetch: 1,
        bad_grace: 10_000,
        ..Default::default()
    };
    let alone = run(&data, base.clone(), 18);
    assert!(
        alone.iter().any(|c| !c.5.is_empty()),
        "the bad picture was never met"
    );
    for (threads, prefetch) in [(2, 1), (3, 2), (8, 5)] {
        assert_eq!(
            run(
                &data,
                LoaderConfig {
                    threads,
                    prefetch,
                    ..base.clone()
                },
                18
            ),
            alone
        );
    }
    assert_ne!(run(&data, LoaderConfig { seed: 6, ..base }, 1)[0], alone[0]);
}

#[test]
fn every_epoch_shows_every_picture_once_in_another_order_and_with_other_crops() {
    let (_dir, data) = pictures(12);
    let seen = run(
        &data,
        LoaderConfig {
            batch: 4,
            threads: 2,
            ..Default::default()
        },
        6,
    );
    for epoch in 0..2 {
        let mut all: Vec<u32> = seen[epoch * 3..epoch * 3 + 3]
            .iter()
            .flat_map(|c| c.2.clone())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..12).collect::<Vec<u32>>());
    }
    assert_eq!(
        seen.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>(),
        [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]
    );
    assert_ne!(seen[0].2, seen[3].2);
}

#[test]
fn ranks_share_what_one_process_would_see() {
    let (_dir, data) = pictures(20);
    let whole = run(
        &data,
        LoaderConfig {
            batch: 6,
            threads: 2,
            ..Default::default()
        },
        5,
    );
    for world_size in [2, 3] {
        for rank in 0..world_size {
            let batch = 6 / world_size;
            let part = run(
                &data,
                LoaderConfig {
                    batch,
                    rank,
                    world_size,
                    threads: 2,
                    ..Default::default()
                },
                5,
            );
            for (part, whole) in part.iter().zip(&whole) {
                let mine = rank * batch..(rank + 1) * batch;
                assert_eq!(part.2, whole.2[mine.clone()]);
                for v in 0..2 {
                    let bytes = 32 * 32 * 3;
                    assert_eq!(part.3[v], whole.3[v][mine.start * bytes..mine.end * bytes]);
                }
                assert_eq!(part.4, whole.4[mine]);
            }
        }
    }
}

#[test]
fn a_resumed_run_goes_on_as_if_it_had_not_stopped() {
    let (_dir, data) = pictures(15);
    let base = LoaderConfig {
        batch: 4,
        threads: 2,
        seed: 3,
        ..Default::default()
    };
    let straight = run(&data, base.clone(), 11);
    for first_step in [1, 4, 10] {
        let resumed = run(
            &data,
            LoaderConfig {
                first_step,
                ..base.clone()
            },
            11 - first_step as usize,
        );
        assert_eq!(resumed, straight[first_step as usize..]);
    }
    // A million million steps in, the first batch comes without those before it, which would take years.
    run(
        &data,
        LoaderConfig {
            first_step: 1_000_000_000_000,
            ..base
        },
        1,
    );
}

#[test]
fn bad_pictures_are_named_counted_and_replaced() {
    let (dir, data) = pictures(40);
    let whole = std::fs::read(dir.path().join("002.png")).unwrap();
    std::fs::write(dir.path().join("002.png"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(dir.path().join("003.png"), b"").unwrap();
    std::fs::remove_file(dir.path().join("005.png")).unwrap();
    let mut loader = loader(
        &data,
        LoaderConfig {
            batch: 10,
            threads: 2,
            ..Default::default()
        },
    );
    let mut reasons = std::collections::BTreeMap::new();
    for _ in 0..loader.steps_per_epoch() {
        let batch = loader.next().unwrap();
        assert_eq!(batch.indices.len(), 10);
        assert!(batch.indices.iter().all(|i| ![2, 3, 5].contains(i)));
        for bad in &batch.bad {
            reasons.insert(
                bad.path.file_name().unwrap().to_str().unwrap().to_string(),
                bad.reason.clone(),
            );
        }
    }
    assert_eq!(
        reasons.keys().collect::<Vec<_>>(),
        ["002.png", "003.png", "005.png"],
        "{reasons:?}"
    );
    assert!(
        reasons["002.png"].contains("PNG") && reasons["003.png"].contains("empty"),
        "{reasons:?}"
    );
    assert!(reasons["005.png"].contains("No such file"), "{reasons:?}");
    let (seen, bad) = loader.counts();
    assert!(bad >= 3 && seen == 40 + bad, "{seen} {bad}");
}

#[test]
fn too_many_bad_pictures_end_the_run() {
    let (dir, data) = pictures(60);
    for index in 0..20 {
        std::fs::write(dir.path().join(format!("{index:03}.png")), b"nonsense").unwrap();
    }
    let config = LoaderConfig {
        batch: 6,
        threads: 2,
        ..Default::default()
    };
    let mut strict = loader(&data, config.clone());
    let error = loop {
        match strict.next() {
            Ok(_) => assert!(strict.counts().0 < 120),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(matches!(error, Error::TooManyBad { .. }), "{text}");
    assert!(
        text.contains("10 %") && text.contains(".png is not a picture"),
        "{text}"
    );
    assert!(strict.next().is_err(), "an ended loader stays ended");

    let mut patient = loader(
        &data,
        LoaderConfig {
            max_bad_fraction: 1.0,
            ..config
        },
    );
    (0..40).for_each(|_| drop(patient.next().unwrap()));
}

#[test]
fn a_vanished_folder_ends_the_run_and_does_not_hang() {
    let (dir, data) = pictures(8);
    let mut loader = loader(
        &data,
        LoaderConfig {
            batch: 4,
            threads: 2,
            ..Default::default()
        },
    );
    loader.next().unwrap();
    drop(dir);
    let error = (0..10)
        .find_map(|_| loader.next().err())
        .expect("reading a folder that is gone must fail");
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let (_dir, data) = pictures(3);
    let refuse = |augment: AugmentConfig, config: LoaderConfig| {
        PairMaker::new(augment)
            .and_then(|maker| Loader::new(Arc::clone(&data), maker, config))
            .unwrap_err()
            .to_string()
    };
    let small = LoaderConfig {
        batch: 2,
        ..Default::default()
    };
    assert!(
        refuse(
            augment(),
            LoaderConfig {
                batch: 4,
                ..Default::default()
            }
        )
        .contains("3 pictures")
    );
    assert!(
        refuse(
            augment(),
            LoaderConfig {
                prefetch: 0,
                ..small.clone()
            }
        )
        .contains("prefetch")
    );
    assert!(
        refuse(
            augment(),
            LoaderConfig {
                max_bad_fraction: 1.5,
                ..small.clone()
            }
        )
        .contains("max_bad_fraction")
    );
    assert!(
        refuse(
            AugmentConfig {
                min_scale: 0.0,
                ..augment()
            },
            small.clone()
        )
        .contains("min_scale")
    );
    assert!(
        refuse(
            AugmentConfig {
                image_size: 0,
                ..augment()
            },
            small
        )
        .contains("image_size")
    );
}
