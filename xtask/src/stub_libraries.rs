//! PyTorch's wheel from PyPI without CUDA's own: it is linked to cuBLAS, cuDNN and the rest (3 GB), of which nothing is called on a
//! CPU. Empty libraries of the same names let it load, as long as symbols are looked up when they are first called.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes `import torch` of the environment in `folder` work on a CPU.
///
/// # Errors
/// If there is no PyTorch in it, or no C++ compiler.
pub fn make(folder: &Path) -> Result<()> {
    let packages = site_packages(folder)?;
    let libraries = packages.join("torch").join("lib");
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    // A library that is missing hides what it would need itself, so the list is asked for until it is empty.
    for _ in 0..10 {
        let missing = missing(&libraries)?;
        if missing.is_empty() {
            return write_lazy_binding(&packages);
        }
        for name in missing {
            let mut build = Command::new(&compiler);
            build.args(["-shared", "-x", "c++", "/dev/null"]);
            build
                .arg(format!("-Wl,-soname,{name}"))
                .arg("-o")
                .arg(libraries.join(&name));
            process::output(&mut build)?;
        }
    }
    bail!(
        "the libraries of PyTorch in {} are not complete",
        libraries.display()
    )
}

/// The folder of the environment's packages.
fn site_packages(folder: &Path) -> Result<PathBuf> {
    let lib = folder.join("lib");
    for entry in std::fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))? {
        let packages = entry?.path().join("site-packages");
        if packages.join("torch").is_dir() {
            return Ok(packages);
        }
    }
    bail!("there is no PyTorch in {}", lib.display())
}

/// Libraries that the dynamic loader does not find for PyTorch.
fn missing(libraries: &Path) -> Result<Vec<String>> {
    let mut ldd = Command::new("ldd");
    ldd.env("LD_LIBRARY_PATH", libraries);
    ldd.args(["libtorch_python.so", "libtorch_cuda.so"].map(|name| libraries.join(name)));
    Ok(not_found(&process::output(&mut ldd)?))
}

/// The names in what ldd printed: `libcudnn.so.9 => not found`.
fn not_found(printed: &str) -> Vec<String> {
    let lines = printed
        .lines()
        .filter_map(|line| line.trim().strip_suffix("=> not found"));
    let mut names: Vec<String> = lines.map(|name| name.trim().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Python binds every symbol of a library when it loads it, unless it is told otherwise; lines of a `.pth` file that begin
/// with `import` are run when Python starts.
fn write_lazy_binding(packages: &Path) -> Result<()> {
    let path = packages.join("lazy_binding.pth");
    std::fs::write(&path, "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n")
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::not_found;

    #[test]
    fn reads_what_ldd_prints() {
        let printed = "/x/libtorch_python.so:\n\tlibtorch.so => /x/libtorch.so (0x1)\n\tlibcudnn.so.9 => not found\n\
                       /x/libtorch_cuda.so:\n\tlibcudnn.so.9 => not found\n\tlibcublas.so.13 => not found\n";
        assert_eq!(not_found(printed), ["libcublas.so.13", "libcudnn.so.9"]);
    }
}
