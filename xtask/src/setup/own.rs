//! A libtorch that the user brings: `LIBTORCH` or `LIBTORCH_USE_PYTORCH`, as torch-sys reads them.

use super::{TORCH_VERSION, tools};
use crate::process;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user's libtorch, found and of the right version.
#[derive(Debug, PartialEq, Eq)]
pub struct Own {
    /// Which of the two variables names it, and its value.
    source: String,
    /// The folder with `libtorch_cpu.so`.
    pub lib: Option<PathBuf>,
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// What the user's variables name; none if they leave the choice to us. `.cargo/config.toml` sets `LIBTORCH` to
/// `ours/torch` for whoever has not set it, which counts as none.
///
/// # Errors
/// If what they name is not there or of another version than this workspace needs.
pub fn from_environment(ours: &Path) -> Result<Option<Own>> {
    let checked = std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_none();
    if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return pytorch(checked).map(Some);
    }
    match std::env::var_os("LIBTORCH") {
        None => Ok(None),
        Some(given) if Path::new(&given) == ours.join("torch") => Ok(None),
        Some(given) => libtorch(&given, checked).map(Some),
    }
}

fn libtorch(given: &OsString, checked: bool) -> Result<Own> {
    let root = PathBuf::from(given);
    if given.is_empty() {
        bail!("LIBTORCH is set but empty; unset it to have libtorch fetched, or set it to a libtorch folder");
    }
    if !root.is_absolute() {
        bail!(
            "LIBTORCH={} must be an absolute path: build scripts run in other folders",
            root.display()
        );
    }
    let elsewhere = |variable: &str| std::env::var_os(variable).map_or_else(|| root.clone(), PathBuf::from);
    let lib = elsewhere("LIBTORCH_LIB").join("lib");
    let header = elsewhere("LIBTORCH_INCLUDE").join("include/torch/csrc/api/include/torch/torch.h");
    for needed in [lib.join("libtorch_cpu.so"), lib.join("libc10.so"), header] {
        if !needed.exists() {
            bail!(
                "LIBTORCH={} is not a libtorch folder: {} is missing. Correct LIBTORCH, or unset it to have \
                 libtorch fetched",
                root.display(),
                needed.display()
            );
        }
    }
    match version_of(&root) {
        Some(found) if checked => {
            require(&found, &format!("LIBTORCH={}", root.display()))?;
        }
        Some(_) => {}
        None => eprintln!(
            "xtask: {} does not say its version; {TORCH_VERSION} is needed, others fail to compile",
            root.display()
        ),
    }
    Ok(Own {
        source: format!("LIBTORCH={}", root.display()),
        lib: Some(lib),
    })
}

fn pytorch(checked: bool) -> Result<Own> {
    // torch-sys asks the same interpreter.
    let name = if std::env::var_os("VIRTUAL_ENV").is_some() {
        "python"
    } else {
        "python3"
    };
    let python = tools::named_python(name)?;
    let script = "import torch, os\nprint(torch.__version__)\nprint(os.path.dirname(torch.__file__))";
    let said = process::output(Command::new(&python).args(["-c", script])).with_context(|| {
        format!(
            "LIBTORCH_USE_PYTORCH is set, but {} cannot import torch; install torch {TORCH_VERSION} into it, or \
             unset LIBTORCH_USE_PYTORCH to have libtorch fetched",
            python.display()
        )
    })?;
    let mut lines = said.lines();
    let version = lines.next().unwrap_or_default();
    if checked {
        require(
            version,
            &format!("the PyTorch of {} (LIBTORCH_USE_PYTORCH)", python.display()),
        )?;
    }
    Ok(Own {
        source: format!("LIBTORCH_USE_PYTORCH, {}", python.display()),
        lib: lines.next().map(|torch| Path::new(torch).join("lib")),
    })
}

fn require(found: &str, what: &str) -> Result<()> {
    if release(found) != TORCH_VERSION {
        bail!(
            "{what} is version {}, but this workspace needs {TORCH_VERSION}. Name one of that version, or unset the \
             variable to have it fetched (LIBTORCH_BYPASS_VERSION_CHECK=1 turns this check off)",
            found.trim()
        );
    }
    Ok(())
}

/// The version that a libtorch archive (`build-version`) or a Python package (`version.py`) states.
fn version_of(root: &Path) -> Option<String> {
    let archive = std::fs::read_to_string(root.join("build-version")).ok();
    archive
        .or_else(|| python_version(&std::fs::read_to_string(root.join("version.py")).ok()?))
        .map(|version| version.trim().to_owned())
}

/// The value of `__version__` in the text of torch's `version.py`.
fn python_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    Some(
        line.split_once('=')?
            .1
            .trim()
            .trim_matches(['\'', '"'])
            .to_owned(),
    )
}

/// `2.11.0` of `2.11.0+cu130`.
pub fn release(version: &str) -> &str {
    let version = version.trim();
    version.split_once('+').map_or(version, |(release, _)| release)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "lib/libtorch_cpu.so",
            "lib/libc10.so",
            "include/torch/csrc/api/include/torch/torch.h",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(folder.path().join("build-version"), version).unwrap();
        folder
    }

    #[test]
    fn versions() {
        assert_eq!(release("2.11.0+cu130\n"), "2.11.0");
        assert_eq!(release("2.11.0"), "2.11.0");
        let text = "from typing import Optional\n__all__ = ['__version__']\n__version__ = '2.11.0+cu130'\n";
        assert_eq!(python_version(text).as_deref(), Some("2.11.0+cu130"));
        assert_eq!(python_version("debug = False"), None);
    }

    #[test]
    fn another_version_is_refused_by_name_and_can_be_forced() {
        let old = fake("2.10.0+cpu");
        let given = old.path().as_os_str().to_owned();
        let error = libtorch(&given, true).unwrap_err().to_string();
        assert!(
            error.contains("2.10.0+cpu") && error.contains("2.11.0"),
            "{error}"
        );
        assert!(libtorch(&given, false).is_ok());
        let right = fake("2.11.0+cpu\n");
        let own = libtorch(&right.path().as_os_str().to_owned(), true).unwrap();
        assert_eq!(own.lib, Some(right.path().join("lib")));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = fake("2.11.0");
        std::fs::remove_file(folder.path().join("lib/libc10.so")).unwrap();
        let error = libtorch(&folder.path().as_os_str().to_owned(), true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("libc10.so"), "{error}");
        assert!(
            libtorch(&"".into(), true)
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
        assert!(
            libtorch(&"torch".into(), true)
                .unwrap_err()
                .to_string()
                .contains("absolute")
        );
    }
}
