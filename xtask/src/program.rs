//! The `slotcon` program for other machines: built, without symbols, and without the run path of this machine.

use crate::{old_glibc, process, setup};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As it is used.
    Release,
    /// As tests are, for a check of the packaging alone.
    Dev,
}

/// The program in `folder`, linked to the CPU build of libtorch for glibc 2.28 and newer, and the folder of that libtorch. `tools` are the
/// programs of the interop environment. The run path is taken out of the finished file: cargo's own setting would make it compile every
/// crate with a build script again.
///
/// # Errors
/// If set-up or the build fails, or libtorch is a CUDA build, which no machine without CUDA could load.
pub fn build(root: &Path, profile: Profile, tools: &Path, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    setup::run(root, setup::Choice::Auto)?;
    let patchelf = &tools.join("patchelf");
    let (name, flags) = match profile {
        Profile::Release => ("release", ["--release"].as_slice()),
        Profile::Dev => ("debug", [].as_slice()),
    };
    setup::announce_first_build(root, name);
    let portable = target(root).join("portable");
    for folder in [&portable, folder] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let linker = old_glibc::linker(&portable, &tools.join("python"))?;
    let mut build = process::cargo(root);
    build
        .args(["rustc", "--locked", "-p", "slotcon-cli", "--bin", "slotcon"])
        .args(flags);
    build
        .args(["--", "-C", "linker-flavor=gcc", "-C"])
        .arg(format!("linker={}", linker.display()));
    process::run(build.env("ZIG_GLOBAL_CACHE_DIR", portable.join("zig")))?;
    let built = target(root).join(name).join("slotcon");
    let program = folder.join("slotcon");
    std::fs::copy(&built, &program).with_context(|| format!("cannot copy {}", built.display()))?;
    let needed = process::output(Command::new(patchelf).arg("--print-needed").arg(&program))?;
    if needed.contains("libtorch_cuda") {
        bail!(
            "the program is linked to the CUDA build of libtorch, which only machines with CUDA can load; `cargo xtask setup --cpu` \
             fetches the other"
        );
    }
    let run_path = process::output(Command::new(patchelf).arg("--print-rpath").arg(&program))?;
    let lib = run_path.trim_end().split(':').next().unwrap_or_default().into();
    process::output(Command::new(patchelf).arg("--remove-rpath").arg(&program))?;
    process::output(Command::new("strip").arg(&program))?;
    Ok((program, lib))
}

/// What `program` takes from libraries and gives to them, with versions, as readelf lists it.
///
/// # Errors
/// If it cannot be read.
pub fn dynamic_symbols(program: &Path) -> Result<String> {
    let mut readelf = Command::new("readelf");
    process::output(readelf.args(["--dyn-syms", "--wide"]).arg(program))
}

/// Where cargo puts what it builds.
pub fn target(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root.join(target)
}
