//! The shape of the repository: which crate may know which, and what lies in its root.

use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Each crate and the crates of this repository that it may depend on. `CONTRIBUTING.md` has the same as words.
const MAY_KNOW: [(&str, &[&str]); 13] = [
    ("slotcon-data", &[]),
    ("slotcon-torch", &[]),
    ("slotcon-nn", &["slotcon-torch"]),
    ("slotcon-weights", &["slotcon-nn", "slotcon-torch"]),
    ("slotcon-metrics", &["slotcon-data"]),
    (
        "slotcon-train",
        &["slotcon-data", "slotcon-nn", "slotcon-torch", "slotcon-weights"],
    ),
    (
        "slotcon",
        &[
            "slotcon-data",
            "slotcon-nn",
            "slotcon-torch",
            "slotcon-train",
            "slotcon-weights",
        ],
    ),
    (
        "slotcon-transfer",
        &[
            "slotcon-data",
            "slotcon-metrics",
            "slotcon-nn",
            "slotcon-torch",
            "slotcon-train",
            "slotcon-weights",
        ],
    ),
    (
        "slotcon-eval",
        &[
            "slotcon",
            "slotcon-data",
            "slotcon-metrics",
            "slotcon-nn",
            "slotcon-torch",
            "slotcon-train",
            "slotcon-weights",
        ],
    ),
    (
        "slotcon-report",
        &[
            "slotcon",
            "slotcon-data",
            "slotcon-eval",
            "slotcon-metrics",
            "slotcon-nn",
            "slotcon-torch",
            "slotcon-train",
            "slotcon-transfer",
            "slotcon-weights",
        ],
    ),
    (
        "slotcon-cli",
        &[
            "slotcon",
            "slotcon-data",
            "slotcon-eval",
            "slotcon-metrics",
            "slotcon-nn",
            "slotcon-report",
            "slotcon-torch",
            "slotcon-train",
            "slotcon-transfer",
            "slotcon-weights",
        ],
    ),
    (GOLDEN, &[]),
    ("xtask", &[]),
];

/// The crate that tests of every other may use.
const GOLDEN: &str = "slotcon-golden";

/// What may lie in the root of the repository.
const ROOT: [&str; 19] = [
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "crates",
    "docs",
    "fixtures",
    "python",
    "recipes",
    "rustfmt.toml",
    "xtask",
];

/// Compares both with what is there. `cargo metadata --locked` also fails if `Cargo.lock` is not up to date.
///
/// # Errors
/// If a crate knows another that it may not, is not in the list, or a file lies in the root that is not known there.
pub fn check(root: &Path) -> Result<()> {
    let metadata = process::output(process::cargo(root).args([
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    // Without dependencies cargo reads no lock file, so `--locked` is proven apart.
    process::output(process::cargo(root).args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    let edges = edges(&metadata)?;
    let mut wrong = forbidden(&edges);
    if root.join(".git").exists() {
        let files = process::output(Command::new("git").args(["ls-files", "-z"]).current_dir(root))?;
        wrong.extend(strangers(&files));
    } else {
        eprintln!("xtask: no git here, so the names in the root are not checked");
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n       "));
    }
    println!("{} arrows between crates, all allowed", edges.len());
    Ok(())
}

/// Who depends on whom among the workspace's crates.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    only_tests: bool,
}

fn edges(metadata: &Value) -> Result<Vec<Edge>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let own: BTreeSet<String> = packages.iter().map(name).collect();
    let mut edges = Vec::new();
    for package in packages {
        let from = name(package);
        if !MAY_KNOW.iter().any(|(known, _)| *known == from) {
            bail!("{from} is not in the list of crates in xtask/src/house.rs: what may it know?");
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = name(dependency);
            if own.contains(&to) {
                edges.push(Edge {
                    from: from.clone(),
                    to,
                    only_tests: dependency["kind"] == "dev",
                });
            }
        }
    }
    Ok(edges)
}

fn forbidden(edges: &[Edge]) -> Vec<String> {
    let allowed = |edge: &Edge| {
        let may = MAY_KNOW.iter().find(|(from, _)| *from == edge.from);
        may.is_some_and(|(_, may)| may.contains(&edge.to.as_str())) || edge.only_tests && edge.to == GOLDEN
    };
    let wrong = edges.iter().filter(|edge| !allowed(edge));
    wrong
        .map(|Edge { from, to, .. }| {
            format!("{from} depends on {to}, which it must not know (xtask/src/house.rs)")
        })
        .collect()
}

/// Names in the root, among files separated by zero bytes, that are not known there.
fn strangers(files: &str) -> Vec<String> {
    let first = |file: &str| file.split('/').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = files.split_terminator('\0').map(first).collect();
    let unknown = names.iter().filter(|name| !ROOT.contains(&name.as_str()));
    unknown
        .map(|name| {
            format!(
                "'{name}' lies in the root of the repository and is not in the list of xtask/src/house.rs"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(metadata: &str) -> Result<Vec<String>> {
        Ok(forbidden(&edges(&serde_json::from_str(metadata).unwrap())?))
    }

    #[test]
    fn an_arrow_that_runs_up_is_named() {
        let wrong = found(
            r#"{"packages": [
                {"name": "slotcon-nn", "dependencies": [{"name": "slotcon-torch", "kind": null}, {"name": "tch", "kind": null}]},
                {"name": "slotcon-torch", "dependencies": [{"name": "slotcon-nn", "kind": null}]}]}"#,
        )
        .unwrap();
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with("slotcon-torch depends on slotcon-nn"),
            "{wrong:?}"
        );
    }

    #[test]
    fn only_tests_may_use_the_golden_cases() {
        let with = |kind: &str| {
            found(&format!(
                r#"{{"packages": [{{"name": "slotcon-golden", "dependencies": []}},
                    {{"name": "slotcon-data", "dependencies": [{{"name": "slotcon-golden", "kind": {kind}}}]}}]}}"#
            ))
            .unwrap()
        };
        assert_eq!(with("\"dev\"").len(), 0);
        assert_eq!(with("null").len(), 1);
    }

    #[test]
    fn a_crate_without_a_place_is_refused() {
        let error = found(r#"{"packages": [{"name": "slotcon-core", "dependencies": []}]}"#).unwrap_err();
        assert!(error.to_string().contains("slotcon-core"));
    }

    #[test]
    fn a_stray_folder_in_the_root_is_named() {
        let wrong = strangers("--help/scene.png\0crates/slotcon/src/lib.rs\0README.md\0");
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("'--help'"));
    }
}
