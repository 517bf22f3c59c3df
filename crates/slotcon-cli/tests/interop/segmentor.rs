//! Whole segmentors in MMSegmentation's own modules, and its files here.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use slotcon_nn::Store;
use slotcon_train::TaskRecipe;
use slotcon_train::checkpoint::{self, Progress};
use slotcon_train::optim::Optimizer;
use slotcon_transfer::semantic::{FineTuned, Segmentor, SemanticRecipe};
use slotcon_weights::WeightFile;
use tch::{Device, Kind, Tensor};

use super::{photo, run, unlike_fresh, write};

/// How far logits may be apart, in units of the largest.
const TOLERANCE: f64 = 1e-4;

fn slotcon(words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_slotcon"))
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "slotcon {}: {said}", words.join(" "));
}

fn recipe(settings: &[&str]) -> SemanticRecipe {
    let settings = Vec::from_iter(settings.iter().map(|&s| s.to_owned()));
    SemanticRecipe::load("semantic-small", &settings).unwrap()
}

fn save(recipe: &SemanticRecipe, path: &Path) {
    tch::manual_seed(5);
    let store = Store::new(Device::Cpu, Kind::Float);
    let classes = recipe.data.classes.len() as i64;
    let _ = Segmentor::new(&store.root(), recipe.network(classes).unwrap());
    unlike_fresh(&store);
    let optimizer = Optimizer::new(recipe.optim.config(), &store, Vec::new());
    checkpoint::save(path, &store, &optimizer, recipe, &Progress::new(10, 10, 80)).unwrap();
}

#[test]
#[ignore = "needs Python with torch and MMSegmentation: cargo xtask test --interop"]
fn an_exported_segmentor_gives_our_logits_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let picture = photo(folder.path());
    let bytes = Tensor::from_slice(picture.rgb())
        .reshape([224, 224, 3])
        .to_kind(Kind::Float);
    let classes = "data.classes=[\"sky\", \"it's a \\\"road\\\"\", \"tree\"]";
    let cases: [(&str, &[&str]); 4] = [
        ("d6", &["model.arch=resnet18", "model.align_corners=true"]),
        (
            "d8",
            &[
                "model.arch=resnet50",
                "model.output_stride=8",
                "model.head_dilation=1",
                "model.concat_input=true",
                "model.auxiliary_weight=0.4",
                "test.window=128",
                "test.window_stride=90",
            ],
        ),
        (
            "v1c",
            &[
                "model.arch=resnet18_c",
                "model.output_stride=32",
                "data.normalisation=imagenet-undivided",
            ],
        ),
        ("probe", &["model.arch=resnet50_d", "model.head_convolutions=0"]),
    ];
    let mut listed = Vec::new();
    for (name, settings) in cases {
        let recipe = recipe(&[settings, &[classes]].concat());
        let checkpoint = at(&format!("{name}.checkpoint.safetensors"));
        save(&recipe, Path::new(&checkpoint));
        let network = FineTuned::open(Path::new(&checkpoint), Device::Cpu).unwrap();
        let input = recipe.data.normalisation.on(Device::Cpu).apply(&bytes, 224, 224);
        let logits = network.logits(&input).unwrap();
        let expected = format!("{name}.expected.safetensors");
        write(
            Path::new(&at(&expected)),
            &[("bytes", &bytes), ("input", &input), ("logits", &logits)],
        );
        let files = ["pth", "safetensors"].map(|ending| {
            let file = format!("{name}.{ending}");
            slotcon(&[
                "export",
                "--format",
                "mmsegmentation",
                "--checkpoint",
                &checkpoint,
                "--out",
                &at(&file),
            ]);
            // What goes out comes in again.
            let back = at(&format!("{file}.back.safetensors"));
            slotcon(&["import", "--from", &at(&file), "--out", &back]);
            let back = FineTuned::open(Path::new(&back), Device::Cpu).unwrap();
            assert_eq!(back.classes(), network.classes());
            assert_eq!(back.recipe().test, network.recipe().test);
            assert_eq!(back.logits(&input).unwrap(), logits, "{file}");
            file
        });
        listed.push(json!({"expected": expected, "files": files, "classes": recipe.data.classes}));
    }
    fs::write(at("segmentors.json"), serde_json::to_string(&listed).unwrap()).unwrap();
    run("segmentor.py", "exported", folder.path());
}

#[test]
#[ignore = "needs Python with torch and MMSegmentation: cargo xtask test --interop"]
fn a_segmentor_written_there_gives_its_logits_here() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    run("segmentor.py", "written", folder.path());
    let listed: serde_json::Value =
        serde_json::from_slice(&fs::read(at("segmentors.json")).unwrap()).unwrap();
    for case in listed.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let ours = at(&format!("{name}.ours.safetensors"));
        let settings = case["settings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s.as_str().unwrap());
        let from = at(&format!("{name}.pth"));
        slotcon(
            &[
                &["import", "--from", &from, "--out", &ours][..],
                &settings.collect::<Vec<_>>(),
            ]
            .concat(),
        );
        let network = FineTuned::open(Path::new(&ours), Device::Cpu).unwrap();
        assert_eq!(json!(network.classes()), case["classes"], "{name}");
        let there = WeightFile::open(Path::new(&at(&format!("{name}.expected.safetensors")))).unwrap();
        let tensor = |wanted: &str| {
            let found = there.tensors.iter().find(|(name, _)| name == wanted);
            found.unwrap().1.shallow_clone()
        };
        let logits = network.logits(&tensor("input")).unwrap();
        let expected = tensor("logits");
        let largest = expected.abs().max().double_value(&[]);
        let apart = (logits - expected).abs().max().double_value(&[]);
        println!("{name}: logits up to {largest:.3}, apart by at most {apart:.2e}");
        assert!(largest > 1e-2 && apart <= TOLERANCE * largest, "{name}: {apart}");
    }
}
