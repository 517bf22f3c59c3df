//! Our files in the hands of other programs: PyTorch, torchvision, timm and numpy, in a Python that `cargo xtask test
//! --interop` prepares.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

#[path = "../common/mod.rs"]
mod common;
mod detector;
mod hub;
mod segmentor;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use slotcon::method::{Mode, SlotCon};
use slotcon::recipe::Recipe;
use slotcon_data::Picture;
use slotcon_data::picture::{DecodeOptions, decode_rgb};
use slotcon_data::resize::{Filter, resize};
use slotcon_nn::Store;
use slotcon_train::checkpoint::{self, Progress};
use slotcon_train::normalise::normalise;
use slotcon_train::optim::Optimizer;
use tch::{Device, Kind, Tensor};

/// Ours, torchvision's and timm's name.
const BACKBONES: [(&str, Option<&str>, &str); 6] = [
    ("resnet18", Some("resnet18"), "resnet18"),
    ("resnet50", Some("resnet50"), "resnet50"),
    ("resnet50_16s", Some("resnet50"), "resnet50"),
    ("resnext101_32x8d", Some("resnext101_32x8d"), "resnext101_32x8d"),
    ("resnet18_d", None, "resnet18d"),
    ("resnet50_d", None, "resnet50d"),
];

fn python() -> PathBuf {
    let python = std::env::var_os("SLOTCON_INTEROP_PYTHON");
    PathBuf::from(python.expect("SLOTCON_INTEROP_PYTHON must name a Python with torch, torchvision and timm"))
}

/// Runs a script of `xtask/interop` on `folder`; it must succeed.
fn run(script: &str, what: &str, folder: &Path) {
    let status = python_script(script, what, folder).status().unwrap();
    assert!(status.success(), "{script} {what} failed; its reason is above");
}

fn python_script(script: &str, what: &str, folder: &Path) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../xtask/interop")
        .join(script);
    let mut command = Command::new(python());
    command.arg(path).arg(what);
    command.arg(env!("CARGO_BIN_EXE_slotcon")).arg(folder);
    command
}

/// A real photo where there are any, else a drawn scene; 224 pixels square.
fn photo(folder: &Path) -> Picture {
    let data = std::env::var_os("SLOTCON_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let photos = data.join("coco27/images");
    let mut found: Vec<PathBuf> = fs::read_dir(&photos)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    found.sort();
    let path = found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        eprintln!("no photos at {}: a drawn scene is taken", photos.display());
        slotcon_data::scenes::write_folder(&folder.join("scenes"), 1, 1, 1, 256).unwrap();
        folder.join("scenes/images/train/000000.png")
    });
    eprintln!("photo: {}", path.display());
    let picture = decode_rgb(&path, &DecodeOptions::default()).unwrap();
    resize(&picture, 224, 224, Filter::Bilinear)
}

/// Weights with which every layer says something: as they are initialised, but every batch norm has statistics of its own
/// and no block is the identity.
fn model(recipe: &Recipe) -> SlotCon {
    tch::manual_seed(11);
    let model = SlotCon::new(recipe.model_config().unwrap(), Device::Cpu, Kind::Float);
    unlike_fresh(model.store());
    model
}

/// Gives norms and counters values that no fresh network has.
fn unlike_fresh(store: &Store) {
    let _guard = tch::no_grad_guard();
    for entry in store.entries() {
        let mut tensor = entry.tensor;
        let _ = match entry.name.rsplit('.').next().unwrap() {
            "weight" if tensor.dim() == 1 => tensor.uniform_(0.2, 0.6),
            "bias" => tensor.uniform_(-0.2, 0.2),
            "running_mean" => tensor.uniform_(-0.2, 0.2),
            "running_var" => tensor.uniform_(0.5, 2.0),
            "num_batches_tracked" => tensor.fill_(5),
            _ => continue,
        };
    }
}

fn save(model: &SlotCon, recipe: &Recipe, path: &Path) {
    let optimizer = Optimizer::new(recipe.optim.config(), model.store(), Vec::new());
    let progress = Progress {
        step: 10,
        ..Progress::new(100, 10, 5120)
    };
    checkpoint::save(path, model.store(), &optimizer, recipe, &progress).unwrap();
}

fn write(path: &Path, tensors: &[(&str, &Tensor)]) {
    let bytes = tensors.iter().map(|(name, tensor)| {
        let tensor = tensor.contiguous();
        let mut bytes = vec![0; tensor.numel() * 4];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        (*name, shape, bytes)
    });
    let bytes: Vec<_> = bytes.collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (*name, view.unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
#[ignore = "needs Python with torch, torchvision and timm: cargo xtask test --interop"]
fn exported_weights_give_our_features_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let picture = photo(folder.path());
    let pixels = normalise(picture.rgb(), 224, 224, Device::Cpu);
    // One backbone after the other, each in a folder that goes when it has been compared: together they are 5 GB.
    let mut other = python_script("check.py", "compare", folder.path());
    let mut other = other
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut cases = other.stdin.take().unwrap();
    let mut answers = BufReader::new(other.stdout.take().unwrap()).lines();
    for (arch, torchvision, timm) in BACKBONES {
        let folder = tempfile::tempdir_in(folder.path()).unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut recipe = Recipe::default();
        recipe.model.arch = arch.into();
        recipe.model.dim_hidden = 8;
        recipe.model.dim_out = 4;
        recipe.model.prototypes = 4;
        let model = model(&recipe);
        let checkpoint = at(&format!("{arch}.safetensors"));
        save(&model, &recipe, &checkpoint);
        let features = {
            let _guard = tch::no_grad_guard();
            model.teacher().backbone(&pixels, Mode::default()).unwrap()
        };
        let features_file = format!("{arch}.features.safetensors");
        write(
            &at(&features_file),
            &[("pictures", &pixels), ("features", &features)],
        );
        let export = |format: &str, ending: &str| {
            let name = format!("{arch}.{format}.{ending}");
            let mut command = Command::new(env!("CARGO_BIN_EXE_slotcon"));
            command.args(["export", "--format", format, "--checkpoint"]);
            command.arg(&checkpoint).arg("--out").arg(at(&name));
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            name
        };
        let (detectron2, mmsegmentation) = (export("detectron2", "pkl"), export("mmsegmentation", "pth"));
        let libraries = torchvision
            .map(|name| ("torchvision", name))
            .into_iter()
            .chain([("timm", timm)]);
        for (library, name) in libraries {
            let case = json!({
                "folder": folder.path(),
                "arch": torchvision.unwrap_or(name),
                "timm": timm,
                "library": library,
                "stride": recipe.output_stride().unwrap().pixels(),
                "features": features_file,
                "files": [export(library, "safetensors"), export(library, "pth")],
                "detectron2": detectron2,
                "mmsegmentation": mmsegmentation,
            });
            writeln!(cases, "{case}").unwrap();
            let answer = answers.next().map(Result::unwrap);
            assert_eq!(
                answer.as_deref(),
                Some("equal"),
                "{arch} in {library}: the reason is above"
            );
        }
    }
    drop(cases);
    assert!(other.wait().unwrap().success());
}

#[test]
#[ignore = "needs Python with torch, torchvision and timm: cargo xtask test --interop"]
fn what_torch_save_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    run("check.py", "make", folder.path());
}
