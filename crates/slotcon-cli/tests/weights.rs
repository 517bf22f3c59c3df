//! Weights out of a run and in again, as real processes.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::fs;

use common::{Place, bytes, fail, slotcon, succeed};

/// A run of three epochs of three steps on data that the official layout knows, whose recipe its command line can say.
const EPOCHS: [&str; 14] = [
    "--recipe",
    "coco-r50-800ep",
    "--set",
    "run.save_every_epochs=0",
    "--set",
    "data.layout=coco",
    "--set",
    "run.epochs=3",
    "--set",
    "optim.warmup_epochs=1",
    "--set",
    "run.keep=5",
    "--set",
    "run.seed=3",
];

fn coco() -> Place {
    let place = Place::new(12);
    let pictures = place.pictures();
    fs::create_dir(pictures.join("train2017")).unwrap();
    for entry in fs::read_dir(&pictures).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::rename(&path, pictures.join("train2017").join(path.file_name().unwrap())).unwrap();
        }
    }
    place
}

#[test]
fn a_run_goes_through_the_official_layout_as_if_nothing_had_happened() {
    let place = coco();
    // The official code knows no output stride but the architecture's own.
    succeed(
        place
            .pretrain("whole", &EPOCHS)
            .args(["--set", "model.output_stride=0"]),
    );
    let after_one_epoch = place.path("whole/checkpoints/step-00000003.safetensors");
    let official = place.path("official.pth");
    let mut export = slotcon();
    export
        .args(["export", "--format", "official", "--checkpoint"])
        .arg(after_one_epoch);
    succeed(export.arg("--out").arg(&official));

    let mut import = slotcon();
    import
        .arg("import")
        .arg("--from")
        .arg(&official)
        .arg("--out")
        .arg(place.path("again"));
    let said = succeed(&mut import);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("0 missing, 0 unexpected") && said.contains("step 3 of 9"),
        "{said}"
    );
    let twice = fail(&mut import);
    assert!(twice.contains("already holds a run"), "{twice}");

    let mut resume = slotcon();
    resume
        .arg("pretrain")
        .arg("--resume")
        .arg("--data")
        .arg(place.pictures());
    resume
        .arg("--out")
        .arg(place.path("again"))
        .args(["--device", "cpu"]);
    // What the official command line does not say, and what no result depends on.
    for free in [
        "run.threads=1",
        "run.log_every=1",
        "run.save_every=3",
        "run.keep=5",
        "data.threads=2",
    ] {
        resume.args(["--set", free]);
    }
    succeed(&mut resume);
    let last = |run: &str| bytes(&place.path(run).join("checkpoints/last.safetensors"));
    assert!(last("whole") == last("again"), "the checkpoints differ");
    assert_eq!(place.metrics("whole")[3..], place.metrics("again"));
}

#[test]
fn a_run_starts_from_a_backbone() {
    let place = Place::new(12);
    succeed(&mut place.pretrain("first", &["--steps", "3"]));
    let checkpoint = place.path("first/checkpoints/last.safetensors");
    let backbone = place.path("backbone.pth");
    let mut export = slotcon();
    export.args(["export", "--format", "torchvision", "--which", "student"]);
    export
        .arg("--checkpoint")
        .arg(&checkpoint)
        .arg("--out")
        .arg(&backbone);
    succeed(&mut export);
    let exists = fail(&mut export);
    assert!(exists.contains("--overwrite"), "{exists}");
    for (format, out) in [("hub", "hub"), ("onnx", "x.onnx")] {
        let mut export = slotcon();
        export.args(["export", "--format", format, "--checkpoint"]);
        export.arg(&checkpoint).arg("--out").arg(place.path(out));
        if format == "onnx" {
            let said = fail(&mut export);
            assert!(said.contains("pip install 'slotcon[onnx]'"), "{said}");
            continue;
        }
        succeed(&mut export);
        let card = fs::read_to_string(place.path("hub/README.md")).unwrap();
        assert!(card.contains("slot_loss at the end"), "{card}");
        let exists = fail(&mut export);
        assert!(exists.contains("--overwrite"), "{exists}");
        succeed(export.arg("--overwrite"));
    }

    let mut start = place.pretrain("second", &["--steps", "3"]);
    succeed(start.arg("--init-backbone").arg(&backbone));
    let log = fs::read_to_string(place.path("second/log.txt")).unwrap();
    assert!(
        log.contains("120 tensors matched, 0 missing, 0 unexpected"),
        "{log}"
    );

    // Another network: nothing is begun.
    let mut other = place.pretrain("third", &["--set", "model.arch=resnet34"]);
    let said = fail(other.arg("--init-backbone").arg(&backbone));
    assert!(
        said.contains("missing: layer1.2.conv1.weight [64, 64, 3, 3]"),
        "{said}"
    );
    assert!(!place.path("third").exists());
}

#[test]
fn inspect_says_what_a_file_is() {
    let place = Place::new(12);
    succeed(&mut place.pretrain("run", &["--steps", "3"]));
    let mut inspect = slotcon();
    inspect
        .arg("inspect")
        .arg(place.path("run/checkpoints/last.safetensors"));
    let table = String::from_utf8(succeed(&mut inspect).stdout).unwrap();
    assert!(
        table.contains("slotcon-checkpoint") && table.contains("encoder_q.conv1.weight"),
        "{table}"
    );
    let output = succeed(inspect.arg("--json")).stdout;
    let last = String::from_utf8(output)
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .to_owned();
    let json: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(json["kind"], "slotcon-checkpoint");
    assert_eq!((&json["arch"], &json["step"]), (&"resnet18".into(), &3.into()));
    let tensors = json["tensors"].as_array().unwrap();
    let first = tensors
        .iter()
        .find(|t| t["name"] == "model.encoder_q.conv1.weight")
        .unwrap();
    assert_eq!(first["shape"], serde_json::json!([64, 3, 7, 7]));
    assert!(first["norm"].as_f64().unwrap() > 0.0);

    let harm = place.path("harm.pth");
    fs::write(&harm, b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.").unwrap();
    let said = fail(slotcon().arg("inspect").arg(&harm));
    assert!(said.contains("refused: it asks for posix.system"), "{said}");
    let gone = fail(slotcon().arg("inspect").arg(place.path("gone")));
    assert!(gone.contains("gone"), "{gone}");
}
