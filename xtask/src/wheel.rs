//! `cargo xtask wheel`: the Python package as a wheel, and its tests in a fresh environment.

use crate::program::{self, Profile};
use crate::{folder, interop, old_glibc, process, test, venv};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Libraries that the installed PyTorch brings: auditwheel must not copy them into the wheel.
const OF_TORCH: [&str; 5] = ["libtorch*", "libc10*", "libgomp*", "libcudart*", "libcupti*"];

/// Builds `dist/slotcon-*.whl` and tests it.
///
/// # Errors
/// If set-up, the build, the packaging or a test fails.
pub fn run(root: &Path, profile: Profile) -> Result<()> {
    let python = interop::environment(root)?;
    let tools = python.parent().context("the Python has no folder")?;
    let scratch = program::target(root).join("wheel");
    let (program, _) = program::build(root, profile, tools, &scratch)?;
    let wheel = pack(root, &python, tools, &program, &scratch)?;
    let size = std::fs::metadata(&wheel)?.len();
    println!("{}: {:.1} MB", wheel.display(), size as f64 / 1e6);
    try_out(root, &python, &wheel, &scratch)
}

/// The wheel of `program`, under the tag of the oldest glibc that it runs on; auditwheel refuses if it does not.
fn pack(root: &Path, python: &Path, tools: &Path, program: &Path, scratch: &Path) -> Result<PathBuf> {
    let raw = folder::emptied(&scratch.join("raw"))?;
    let mut build = Command::new(python);
    build
        .args(["-m", "hatchling", "build", "--target", "wheel", "--directory"])
        .arg(&raw);
    build
        .current_dir(root.join("python"))
        .env("SLOTCON_PROGRAM", program);
    process::run(&mut build)?;
    let tagged = folder::emptied(&scratch.join("tagged"))?;
    let mut audit = Command::new(tools.join("auditwheel"));
    let platform = format!(
        "manylinux_{}_{}",
        old_glibc::GLIBC.replace('.', "_"),
        std::env::consts::ARCH
    );
    audit
        .args(["repair", "--plat", &platform, "--wheel-dir"])
        .arg(&tagged);
    for library in OF_TORCH {
        audit.args(["--exclude", library]);
    }
    // It calls patchelf by its name.
    audit.env(
        "PATH",
        test::prepend(tools, &std::env::var_os("PATH").unwrap_or_default())?,
    );
    process::run(audit.arg(only_wheel(&raw)?))?;
    let wheel = only_wheel(&tagged)?;
    let dist = root.join("dist");
    std::fs::create_dir_all(&dist).with_context(|| format!("cannot make {}", dist.display()))?;
    let place = dist.join(wheel.file_name().unwrap_or_default());
    std::fs::copy(&wheel, &place).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(place)
}

/// Installs the wheel into a fresh environment and runs the tests of `python/tests` there, copied, so that nothing of this checkout is
/// on their path. PyTorch and what else it depends on are those of the interop environment: PyPI's PyTorch would bring 3 GB of CUDA.
fn try_out(root: &Path, python: &Path, wheel: &Path, scratch: &Path) -> Result<()> {
    let environment = scratch.join("venv");
    venv::make(&environment, &[])?;
    let fresh = environment.join("bin").join("python");
    let packages = |python: &Path| {
        let ask = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"];
        process::output(Command::new(python).args(ask)).map(|said| PathBuf::from(said.trim()))
    };
    let shared = format!("import site; site.addsitedir({:?})\n", packages(python)?);
    let link = packages(&fresh)?.join("shared.pth");
    std::fs::write(&link, shared).with_context(|| format!("cannot write {}", link.display()))?;
    let wheel = wheel.to_str().context("the wheel's path is no text")?;
    venv::add_alone(&environment, &[wheel])?;

    let tests = folder::emptied(&scratch.join("tests"))?;
    let from = root.join("python").join("tests");
    for name in folder::names(&from)?.filter(|name| Path::new(name).extension().is_some_and(|e| e == "py")) {
        folder::copied(&from.join(&name), &tests.join(&name))?;
    }
    let notebook = root.join("docs").join("python.ipynb");
    let mut pytest = Command::new(fresh);
    pytest.args([
        "-m",
        "pytest",
        "--quiet",
        "--durations=5",
        "-p",
        "no:cacheprovider",
        // pytest would keep what three runs wrote: 2 GB each.
        "-o",
        "tmp_path_retention_policy=failed",
        ".",
    ]);
    pytest.arg("--basetemp").arg(scratch.join("tmp"));
    pytest.current_dir(&tests).env("SLOTCON_NOTEBOOK", notebook);
    for variable in ["LD_LIBRARY_PATH", "LIBTORCH", "PYTHONPATH"] {
        pytest.env_remove(variable);
    }
    process::run(&mut pytest)
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let wheel =
        folder::names(folder)?.find(|name| Path::new(name).extension().is_some_and(|ending| ending == "whl"));
    wheel
        .map(|name| folder.join(name))
        .with_context(|| format!("{}: no wheel was made", folder.display()))
}
