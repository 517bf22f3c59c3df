//! Detections in pycocotools, and whole detectors under detectron2's names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use slotcon_nn::Store;
use slotcon_train::TaskRecipe;
use slotcon_train::checkpoint::{self, Progress};
use slotcon_train::optim::Optimizer;
use slotcon_transfer::instances::{InstancesRecipe, MaskRcnn};
use tch::{Device, Kind};

use super::common::rectangles::{evaluated, finetune, set};
use super::common::{bytes, slotcon, succeed};
use super::{run, unlike_fresh};

#[test]
#[ignore = "needs Python with pycocotools: cargo xtask test --interop"]
fn detections_are_worth_the_same_there() {
    let place = set(8);
    let training = [
        "--backbone",
        "none",
        "--steps",
        "12",
        "--set",
        "run.validate_every=0",
    ];
    succeed(&mut finetune(&place, "run", &training));
    let checkpoint = place.path("run/checkpoints/last.safetensors");
    let ours = evaluated(&place, &checkpoint);
    assert!(
        ours["segm"]["AP"].as_f64().unwrap() > 0.0,
        "nothing is found: {ours}"
    );
    fs::write(place.path("ours.json"), ours.to_string()).unwrap();

    // What `detect` writes is by file; with the threshold of evaluation it is the same detections.
    let mut detect = slotcon();
    detect.args([
        "detect",
        "--device",
        "cpu",
        "--threshold",
        "0.05",
        "--no-overlays",
    ]);
    detect.arg("--checkpoint").arg(&checkpoint);
    detect.arg("--out").arg(place.path("found"));
    succeed(detect.arg(place.path("set/train")));

    let annotations = place.path("set/annotations/instances_train.json");
    let truth: Value = serde_json::from_slice(&bytes(&annotations)).unwrap();
    let pictures = truth["images"].as_array().unwrap().iter();
    let numbers: BTreeMap<&str, &Value> = pictures
        .map(|picture| (picture["file_name"].as_str().unwrap(), &picture["id"]))
        .collect();
    let case = json!({
        "annotations": annotations,
        "results": "results.json",
        "detected": "found/results.json",
        "pictures": numbers,
        "ours": "ours.json",
    });
    fs::write(place.path("detections.json"), case.to_string()).unwrap();
    run("detector.py", "detections", &place.path("."));
}

/// Where detectron2's state dicts are recorded: here, and in further folders of golden values.
fn recorded() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let further = std::env::var_os("SLOTCON_FIXTURES").unwrap_or_default();
    let folders = std::iter::once(here).chain(std::env::split_paths(&further));
    let files = folders.flat_map(|folder| {
        let entries = fs::read_dir(folder.join("transfer")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("maskrcnn_r") && name.ends_with(".json")
        })
    });
    files.collect()
}

#[test]
#[ignore = "needs Python with numpy: cargo xtask test --interop"]
fn an_exported_detector_has_the_tensors_of_detectron2() {
    let folder = tempfile::tempdir().unwrap();
    let cases = recorded();
    assert!(!cases.is_empty(), "no state dict of detectron2 is recorded");
    let mut listed = Vec::new();
    for (number, path) in cases.iter().enumerate() {
        let record: Value = serde_json::from_slice(&bytes(path)).unwrap();
        let classes = record["config"]["classes"].as_i64().unwrap();
        let names = Vec::from_iter((0..classes).map(|class| format!("class {class}")));
        let settings = [
            format!("model.arch=resnet{}", record["config"]["depth"]),
            format!("data.classes={names:?}"),
        ];
        let recipe = InstancesRecipe::load("coco-maskrcnn-r50-fpn-90k", &settings).unwrap();
        let store = Store::new(Device::Cpu, Kind::Float);
        let _ = MaskRcnn::new(&store.root(), recipe.network(classes).unwrap());
        unlike_fresh(&store);
        let checkpoint = folder.path().join(format!("{number}.safetensors"));
        let optimizer = Optimizer::new(recipe.optim.config(), &store, Vec::new());
        checkpoint::save(
            &checkpoint,
            &store,
            &optimizer,
            &recipe,
            &Progress::new(10, 10, 80),
        )
        .unwrap();
        let file = format!("{number}.pkl");
        let mut export = slotcon();
        export.args(["export", "--format", "detectron2", "--checkpoint"]);
        export.arg(&checkpoint).arg("--out");
        succeed(export.arg(folder.path().join(&file)));
        listed
            .push(json!({"file": file, "checkpoint": checkpoint, "record": path, "names": record["names"]}));
    }
    fs::write(
        folder.path().join("detectors.json"),
        Value::from(listed).to_string(),
    )
    .unwrap();
    run("detector.py", "exported", folder.path());
}

#[test]
#[ignore = "needs Python with numpy: cargo xtask test --interop"]
fn files_in_the_layouts_of_detectron2s_zoo_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases = recorded().into_iter().map(|path| {
        let record: Value = serde_json::from_slice(&bytes(&path)).unwrap();
        json!({"record": path, "names": record["names"]})
    });
    let listed = Value::from(Vec::from_iter(cases));
    assert!(
        !listed.as_array().unwrap().is_empty(),
        "no state dict of detectron2 is recorded"
    );
    fs::write(folder.path().join("detectors.json"), listed.to_string()).unwrap();
    run("detector.py", "zoo", folder.path());
}
