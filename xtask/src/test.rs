//! `cargo xtask test`: set up, then every test of the workspace.

use crate::{process, setup};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Folders that tests read and the repository does not carry: variable, default, what it holds.
const FOLDERS: [(&str, &str, &str); 2] = [
    ("SLOTCON_FIXTURES", "../shared/fixtures", "golden values"),
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

    let nextest = process::find_program("cargo-nextest").is_some();
    let mut tests = process::cargo(root);
    if nextest {
        tests.args(["nextest", "run"]);
    } else {
        tests.arg("test");
    }
    if !names_a_package(args) {
        tests.arg("--workspace");
    }
    tests.args(args).envs(folders.clone());
    let outcome = process::run(&mut tests);

    // nextest does not run documentation examples. A filter or an option meant for it makes no sense there.
    if nextest && args.is_empty() && outcome.is_ok() {
        let mut docs = process::cargo(root);
        docs.args(["test", "--workspace", "--doc", "--quiet"])
            .envs(folders.clone());
        // Arguments for the linker do not reach documentation examples, so they lack the run path to libtorch.
        if let Some(lib) = setup::library_folder(root)? {
            docs.env(
                "LD_LIBRARY_PATH",
                prepend(&lib, std::env::var_os("LD_LIBRARY_PATH"))?,
            );
        }
        process::run(&mut docs)?;
    }
    warn_of_absent(&folders);
    outcome
}

fn names_a_package(args: &[String]) -> bool {
    args.iter().any(|a| {
        a == "-p" || a == "--package" || a.starts_with("--package=") || a == "--workspace" || a == "--all"
    })
}

/// The folders by variable, made absolute, since tests run in their crate's folder.
fn folders(root: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
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

fn prepend(folder: &Path, rest: Option<OsString>) -> Result<OsString> {
    let rest = rest.unwrap_or_default();
    let all = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&rest));
    std::env::join_paths(all).context("LD_LIBRARY_PATH cannot hold the path of libtorch")
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
        assert_eq!(
            prepend(Path::new("/a"), Some("/b:/c".into())).unwrap(),
            "/a:/b:/c"
        );
    }
}
