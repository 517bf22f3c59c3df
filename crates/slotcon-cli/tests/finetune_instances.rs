//! Fine-tuning for instance segmentation as a user does it, on drawn rectangles: it learns, is killed and goes on, detects, goes to
//! detectron2's format and comes back, and says what is wrong before the first step.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::rectangles::{evaluated, finetune, set};
use common::{Place, bytes, fail, kill_after, slotcon, succeed};
use serde_json::Value;

fn last(place: &Place, run: &str) -> PathBuf {
    place.path(run).join("checkpoints/last.safetensors")
}

/// The network's tensors in a checkpoint.
fn model(checkpoint: PathBuf) -> BTreeMap<String, tch::Tensor> {
    let file = slotcon_weights::WeightFile::open(&checkpoint).unwrap();
    let tensors = file.tensors.into_iter();
    tensors.filter(|(name, _)| name.starts_with("model.")).collect()
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_been() {
    let place = set(8);
    let output = succeed(&mut finetune(&place, "whole", &["--backbone", "none"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("8 pictures with 8 objects of 2 classes"), "{said}");
    assert!(said.contains("measured over 2 batches"), "{said}");

    kill_after(
        &mut finetune(&place, "killed", &["--backbone", "none"]),
        &place,
        "killed",
        3,
    );
    succeed(finetune(&place, "killed", &["--backbone", "none"]).arg("--resume"));
    assert_eq!(place.metrics("killed"), place.metrics("whole"));
    assert!(
        bytes(&last(&place, "killed")) == bytes(&last(&place, "whole")),
        "the checkpoints differ"
    );

    let first = &place.metrics("whole")[0];
    for part in [
        "class_loss",
        "box_loss",
        "mask_loss",
        "objectness_loss",
        "anchor_loss",
    ] {
        assert!(first[part].as_f64().unwrap() > 0.0, "{part}");
    }
    let report = std::fs::read_to_string(place.path("whole/report.html")).unwrap();
    assert!(report.contains("Truth and detections") && report.contains("AP by class"));
    assert!(report.contains("data:image/jpeg"), "no picture is shown");
}

/// The loss of the first step is that of one process but for the means over each rank's own regions; what is measured over both ranks
/// is what one process finds of the checkpoint.
#[test]
fn two_ranks_train_and_measure_together() {
    let place = set(8);
    let length = ["--backbone", "none", "--steps", "3"];
    succeed(&mut finetune(&place, "alone", &length));
    succeed(&mut finetune(
        &place,
        "two",
        &[&length[..], &["--ranks", "2"]].concat(),
    ));
    let (alone, two) = (place.metrics("alone"), place.metrics("two"));
    let anchors = |line: &Value| line["objectness_loss"].as_f64().unwrap();
    assert!((anchors(&alone[0]) - anchors(&two[0])).abs() < 1e-4);
    let again = evaluated(&place, &last(&place, "two"));
    for kind in ["bbox", "segm"] {
        let (here, there) = (&two[2][kind]["AR100"], &again[kind]["AR100"]);
        assert!(here.as_f64().unwrap() > 0.0, "nothing is ever found");
        assert_eq!(here, there);
    }
}

/// What was measured while it learned is in the metrics, in the report, and what `evaluate instances` finds of the best checkpoint.
#[test]
fn it_is_measured_while_it_learns() {
    let place = set(4);
    let output = succeed(&mut finetune(&place, "run", &["--backbone", "none"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("validation after step 2: bbox/AP"), "{said}");

    let metrics = place.metrics("run");
    let measured = |line: &&Value| line.get("segm").is_some();
    let steps = metrics.iter().filter(measured).map(|line| line["step"].as_u64());
    assert_eq!(Vec::from_iter(steps), [Some(2), Some(4), Some(6)]);
    let of = |line: &Value| line["segm"]["AP"].as_f64().unwrap();
    let mut best = &metrics[1];
    for line in metrics.iter().filter(measured) {
        for kind in ["bbox", "segm"] {
            let numbers = line[kind].as_object().unwrap();
            assert!(
                numbers
                    .values()
                    .all(|v| (0.0..=1.0).contains(&v.as_f64().unwrap()))
            );
            // There are no small and no large objects.
            assert_eq!(
                Vec::from_iter(numbers.keys().map(String::as_str)).len(),
                8,
                "{numbers:?}"
            );
        }
        // The first of equals is the best.
        best = if of(line) > of(best) { line } else { best };
    }
    assert!(of(best) > 0.0, "nothing is ever found");

    let again = evaluated(&place, &place.path("run/checkpoints/best.safetensors"));
    for kind in ["bbox", "segm"] {
        for (name, value) in best[kind].as_object().unwrap() {
            assert_eq!(&again[kind][name], value, "{kind} {name}");
        }
    }

    let details: Value = serde_json::from_slice(&bytes(&place.path("run/validation.json"))).unwrap();
    assert_eq!(details["segm"]["AP"], metrics[5]["segm"]["AP"]);
    let of_class = 100.0 * details["bbox"]["per_category"]["dark"].as_f64().unwrap();
    let report = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    let (_, row) = report
        .split_once("<tr><td>dark</td><td class=\"figures\">")
        .expect("a row of the class");
    let shown: f64 = row.split_once(" %").unwrap().0.parse().unwrap();
    // The page rounds to two digits.
    assert!(
        (shown - of_class).abs() <= 0.05 * of_class.max(1.0),
        "{shown} of {of_class}"
    );
    assert!(report.contains("AP of masks on them"), "no curve of AP");

    // Measuring, with the statistics of batch norm measured before it, leaves no trace in training.
    let at_the_end = ["--backbone", "none", "--set", "run.validate_every=0"];
    succeed(&mut finetune(&place, "unmeasured", &at_the_end));
    let unmeasured = place.metrics("unmeasured");
    let validated = |line: &Value| line.get("segm").is_some();
    assert_eq!(
        Vec::from_iter(unmeasured.iter().map(validated)),
        [false, false, false, false, false, true]
    );
    for (one, other) in metrics.iter().zip(&unmeasured) {
        assert_eq!(one["loss"], other["loss"]);
    }
    assert_eq!(model(last(&place, "run")), model(last(&place, "unmeasured")));
}

#[test]
fn a_detector_goes_to_detectron2_and_comes_back() {
    let place = set(4);
    succeed(&mut finetune(
        &place,
        "run",
        &["--backbone", "none", "--steps", "3"],
    ));
    let pickle = place.path("detector.pkl");
    let mut export = slotcon();
    export
        .args(["export", "--format", "detectron2", "--checkpoint"])
        .arg(last(&place, "run"));
    let output = succeed(export.arg("--out").arg(&pickle));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("roi_heads.mask_head.predictor.weight"), "{said}");

    let back = place.path("back.safetensors");
    let mut import = slotcon();
    import
        .arg("import")
        .arg("--from")
        .arg(&pickle)
        .arg("--out")
        .arg(&back);
    import
        .arg("--annotations")
        .arg(place.path("set/annotations/instances_train.json"));
    for setting in ["test.short_side=96", "test.long_side=96"] {
        import.args(["--set", setting]);
    }
    succeed(&mut import);
    assert_eq!(model(back.clone()), model(last(&place, "run")));

    // Both find the same; so early everything is guessed, so that the threshold is low.
    let detect = |checkpoint: PathBuf, out: &str| {
        let mut command = slotcon();
        command
            .args(["detect", "--device", "cpu", "--threshold", "0.01", "--checkpoint"])
            .arg(checkpoint);
        command
            .arg("--out")
            .arg(place.path(out))
            .arg(place.path("set/train"));
        succeed(&mut command);
        let text = bytes(&place.path(out).join("results.json"));
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let (own, imported) = (detect(last(&place, "run"), "own"), detect(back, "imported"));
    assert_eq!(own, imported);
    let found = own["1.png"].as_array().unwrap();
    assert!(!found.is_empty(), "nothing is found at all");
    assert!(found[0]["segmentation"]["counts"].is_string());
    assert!([3, 7].contains(&found[0]["category_id"].as_i64().unwrap()));
    assert!(place.path("own/1.png.overlay.png").is_file());
}

/// Two categories learnt and measured as one class; the checkpoint knows that they were.
#[test]
fn categories_are_merged_as_the_recipe_says() {
    let place = set(8);
    let merge = |classes: &str| format!("data.merge={classes}");
    let both = merge("{ thing = [\"dark\", \"light\"] }");
    let training = ["--backbone", "none", "--steps", "4", "--set", &both];
    let output = succeed(&mut finetune(&place, "run", &training));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("8 pictures with 8 objects of 1 classes"), "{said}");
    let found = evaluated(&place, &last(&place, "run"));
    let classes = found["bbox"]["per_category"].as_object().unwrap();
    assert_eq!(Vec::from_iter(classes.keys()), ["thing"]);
    assert_eq!(found["bbox"]["AP"], place.metrics("run")[3]["bbox"]["AP"]);
    let results: Value = serde_json::from_slice(&bytes(&place.path("results.json"))).unwrap();
    assert_eq!(results[0]["category_id"], 1);
    let report = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(report.contains("<tr><td>thing</td>") && report.contains("data:image/jpeg"));

    // One alone: half of the pictures have nothing of it.
    let light = merge("{ thing = [\"light\"] }");
    let output = succeed(&mut finetune(
        &place,
        "half",
        &["--backbone", "none", "--steps", "2", "--set", &light],
    ));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("4 objects left out, of a category in no class of data.merge"),
        "{said}"
    );
    let wrong = merge("{ thing = [\"lihgt\"] }");
    let said = fail(&mut finetune(
        &place,
        "wrong",
        &["--backbone", "none", "--set", &wrong],
    ));
    assert!(
        said.contains("'lihgt' of 'thing'") && said.contains("light, dark"),
        "{said}"
    );
    assert!(said.contains("instances_train.json"), "{said}");
}

#[test]
fn what_is_wrong_is_said_before_the_first_step() {
    let place = set(4);
    let annotations = place.path("set/annotations/instances_train.json");
    let good = std::fs::read_to_string(&annotations).unwrap();
    let refuse = |text: &str, words: &[&str]| {
        std::fs::write(&annotations, text).unwrap();
        let said = fail(&mut finetune(&place, "bad", &["--backbone", "none"]));
        for word in words {
            assert!(said.contains(word), "'{word}' is not in: {said}");
        }
        assert!(!place.path("bad").exists(), "something was written");
    };
    refuse("{", &["instances_train.json", "no COCO annotation file"]);
    refuse(
        &good.replace("\"image_id\":11", "\"image_id\":99"),
        &["picture 99"],
    );
    refuse(&good.replace("\"id\":11,", "\"id\":10,"), &["one number, 10"]);
    refuse(
        &good.replace("\"width\":96", "\"width\":97"),
        &["4 pictures", "96x96 instead of 97x96"],
    );
    std::fs::write(&annotations, &good).unwrap();
    // One that is missing is left out, with a line.
    std::fs::remove_file(place.path("set/train/3.png")).unwrap();
    let more = ["--backbone", "none", "--steps", "3", "--set", "optim.batch=2"];
    let output = succeed(&mut finetune(&place, "fewer", &more));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("1 picture left out, not there") && said.contains("3.png"),
        "{said}"
    );
}
