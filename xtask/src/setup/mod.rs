//! `cargo xtask setup`: a libtorch that plain `cargo build` finds.

mod download;
mod driver;
mod extract;
mod install;
mod layout;
mod own;
mod tools;
mod wheels;

use crate::process;
use anyhow::{Context, Result};
pub use layout::Variant;
use std::path::{Path, PathBuf};

/// The release that `tch` and `torch-sys` of this workspace are generated for.
pub const TORCH_VERSION: &str = "2.11.0";

/// Which build of libtorch the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// CUDA where there is a driver for it, else CPU.
    Auto,
    /// CUDA, driver or not.
    Cuda,
    /// CPU, even where there is a driver; remembered.
    Cpu,
}

/// Makes sure that a libtorch of the right version is where `cargo build` looks for it.
///
/// # Errors
/// If something that set-up needs is missing or a download fails; the message says what to do.
pub fn run(root: &Path, choice: Choice) -> Result<()> {
    let target = folder(root);
    if let Some(own) = own::from_environment(&target)? {
        tools::compiler()?;
        if choice != Choice::Auto {
            eprintln!("xtask: using {own}; --cuda and --cpu choose only what is fetched into .libtorch/");
        }
        return Ok(());
    }
    let cpu_marker = target.join("cpu-only");
    let keep_cpu = choice == Choice::Auto && cpu_marker.exists();
    let wanted = match choice {
        Choice::Cuda => Variant::Cuda,
        Choice::Cpu => Variant::Cpu,
        Choice::Auto if keep_cpu => Variant::Cpu,
        Choice::Auto => driver::variant_for_this_machine(),
    };
    let present = layout::present(&target, std::env::consts::ARCH);
    // The CUDA build does all that the CPU build does, so only an explicit --cpu takes it away.
    let satisfied = match (present, wanted) {
        (None, _) | (Some(Variant::Cpu), Variant::Cuda) => false,
        (Some(Variant::Cuda), Variant::Cpu) => choice != Choice::Cpu,
        (Some(Variant::Cpu), Variant::Cpu) | (Some(Variant::Cuda), Variant::Cuda) => true,
    };
    tools::compiler()?;
    if satisfied {
        install::clean_up(&target)?;
    } else {
        install::install(&target, wanted).with_context(|| hint(choice, wanted))?;
        forget_compiled_bindings(root)?;
        println!(
            "libtorch {TORCH_VERSION} ({wanted}) is ready in {}",
            target.display()
        );
    }
    if choice == Choice::Cpu {
        std::fs::write(&cpu_marker, "chosen by `cargo xtask setup --cpu`\n")
            .with_context(|| format!("cannot write {}", cpu_marker.display()))?;
    }
    Ok(())
}

/// The CUDA build beside the one in use: `.libtorch/` where that has CUDA, else `.libtorch-cuda/`.
///
/// # Errors
/// As [`run`].
pub fn cuda_beside(root: &Path) -> Result<PathBuf> {
    tools::compiler()?;
    let arch = std::env::consts::ARCH;
    let main = folder(root);
    if layout::present(&main, arch) == Some(Variant::Cuda) {
        return Ok(main);
    }
    let beside = root.join(".libtorch-cuda");
    if layout::present(&beside, arch) == Some(Variant::Cuda) {
        install::clean_up(&beside)?;
    } else {
        install::install(&beside, Variant::Cuda)?;
    }
    Ok(beside)
}

/// A Python 3 with pip.
///
/// # Errors
/// If there is none; the message says which part is missing.
pub fn python() -> Result<PathBuf> {
    tools::python_with_pip()
}

/// The folder with `libtorch_cpu.so` that builds use now, if it can be told without asking Python.
pub fn library_folder(root: &Path) -> Result<Option<PathBuf>> {
    let target = folder(root);
    Ok(match own::from_environment(&target)? {
        None => Some(target.join("torch").join("lib")),
        Some(own) => own.lib,
    })
}

/// Says that the first build in this profile takes long, so that minutes at one line do not look like a fault.
pub fn announce_first_build(root: &Path, profile: &str) {
    if !has_bindings(root, profile) {
        eprintln!(
            "First build: compiling the crates and libtorch's C++ bindings (torch-sys) takes some minutes; \
             later builds take seconds."
        );
    }
}

fn folder(root: &Path) -> PathBuf {
    root.join(".libtorch")
}

fn has_bindings(root: &Path, profile: &str) -> bool {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    std::fs::read_dir(root.join(target).join(profile).join("build")).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("torch-sys-"))
    })
}

/// Has cargo run torch-sys's build script again: it looks at the name of libtorch's folder, not at what is in it, and
/// would go on asking the linker for the CUDA libraries of the folder's previous content.
fn forget_compiled_bindings(root: &Path) -> Result<()> {
    for (profile, flags) in [("debug", [].as_slice()), ("release", ["--release"].as_slice())] {
        if has_bindings(root, profile) {
            let mut clean = process::cargo(root);
            clean
                .args(["clean", "--quiet", "--package", "torch-sys"])
                .args(flags);
            process::output(&mut clean)?;
        }
    }
    Ok(())
}

fn hint(choice: Choice, wanted: Variant) -> String {
    let mut text = format!("set-up of libtorch {TORCH_VERSION} ({wanted}) did not finish");
    if choice == Choice::Auto && wanted == Variant::Cuda {
        text.push_str(" (`cargo xtask setup --cpu` chooses the much smaller CPU build)");
    }
    text
}
