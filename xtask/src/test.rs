//! `cargo xtask test`: set up, then every test of the workspace.

use crate::{process, setup};
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Folders that tests read and the repository does not carry: variable, default, what they hold.
const FOLDERS: [(&str, &str, &str); 2] = [
    ("SLOTCON_FIXTURES", "../shared/fixtures", "more golden values"),
    ("SLOTCON_DATA", "../shared/data", "real pictures"),
];

/// Runs the tests, by cargo-nextest where it is installed.
///
/// # Errors
/// If set-up, the build or a test fails.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    setup::run(root, setup::Choice::Auto)?;
    let folders = folders(root)?;
    setup::announce_first_build(root, "debug");

    // nextest does not run documentation examples. They go first, so that the runner's summary closes the output. A
    // filter or an option meant for nextest makes no sense for them.
    let nextest = process::find_program("cargo-nextest").is_some();
    let examples = if nextest && args.is_empty() {
        run_examples(root, &folders)
    } else {
        Ok(())
    };

    let mut tests = process::cargo(root);
    if nextest {
        tests.args(["nextest", "run", "--no-fail-fast"]);
    } else {
        tests.arg("test").env("LD_LIBRARY_PATH", library_path(root)?);
    }
    if !names_a_package(args) {
        tests.arg("--workspace");
    }
    tests.args(args).envs(folders.clone());
    // As many tests run at a time as there are cores: threads of libtorch's own would only get in each other's way.
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        tests.env("OMP_NUM_THREADS", "1");
    }
    let outcome = process::run(&mut tests);
    warn_of_absent(&folders);
    examples.and(outcome)
}

fn run_examples(root: &Path, folders: &[(&'static str, PathBuf)]) -> Result<()> {
    let mut docs = process::cargo(root);
    docs.args(["test", "--workspace", "--doc", "--quiet"])
        .envs(folders.iter().cloned());
    docs.env("LD_LIBRARY_PATH", library_path(root)?);
    process::run(&mut docs)
}

/// Where the loader looks for libtorch, before what the user set. Needed by documentation examples: arguments for the
/// linker do not reach them, so they lack the run path that binaries and tests have.
fn library_path(root: &Path) -> Result<OsString> {
    let rest = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    match setup::library_folder(root)? {
        Some(lib) => prepend(&lib, &rest),
        None => Ok(rest),
    }
}

fn names_a_package(args: &[String]) -> bool {
    args.iter().any(|a| {
        a == "-p" || a == "--package" || a.starts_with("--package=") || a == "--workspace" || a == "--all"
    })
}

/// The folders by variable, made absolute, since tests run in their crate's folder.
pub fn folders(root: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let found: Vec<_> = FOLDERS
        .iter()
        .map(|(variable, default, _)| {
            let folder =
                std::env::var_os(variable).map_or_else(|| root.join(default), |given| here.join(given));
            (*variable, folder)
        })
        .collect();
    warn_of_absent(&found);
    Ok(found)
}

fn warn_of_absent(folders: &[(&str, PathBuf)]) {
    for ((variable, folder), (_, _, holds)) in folders.iter().zip(FOLDERS) {
        if !folder.is_dir() {
            eprintln!(
                "!!! NO {variable}: {} is not there. Tests against {holds} are NOT run.",
                folder.display()
            );
        }
    }
}

/// `folder` in front of a list of folders such as PATH.
pub fn prepend(folder: &Path, rest: &OsStr) -> Result<OsString> {
    let rest = std::env::split_paths(rest).filter(|path| !path.as_os_str().is_empty());
    std::env::join_paths(std::iter::once(folder.to_path_buf()).chain(rest))
        .context("a list of folders cannot hold one with a colon in its name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_package_is_not_widened_to_the_workspace() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(names_a_package(&words("-p slotcon-data golden")));
        assert!(names_a_package(&words("--package=xtask")));
        assert!(!names_a_package(&words("golden --no-capture")));
    }

    #[test]
    fn library_path_keeps_what_was_there() {
        assert_eq!(prepend(Path::new("/a"), OsStr::new("/b:/c")).unwrap(), "/a:/b:/c");
    }
}
