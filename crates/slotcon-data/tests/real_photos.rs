//! The real photos: every one is listed, decoded and loaded, every label map read.
//!
//! The data folder is named by `SLOTCON_DATA` (default `../shared/data` from the project's root). Where it is missing
//! the tests are reported as ignored.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use slotcon_data::labelled::read_label_map;
use slotcon_data::picture::{DecodeOptions, decode_rgb};
use slotcon_data::{AugmentConfig, Dataset, Layout, Loader, LoaderConfig, PairMaker};

fn data_folder() -> PathBuf {
    match std::env::var_os("SLOTCON_DATA") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    }
}

fn open(part: &str, layout: Layout) -> Result<Dataset, Failed> {
    Ok(Dataset::open(&[data_folder().join(part)], layout)?)
}

/// Every photo decodes: a decoder that refuses real photos would replace them silently in training.
fn photos_decode() -> Result<(), Failed> {
    for part in [
        "coco/train2017",
        "coco/val2017",
        "camvid/images",
        "coco27/images",
        "cocostuff/images",
    ] {
        let data = open(part, Layout::Folder)?;
        for i in 0..data.len() {
            decode_rgb(&data.path(i), &DecodeOptions::default())
                .map_err(|e| format!("{}: {e}", data.path(i).display()))?;
        }
        println!("{part}: {} pictures", data.len());
    }
    Ok(())
}

fn labels_fit_their_classes() -> Result<(), Failed> {
    for (part, classes, ignore) in [
        ("camvid/labels", 11, 11),
        ("coco27/labels", 27, 255),
        ("cocostuff/labels", 182, 255),
    ] {
        let data = open(part, Layout::Folder)?;
        for i in 0..data.len() {
            let map = read_label_map(&data.path(i))?;
            let beyond = map.ids().iter().find(|&&id| id >= classes && id != ignore);
            if let Some(id) = beyond {
                return Err(format!("{}: id {id} of {classes} classes", data.path(i).display()).into());
            }
        }
    }
    Ok(())
}

fn an_epoch_of_coco_loads() -> Result<(), Failed> {
    let data = open("coco", Layout::Coco)?;
    let config = LoaderConfig {
        batch: 16,
        ..Default::default()
    };
    let mut loader = Loader::new(
        Arc::new(data),
        PairMaker::new(AugmentConfig {
            image_size: 96,
            ..Default::default()
        })?,
        config,
    )?;
    for _ in 0..loader.steps_per_epoch() {
        let batch = loader.next()?;
        let coords = batch.info.iter().flat_map(|pair| pair.coords).flatten();
        if let Some(c) = coords.into_iter().find(|c| !(0.0..=1.0).contains(c)) {
            return Err(format!("coordinate {c}").into());
        }
        for view in &batch.pixels {
            let mean = view.iter().map(|&v| f64::from(v)).sum::<f64>() / view.len() as f64;
            if !(60.0..200.0).contains(&mean) {
                return Err(format!("the mean value of a batch of photos is {mean}").into());
            }
        }
    }
    match loader.counts() {
        (_, 0) => Ok(()),
        (seen, bad) => Err(format!("{bad} of {seen} photos could not be used").into()),
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let missing = !data_folder().join("coco/train2017").is_dir();
    if missing {
        eprintln!(
            "NOT TESTED: no real photos in {}; set SLOTCON_DATA to them",
            data_folder().display()
        );
    }
    let trials = vec![
        Trial::test("photos_decode", photos_decode),
        Trial::test("labels_fit_their_classes", labels_fit_their_classes),
        Trial::test("an_epoch_of_coco_loads", an_epoch_of_coco_loads),
    ];
    let trials = trials.into_iter().map(|t| t.with_ignored_flag(missing)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}
