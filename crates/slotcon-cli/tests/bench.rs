//! `slotcon bench` and `slotcon demo` as a user runs them, small: what they print can be relied on.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::process::Command;

use common::{Place, fail, slotcon, succeed};
use serde_json::Value;

/// The JSON object in the last line of standard output.
fn last_line(output: &std::process::Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

const SMALL: [&str; 10] = [
    "--set",
    "data.image_size=64",
    "--set",
    "model.arch=resnet18",
    "--set",
    "model.dim_hidden=32",
    "--set",
    "model.prototypes=8",
    "--set",
    "optim.batch=4",
];

#[test]
fn a_step_is_timed_with_its_parts() {
    let place = Place::new(8);
    for data in [false, true] {
        let mut bench = slotcon();
        bench.args([
            "bench", "step", "--device", "cpu", "--json", "--warmup", "1", "--steps", "3",
        ]);
        bench.args(SMALL);
        if data {
            bench.args(["--set", "data.layout=folder", "--data"]);
            bench.arg(place.pictures());
        }
        let times = last_line(&succeed(&mut bench));
        let number = |key: &str| times[key].as_f64().unwrap();
        assert!(number("min_s") > 0.0 && number("min_s") <= number("median_s"));
        assert!(number("peak_mb") > 1.0);
        let rate = 4.0 / number("median_s");
        assert!((number("pictures_per_second") / rate - 1.0).abs() < 1e-9);
        let parts = times["parts_s"].as_object().unwrap();
        for part in ["student_forward", "teacher_forward", "backward", "optimizer"] {
            assert!(parts[part].as_f64().unwrap() > 0.0, "{part} in {parts:?}");
        }
        let waits = parts.keys().any(|part| part.contains("data"));
        assert_eq!(waits, data, "waiting for data in {parts:?}");
    }
}

#[test]
fn the_data_path_is_timed_by_stage_and_bad_folders_are_named() {
    let place = Place::new(6);
    let bench = |folder: &std::path::Path| {
        let mut bench = slotcon();
        bench.args(["bench", "data", "--seconds", "0.3", "--json", "--data"]);
        bench.arg(folder);
        bench
    };
    let report = last_line(&succeed(&mut bench(&place.pictures())));
    let number = |key: &str| report[key].as_f64().unwrap();
    assert!(number("pictures") > 0.0 && number("threads") == 1.0);
    assert!(number("pictures_per_second") > 0.0 && number("decode_only_pictures_per_second") > 0.0);
    let stages = report["stages_us"].as_object().unwrap();
    assert!(stages.values().all(|time| time.as_f64().unwrap() >= 0.0) && stages.len() > 2);
    let nowhere = place.path("nowhere");
    assert!(fail(&mut bench(&nowhere)).contains("nowhere"));
}

#[test]
fn the_demo_leaves_a_run_with_its_report_and_measures_it() {
    let place = Place::new(1);
    let out = place.path("demo");
    let mut demo = slotcon();
    demo.args(["demo", "--device", "cpu", "--steps", "2", "--json", "--out"]);
    let output = succeed(demo.arg(&out));
    let measured = last_line(&output);
    for figure in ["miou", "pixel_accuracy"] {
        for of in [
            &measured,
            &measured["prototypes"],
            &measured["baselines"]["untrained"],
            &measured["baselines"]["colour_kmeans"],
        ] {
            let value = of[figure].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value), "{figure} {value}");
        }
    }
    for file in [
        "report.html",
        "checkpoints/last.safetensors",
        "groups.safetensors",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }
    // What it says to type next can be typed.
    let said = String::from_utf8_lossy(&output.stderr);
    let typed = said.lines().find(|line| line.contains(" segment ")).unwrap();
    let mut words = typed.split_whitespace();
    let mut segment = Command::new(words.next().unwrap());
    segment.args(words).args(["--device", "cpu"]);
    succeed(&mut segment);
    assert!(out.join("masks").is_dir());
}
