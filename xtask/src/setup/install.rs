//! From nothing, or from where an earlier run was stopped, to a whole libtorch folder.
//!
//! Beside the folder `X` there is `X-partial` while set-up is under way: `wheels/` (each whole) and a `scratch-…/` a
//! run, with what is extracted so far in its `tree/`. The tree becomes `X` by a rename, so a kill at any moment leaves
//! either no `X`, the old one or the new one.

use super::extract::{self, Outcome};
use super::layout::{self, Variant};
use super::wheels::{self, Wheel};
use super::{TORCH_VERSION, download, tools};
use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How the names of folders for unfinished files begin; one a run.
const SCRATCH: &str = "scratch-";

/// The name of `wheels/` from the moment when all is extracted.
const USED: &str = "used";

/// Sets up the variant in `target`, replacing what is there.
///
/// # Errors
/// If a tool or room on the disk is missing, a download fails or another set-up is running.
pub fn install(target: &Path, variant: Variant) -> Result<()> {
    let arch = tools::machine()?;
    let python = tools::python_with_pip()?;
    let partial = beside(target, "-partial")?;
    let kept = partial.join("wheels");
    fs::create_dir_all(&partial).with_context(|| format!("cannot write to {}", partial.display()))?;
    let lock = File::create(partial.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another `cargo xtask` is setting up {} now", target.display())
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let used = partial.join(USED);
    if used.exists() {
        fs::rename(&used, &kept)?;
    }
    fs::create_dir_all(&kept)?;

    // Python of a run that was killed may still be alive and write into its scratch folder: take another one, and
    // leave to the end what cannot be removed yet.
    for old in fs::read_dir(&partial)?.flatten() {
        if old.file_name().to_string_lossy().starts_with(SCRATCH) && fs::remove_dir_all(old.path()).is_err() {
            eprintln!(
                "{} is still written to by a run that was stopped",
                old.path().display()
            );
        }
    }
    let scratch = new_scratch(&partial)?;
    tools::try_compiler(&scratch)?;
    let tree = scratch.join("tree");

    let wheels = wheels::of(variant);
    let fetched: u64 = fs::read_dir(&kept)?
        .flatten()
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum();
    tools::disk(
        &python,
        &partial,
        wheels::disk_mb(variant).saturating_sub(fetched / 1_000_000),
    )?;

    let mut files = Vec::new();
    for wheel in &wheels {
        files.push((*wheel, download::fetch(&python, wheel, arch, &kept, &scratch)?));
    }
    for (wheel, file) in &files {
        take(&python, wheel, file, &tree, variant)?;
    }
    complete(&tree, variant)?;
    if layout::present(&tree, arch) != Some(variant) {
        bail!("the wheels of torch {TORCH_VERSION} do not hold what was expected; this is a fault of xtask");
    }
    fs::rename(&kept, &used)?;
    replace(target, &tree)?;
    drop(lock);
    clean_up(target)
}

/// Removes what a finished set-up of `target` left because it was killed while tidying. The wheels of one that is
/// not finished stay.
///
/// # Errors
/// If a folder cannot be removed.
pub fn clean_up(target: &Path) -> Result<()> {
    let partial = beside(target, "-partial")?;
    if partial.join(USED).exists() {
        remove(&partial)?;
    }
    remove(&beside(target, "-old")?)
}

fn take(python: &Path, wheel: &Wheel, file: &Path, tree: &Path, variant: Variant) -> Result<()> {
    eprintln!("extracting {} {}", wheel.name, wheel.version);
    match extract::extract(python, file, tree, |member| layout::keeps(variant, member))? {
        Outcome::Extracted(_) => Ok(()),
        Outcome::Damaged(reason) => {
            fs::remove_file(file)?;
            bail!(
                "{} was damaged ({reason}) and is removed; run the same command again",
                file.display()
            );
        }
    }
}

/// Adds what a libtorch archive has and the wheels have not.
fn complete(tree: &Path, variant: Variant) -> Result<()> {
    let lib = tree.join("torch").join("lib");
    if variant == Variant::Cpu {
        // The wheel's own libtorch.so is empty and loads libtorch_cuda.so.
        std::os::unix::fs::symlink("libtorch_cpu.so", lib.join("libtorch.so"))?;
    }
    // torch-sys links to libgomp, which comes with g++ but not with clang++ alone.
    std::os::unix::fs::symlink("libgomp.so.1", lib.join("libgomp.so"))?;
    fs::write(
        tree.join("torch").join("build-version"),
        format!("{TORCH_VERSION}+cu130\n"),
    )?;
    Ok(())
}

/// A folder whose name no earlier run had, since what is left of one may go on writing to its own.
fn new_scratch(partial: &Path) -> Result<PathBuf> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let folder = partial.join(format!("{SCRATCH}{}-{}", since.as_nanos(), std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn replace(target: &Path, tree: &Path) -> Result<()> {
    let old = beside(target, "-old")?;
    remove(&old)?;
    if target.exists() {
        fs::rename(target, &old)?;
    }
    fs::rename(tree, target).with_context(|| format!("cannot put {} in place", target.display()))?;
    remove(&old)
}

fn remove(folder: &Path) -> Result<()> {
    // Not empty: Python of a run that was killed wrote into it meanwhile. It ends within seconds.
    for _ in 0..100 {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
            }
            _ => return Ok(()),
        }
    }
    bail!(
        "cannot remove {}: another program keeps writing to it",
        folder.display()
    )
}

fn beside(target: &Path, suffix: &str) -> Result<PathBuf> {
    let mut name = target
        .file_name()
        .context("set-up needs a folder with a name")?
        .to_owned();
    name.push(suffix);
    Ok(target.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_tree_takes_the_place_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (target, tree) = (folder.path().join("x"), folder.path().join("tree"));
        for (place, text) in [(&target, "old"), (&tree, "new")] {
            fs::create_dir_all(place).unwrap();
            fs::write(place.join("file"), text).unwrap();
        }
        fs::write(target.join("only-in-old"), "").unwrap();
        // A run that was killed between the two renames leaves this behind.
        fs::create_dir_all(folder.path().join("x-old")).unwrap();
        replace(&target, &tree).unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "new");
        assert!(!target.join("only-in-old").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
