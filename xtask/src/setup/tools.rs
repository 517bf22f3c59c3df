//! What set-up needs of the machine: a C++ compiler, Python with pip, room on the disk.

use super::TORCH_VERSION;
use crate::process;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const INSTALL_COMPILER: &str = "install one: Debian/Ubuntu `sudo apt install g++`, Fedora `sudo dnf install gcc-c++`, \
                                Arch `sudo pacman -S gcc`";

const INSTALL_PIP: &str = "install them: Debian/Ubuntu `sudo apt install python3 python3-pip`, Fedora `sudo dnf install \
                           python3 python3-pip`, Arch `sudo pacman -S python python-pip`";

/// The first pip that takes several `--platform` options.
const FIRST_PIP: (u32, u32) = (20, 3);

/// The C++ compiler that build scripts will call. Cheap: it looks, and starts nothing.
///
/// # Errors
/// If there is none, or only one that build scripts would not find by themselves.
pub fn compiler() -> Result<PathBuf> {
    if let Some(value) = std::env::var_os("CXX").filter(|value| !value.is_empty()) {
        // `CXX` may hold a wrapper and arguments, as in `ccache g++`.
        let text = value.to_string_lossy().into_owned();
        let program = text.split_whitespace().next().unwrap_or_default();
        return match process::find_program(program) {
            Some(found) => Ok(found),
            None => bail!("CXX={text} names a C++ compiler that is not there; correct or unset CXX"),
        };
    }
    if let Some(found) = process::find_program("c++") {
        return Ok(found);
    }
    for other in ["g++", "clang++"] {
        if let Some(found) = process::find_program(other) {
            bail!(
                "there is no `c++` in PATH, but {} is there: run `export CXX={other}` first",
                found.display()
            );
        }
    }
    bail!("no C++ compiler: neither CXX nor `c++` in PATH names one; {INSTALL_COMPILER}")
}

/// Tries a compiler on the C++17 that libtorch's headers are written in.
///
/// # Errors
/// If it fails; the message holds what it said.
pub fn try_compiler(scratch: &Path) -> Result<()> {
    let found = compiler()?;
    let words = std::env::var("CXX").unwrap_or_default();
    let source = scratch.join("probe.cpp");
    std::fs::write(
        &source,
        "#include <optional>\n#include <string_view>\nint main() { return 0; }\n",
    )?;
    let mut command = Command::new(&found);
    command
        .args(words.split_whitespace().skip(1))
        .args(["-std=c++17", "-fsyntax-only"])
        .arg(&source);
    if let Err(error) = process::output(&mut command) {
        bail!(
            "the C++ compiler {} cannot compile C++17 with its standard library; {INSTALL_COMPILER}\n{error:#}",
            found.display()
        );
    }
    Ok(())
}

/// A Python 3 whose pip can fetch wheels for another Python.
///
/// # Errors
/// If there is none; the message says which part is missing.
pub fn python_with_pip() -> Result<PathBuf> {
    let Some(python) = ["python3", "python"]
        .into_iter()
        .find_map(|name| named_python(name).ok())
    else {
        bail!(
            "no Python 3 in PATH; libtorch is fetched by its pip. Python 3 and pip are needed: {INSTALL_PIP}"
        );
    };
    let said = match process::output(Command::new(&python).args(["-m", "pip", "--version"])) {
        Ok(said) => said,
        Err(error) => bail!("{} has no pip; {INSTALL_PIP} ({error:#})", python.display()),
    };
    match pip_version(&said) {
        Some(version) if version >= FIRST_PIP => Ok(python),
        Some((major, minor)) => bail!(
            "pip {major}.{minor} of {} is too old: {}.{} or newer is needed; run `{} -m pip install --upgrade pip`",
            python.display(),
            FIRST_PIP.0,
            FIRST_PIP.1,
            python.display()
        ),
        None => bail!(
            "`{} -m pip --version` says no version: {}",
            python.display(),
            said.trim()
        ),
    }
}

/// The program `name`, if it is a Python 3.
///
/// # Errors
/// If it is not in `PATH`, does not start, or is older.
pub fn named_python(name: &str) -> Result<PathBuf> {
    let Some(python) = process::find_program(name) else {
        bail!("there is no `{name}` in PATH; {INSTALL_PIP}");
    };
    let script = "import sys; print(sys.version_info[0])";
    let major = process::output(Command::new(&python).args(["-c", script]))?;
    if major.trim() != "3" {
        bail!("{} is Python {}, not Python 3", python.display(), major.trim());
    }
    Ok(python)
}

/// `(23, 2)` of `pip 23.2.1 from …`.
fn pip_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("pip ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Makes sure that `folder` has room for `mb` megabytes.
///
/// # Errors
/// If it has not; the message says how much there is.
pub fn disk(python: &Path, folder: &Path, mb: u64) -> Result<()> {
    let script = "import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free // 1000000)";
    let said = process::output(Command::new(python).args(["-c", script]).arg(folder))?;
    let free: u64 = said.trim().parse()?;
    if free < mb {
        bail!(
            "not enough room on the disk: set-up needs {mb} MB in {} for a while, {free} MB are free. Make room and \
             run the same command again",
            folder.display()
        );
    }
    Ok(())
}

/// Makes sure that PyPI has a libtorch for this machine.
///
/// # Errors
/// If it has none.
pub fn machine() -> Result<&'static str> {
    let arch = std::env::consts::ARCH;
    let fits = cfg!(all(target_os = "linux", target_env = "gnu")) && matches!(arch, "x86_64" | "aarch64");
    if !fits {
        bail!(
            "libtorch can be fetched for Linux with glibc on x86_64 and aarch64, and this is {} on {arch}. Set \
             LIBTORCH to the folder of a libtorch {TORCH_VERSION} of your own, or LIBTORCH_USE_PYTORCH=1 to use the \
             PyTorch of your Python",
            if cfg!(target_env = "musl") {
                "Linux with musl"
            } else {
                std::env::consts::OS
            }
        );
    }
    Ok(arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_versions() {
        assert_eq!(
            pip_version("pip 23.2.1 from /usr/lib/python3 (python 3.11)"),
            Some((23, 2))
        );
        assert_eq!(pip_version("pip 9.0 from /usr"), Some((9, 0)));
        assert_eq!(pip_version("pip 25.3.dev1 from /usr"), Some((25, 3)));
        assert_eq!(pip_version("No module named pip"), None);
        assert!((20, 2) < FIRST_PIP && (21, 0) > FIRST_PIP);
    }

    #[test]
    fn room_on_the_disk_is_counted() {
        let python = named_python("python3").unwrap();
        let folder = tempfile::tempdir().unwrap();
        disk(&python, folder.path(), 0).unwrap();
        let error = disk(&python, folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("MB are free"), "{error}");
    }
}
