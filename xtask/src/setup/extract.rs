//! Taking the needed files out of a wheel, which is a zip archive, with the Python that fetched it: a crate for it
//! would make every first `cargo xtask` compile for half a minute.

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SCRIPT: &str = include_str!("unzip.py");

/// The exit status by which the script says that the archive is damaged.
const DAMAGED: i32 = 3;

/// How an extraction ended that the caller can act on.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This many files are in the tree.
    Extracted(usize),
    /// The archive is damaged; the reason.
    Damaged(String),
}

/// Extracts the members that `keeps` selects to the same places below `tree`.
///
/// # Errors
/// If Python cannot be started, the disk is full, or the archive holds nothing that is kept.
pub fn extract(python: &Path, wheel: &Path, tree: &Path, keeps: impl Fn(&str) -> bool) -> Result<Outcome> {
    let list = run(python, &[wheel], "")?;
    if list.status.code() == Some(DAMAGED) {
        return Ok(Outcome::Damaged(message(&list)));
    }
    if !list.status.success() {
        bail!("cannot read {}: {}", wheel.display(), message(&list));
    }
    let names = String::from_utf8_lossy(&list.stdout);
    let kept: Vec<&str> = names
        .lines()
        .filter(|name| !name.ends_with('/') && keeps(name))
        .collect();
    if kept.is_empty() {
        bail!(
            "{} holds none of the files that are needed from it",
            wheel.display()
        );
    }
    let done = run(python, &[wheel, tree], &kept.join("\n"))?;
    if done.status.code() == Some(DAMAGED) {
        return Ok(Outcome::Damaged(message(&done)));
    }
    if !done.status.success() {
        bail!(
            "cannot extract {} to {}: {}",
            wheel.display(),
            tree.display(),
            message(&done)
        );
    }
    Ok(Outcome::Extracted(kept.len()))
}

fn run(python: &Path, args: &[&Path], input: &str) -> Result<Output> {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .args(args)
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", python.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .context("Python stopped reading")?;
    }
    Ok(child.wait_with_output()?)
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tools::named_python;
    use std::fs;

    /// Writes a deflated archive with these members.
    fn archive(python: &Path, path: &Path, members: &[(&str, &str)]) {
        let script = "import sys, zipfile\n\
                      with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:\n \
                      [z.writestr(n, t) for n, t in zip(sys.argv[2::2], sys.argv[3::2])]";
        let words = members.iter().flat_map(|(name, text)| [*name, *text]);
        assert!(
            Command::new(python)
                .args(["-c", script])
                .arg(path)
                .args(words)
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn takes_what_is_kept_and_nothing_else() {
        let python = named_python("python3").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        archive(
            &python,
            &wheel,
            &[("torch/lib/a.so", "code"), ("torch/x.py", "text"), ("RECORD", "")],
        );
        let tree = folder.path().join("tree");
        let outcome = extract(&python, &wheel, &tree, |name| name.ends_with(".so")).unwrap();
        assert_eq!(outcome, Outcome::Extracted(1));
        assert_eq!(fs::read_to_string(tree.join("torch/lib/a.so")).unwrap(), "code");
        assert!(!tree.join("torch/x.py").exists());
        assert!(extract(&python, &wheel, &tree, |_| false).is_err());
        let unwritable = wheel.clone();
        assert!(extract(&python, &wheel, &unwritable, |_| true).is_err());
    }

    #[test]
    fn damaged_archives_are_told_and_hostile_ones_kept_inside() {
        let python = named_python("python3").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        let wheel = folder.path().join("a.whl");
        archive(
            &python,
            &wheel,
            &[(
                "torch/lib/a.so",
                "a text that is long enough to be hit in its middle",
            )],
        );
        let bytes = fs::read(&wheel).unwrap();
        let mut flipped = bytes.clone();
        flipped[60] ^= 0xff;
        for damaged in [&flipped[..], &bytes[..bytes.len() / 2], b""] {
            fs::write(&wheel, damaged).unwrap();
            let outcome = extract(&python, &wheel, &tree, |_| true).unwrap();
            assert!(matches!(outcome, Outcome::Damaged(_)), "{outcome:?}");
        }
        archive(&python, &wheel, &[("../outside.so", "x")]);
        extract(&python, &wheel, &tree, |_| true).unwrap();
        assert!(!folder.path().join("outside.so").exists());
    }
}
