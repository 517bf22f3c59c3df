//! Fine-tuning for semantic segmentation as a user does it, on drawn scenes: it learns, is killed and goes on, is measured, starts
//! from a pretrained backbone, and says what is wrong before the first step.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Place, bytes, fail, slotcon, succeed};
use serde_json::Value;

fn scenes(place: &Place) -> PathBuf {
    place.path("scenes")
}

/// `slotcon finetune semantic` of a small network on the scenes, into `run`.
fn finetune(place: &Place, run: &str, backbone: &str, more: &[&str]) -> Command {
    let mut command = slotcon();
    command.args(["finetune", "semantic", "--device", "cpu", "--backbone", backbone]);
    command
        .arg("--data")
        .arg(scenes(place))
        .arg("--out")
        .arg(place.path(run));
    for setting in [
        "data.frame=[64, 64]",
        "data.crop=64",
        "data.threads=2",
        "model.head_channels=16",
        "test.test_frame=[64, 64]",
        "optim.batch=4",
        "run.steps=8",
        "run.threads=1",
        "run.log_every=1",
        "run.save_every=2",
        "run.validate_every=4",
    ] {
        command.args(["--set", setting]);
    }
    command.args(more);
    command
}

fn last(place: &Place, run: &str) -> Vec<u8> {
    bytes(&place.path(run).join("checkpoints/last.safetensors"))
}

#[test]
fn a_killed_run_goes_on_and_is_measured_as_it_measured_itself() {
    let place = Place::new(8);
    succeed(&mut finetune(&place, "whole", "none", &[]));

    let mut child = finetune(&place, "killed", "none", &[]).spawn().unwrap();
    let start = Instant::now();
    while place.metrics("killed").len() < 5 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        assert!(start.elapsed() < Duration::from_secs(300));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(finetune(&place, "killed", "none", &[]).arg("--resume"));
    assert_eq!(place.metrics("killed"), place.metrics("whole"));
    assert!(
        last(&place, "killed") == last(&place, "whole"),
        "the checkpoints differ"
    );

    let metrics = place.metrics("whole");
    let validated = metrics.iter().find(|line| line["step"] == 8).unwrap();
    let mut evaluate = slotcon();
    evaluate.args(["evaluate", "semantic", "--json", "--device", "cpu"]);
    evaluate
        .arg("--checkpoint")
        .arg(place.path("whole/checkpoints/last.safetensors"));
    evaluate.arg("--data").arg(scenes(&place));
    let output = succeed(&mut evaluate);
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for key in ["miou", "pixel_accuracy"] {
        let (own, now) = (
            validated["validation"][key].as_f64().unwrap(),
            found[key].as_f64().unwrap(),
        );
        assert!(
            (own - now).abs() < 1e-9,
            "{key}: {own} while it learned, {now} now"
        );
    }
    assert!(found["iou"].is_object() && found["accuracy"].is_object() && found["protocol"].is_string());
    // Several scales and the mirrored picture are another protocol, and say so.
    let output = succeed(evaluate.args(["--scales", "0.75,1", "--mirror"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let several: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(
        several["protocol"]
            .as_str()
            .unwrap()
            .contains("[0.75, 1.0], mirrored")
    );

    for file in ["report.html", "recipe.toml", "checkpoints/best.safetensors"] {
        assert!(place.path("whole").join(file).exists(), "{file}");
    }
    let report = std::fs::read_to_string(place.path("whole/report.html")).unwrap();
    assert!(
        report.contains("Truth and prediction")
            && report.contains("IoU by class")
            && report.contains("data:image/jpeg")
    );
}

#[test]
fn it_starts_from_a_pretrained_run_and_a_frozen_backbone_stays_as_it_came() {
    let place = Place::new(8);
    succeed(&mut place.pretrain("pretrained", &["--steps", "2"]));
    let run = place.path("pretrained");
    let run = run.to_str().unwrap();
    let more = [
        "--steps",
        "2",
        "--set",
        "model.freeze_backbone=true",
        "--set",
        "model.head_convolutions=0",
    ];
    let output = succeed(&mut finetune(&place, "probe", run, &more));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("120 of its tensors taken") && said.contains("encoder_k"),
        "{said}"
    );

    let tensors = |path: PathBuf| slotcon_weights::WeightFile::open(&path).unwrap().tensors;
    let before = tensors(place.path("pretrained/checkpoints/last.safetensors"));
    let after = tensors(place.path("probe/checkpoints/last.safetensors"));
    let mut compared = 0;
    for (name, tensor) in &before {
        let Some(rest) = name.strip_prefix("model.encoder_k.") else {
            continue;
        };
        let found = after
            .iter()
            .find(|(name, _)| *name == format!("model.backbone.{rest}"));
        assert!(&found.unwrap().1 == tensor, "{rest} has changed");
        compared += 1;
    }
    assert_eq!(compared, 120);
    // A checkpoint of another task is named as such.
    let said = fail(
        slotcon()
            .args(["evaluate", "semantic", "--checkpoint", run, "--data"])
            .arg(scenes(&place)),
    );
    assert!(
        said.contains("'pretrain'") && said.contains("'semantic'"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_is_said_before_the_first_step() {
    let place = Place::new(4);
    let refuse = |command: &mut Command, words: &[&str]| {
        let said = fail(command);
        for word in words {
            assert!(said.contains(word), "'{word}' is not in: {said}");
        }
        assert!(!place.path("bad").exists(), "something was written");
    };
    // A backbone of another architecture: how many of its tensors do not fit.
    succeed(&mut place.pretrain("pretrained", &["--steps", "2"]));
    let run = place.path("pretrained");
    let other = ["--set", "model.arch=resnet50"];
    refuse(
        &mut finetune(&place, "bad", run.to_str().unwrap(), &other),
        &["do not fit", "missing"],
    );
    // A picture without its map.
    let labels = scenes(&place).join("labels/train");
    let map = std::fs::read_dir(&labels)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let kept = bytes(&map);
    std::fs::remove_file(&map).unwrap();
    refuse(&mut finetune(&place, "bad", "none", &[]), &["has no label map"]);
    // A label that is no class.
    let file = std::fs::File::create(&map).unwrap();
    let mut encoder = png::Encoder::new(file, 64, 64);
    encoder.set_color(png::ColorType::Grayscale);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[77; 64 * 64])
        .unwrap();
    let name = map.file_name().unwrap().to_str().unwrap();
    refuse(
        &mut finetune(&place, "bad", "none", &[]),
        &[name, "label 77 at column 0, row 0"],
    );
    std::fs::write(&map, kept).unwrap();
    // Classes that nobody names.
    std::fs::remove_file(scenes(&place).join("classes.json")).unwrap();
    refuse(&mut finetune(&place, "bad", "none", &[]), &["--classes FILE"]);
}
