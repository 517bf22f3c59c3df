//! The folder for the Hub in timm: strict loading with none of our code, and our features by what the model card says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use slotcon::method::Mode;
use slotcon::recipe::Recipe;
use slotcon_data::Picture;
use slotcon_train::normalise::normalise;
use tch::Device;

use super::{model, photo, run, save, write};

/// Backbone and output stride (0: its own).
const CASES: [(&str, i64); 8] = [
    ("resnet10", 16),
    ("resnet18", 16),
    ("resnet34", 8),
    ("resnet50", 0),
    ("resnet50_16s", 0),
    ("resnet50_d", 8),
    ("resnet18_c", 16),
    ("resnext101_32x8d", 0),
];

#[test]
#[ignore = "needs Python with timm: cargo xtask test --interop"]
fn a_folder_for_the_hub_gives_our_features_in_timm() {
    let folder = tempfile::tempdir().unwrap();
    let picture = photo(folder.path());
    let cases = CASES.map(|(arch, stride)| case(folder.path(), &picture, arch, stride));
    fs::write(
        folder.path().join("hub.json"),
        serde_json::to_string(&cases).unwrap(),
    )
    .unwrap();
    run("hub.py", "compare", folder.path());
}

fn case(folder: &Path, picture: &Picture, arch: &str, stride: i64) -> serde_json::Value {
    let mut recipe = Recipe::default();
    recipe.model.arch = arch.into();
    recipe.model.output_stride = stride;
    recipe.model.dim_hidden = 8;
    recipe.model.dim_out = 4;
    recipe.model.prototypes = 4;
    let model = model(&recipe);
    let name = format!("{arch}-{stride}");
    let checkpoint = folder.join(format!("{name}.safetensors"));
    save(&model, &recipe, &checkpoint);
    let pixels = normalise(picture.rgb(), 224, 224, Device::Cpu);
    let features = {
        let _guard = tch::no_grad_guard();
        model.teacher().backbone(&pixels, Mode::default()).unwrap()
    };
    let expected = format!("{name}.expected.safetensors");
    write(
        &folder.join(&expected),
        &[("pictures", &pixels), ("features", &features)],
    );
    let mut export = Command::new(env!("CARGO_BIN_EXE_slotcon"));
    export.args([
        "export",
        "--format",
        "hub",
        "--license",
        "apache-2.0",
        "--checkpoint",
    ]);
    let output = export
        .arg(&checkpoint)
        .arg("--out")
        .arg(folder.join(&name))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // With the optimizer's numbers it is three times the network.
    fs::remove_file(&checkpoint).unwrap();
    json!({"folder": name, "expected": expected})
}
