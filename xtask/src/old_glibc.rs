//! A program for machines with an older glibc than this one's, as the tag `manylinux_2_28` of Python wheels promises. Zig's linker
//! knows which symbols every glibc had, and brings the start-up code of each. libstdc++ stays the shared one, as libtorch shares
//! its strings and exceptions with us; the few functions of it that are newer than the promise are taken out of the static one. (Red
//! Hat's compilers for old systems do the same by their `libstdc++_nonshared.a`.)

use crate::{folder, process, program};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest glibc that what is linked here runs with.
pub const GLIBC: &str = "2.28";
/// The newest versions of libstdc++'s symbols on systems with that glibc (auditwheel's policy `manylinux_2_28`).
const NEWEST: [(&str, [u32; 3]); 2] = [("GLIBCXX_", [3, 4, 24]), ("CXXABI_", [1, 3, 11])];
const SINGLE_THREADED: &str = include_str!("old_glibc/single_threaded.c");

/// Writes a linker for rustc into `folder`: this program, which finds Zig by that Python.
///
/// # Errors
/// What the file system says.
pub fn linker(folder: &Path, python: &Path) -> Result<PathBuf> {
    let script = folder.join("cc");
    let this = std::env::current_exe().context("where is this program?")?;
    let text = format!(
        "#!/bin/sh\nexec '{}' link '{}' \"$@\"\n",
        this.display(),
        python.display()
    );
    std::fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, runs).with_context(|| format!("cannot open {}", script.display()))?;
    Ok(script)
}

/// Links as the arguments say, which are those of a C compiler.
///
/// # Errors
/// If the linker, the compiler or one of binutils fails, or there is no static libstdc++.
pub fn link(python: &Path, arguments: &[String]) -> Result<()> {
    let output = arguments.iter().skip_while(|argument| *argument != "-o").nth(1);
    let output = Path::new(output.context("-o FILE is missing")?);
    let scratch = folder::emptied(&output.with_extension("old_glibc"))?;
    let single_threaded = scratch.join("single_threaded.c");
    std::fs::write(&single_threaded, SINGLE_THREADED)
        .with_context(|| format!("cannot write {}", single_threaded.display()))?;
    let linker = Linker {
        python,
        always: [single_threaded, of_compiler("-print-libgcc-file-name")?],
        shared: [
            ("-lstdc++", of_compiler("-print-file-name=libstdc++.so")?),
            // Zig would put an unwinder of its own into the program: exceptions then pass from one kind to another.
            ("-lgcc_s", of_compiler("-print-file-name=libgcc_s.so.1")?),
        ],
        scratch: &scratch,
    };
    linker.run(arguments, None)?;
    let newer = newer(&program::dynamic_symbols(output)?);
    if !newer.is_empty() {
        let object = linker.static_part(&newer)?;
        linker.run(arguments, Some(&object))?;
    }
    std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}

struct Linker<'a> {
    python: &'a Path,
    /// What every program needs besides.
    always: [PathBuf; 2],
    /// Options, and the libraries that they mean.
    shared: [(&'static str, PathBuf); 2],
    scratch: &'a Path,
}

impl Linker<'_> {
    fn run(&self, arguments: &[String], more: Option<&Path>) -> Result<()> {
        let mut zig = Command::new(self.python);
        zig.args(["-m", "ziglang", "cc", "-target"]);
        zig.arg(format!("{}-linux-gnu.{GLIBC}", std::env::consts::ARCH));
        zig.args(more);
        for argument in arguments {
            match self.shared.iter().find(|(option, _)| option == argument) {
                Some((_, library)) => zig.arg(library),
                None => zig.arg(argument),
            };
        }
        // libstdc++ of this machine may need this machine's glibc.
        zig.args(&self.always).arg("-Wl,--allow-shlib-undefined");
        process::output(&mut zig).map(drop)
    }

    /// An object file with these symbols of the static libstdc++ and, hidden, what they need.
    fn static_part(&self, symbols: &BTreeSet<String>) -> Result<PathBuf> {
        let archive = of_compiler("-print-file-name=libstdc++.a")?;
        let mut list = Command::new("nm");
        list.args(["--defined-only", "--print-file-name"]).arg(&archive);
        let members = members(&process::output(&mut list)?, symbols)?;
        let mut extract = Command::new("ar");
        extract
            .current_dir(self.scratch)
            .arg("x")
            .arg(&archive)
            .args(&members);
        process::output(&mut extract)?;

        let names = self.scratch.join("symbols");
        let lines: Vec<_> = symbols.iter().map(String::as_str).collect();
        std::fs::write(&names, lines.join("\n"))
            .with_context(|| format!("cannot write {}", names.display()))?;
        let object = self.scratch.join("newer.o");
        let mut join = Command::new("ld");
        join.args(["-r", "--force-group-allocation", "--gc-sections", "-o"])
            .arg(&object);
        for symbol in symbols {
            join.args(["-u", symbol]);
        }
        process::output(join.current_dir(self.scratch).args(&members))?;
        let mut hide = Command::new("objcopy");
        process::output(hide.arg("--keep-global-symbols").arg(&names).arg(&object))?;
        Ok(object)
    }
}

/// What the C++ compiler says where a library lies.
fn of_compiler(question: &str) -> Result<PathBuf> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let place = PathBuf::from(process::output(Command::new(&compiler).arg(question))?.trim());
    if !place.is_absolute() {
        bail!("{} has no {}", Path::new(&compiler).display(), place.display());
    }
    Ok(place)
}

/// The names of the imported symbols that systems with the old glibc lack: `…  UND _ZSt28__throw_bad_array_new_lengthv@GLIBCXX_3.4.29 (5)`.
fn newer(listed: &str) -> BTreeSet<String> {
    let symbol = |line: &str| {
        let (name, version) = line
            .split_once(" UND ")?
            .1
            .split_whitespace()
            .next()?
            .split_once('@')?;
        let too_new = NEWEST.iter().any(|(family, newest)| {
            version.strip_prefix(family).is_some_and(|number| {
                number
                    .split('.')
                    .map(|part| part.parse().unwrap_or(0))
                    .gt(*newest)
            })
        });
        too_new.then(|| name.to_owned())
    };
    listed.lines().filter_map(symbol).collect()
}

/// The members of an archive that define the symbols, as nm lists them: `…/libstdc++.a:eh_ptr.o:0000000000000000 T name`.
fn members(listed: &str, symbols: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [place, _, name] = words[..]
            && symbols.contains(name)
            && let Some(member) = place.rsplit(':').nth(1)
        {
            found.entry(name).or_insert(member);
        }
    }
    if let Some(symbol) = symbols.iter().find(|symbol| !found.contains_key(symbol.as_str())) {
        bail!("{symbol} is newer than glibc {GLIBC}'s time, and the static libstdc++ has no such symbol");
    }
    Ok(found.into_values().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_newer_than_the_promise() {
        let listed = "\
     3: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND _Znwm@GLIBCXX_3.4 (2)
     4: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND old@GLIBCXX_3.4.24 (2)
     5: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND new@GLIBCXX_3.4.26 (5)
     6: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND newer@CXXABI_1.3.13 (5)
     7: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND pthread_create@GLIBC_2.34 (3)
     8: 0000000000001000     8 FUNC    GLOBAL DEFAULT   12 ours@@GLIBCXX_3.4.30";
        assert_eq!(newer(listed), BTreeSet::from(["new".into(), "newer".into()]));
    }

    #[test]
    fn the_first_member_that_defines_a_symbol() {
        let listed = "\
/lib/libstdc++.a:a.o:0000000000000000 T new
/lib/libstdc++.a:b.o:0000000000000010 W new
/lib/libstdc++.a:b.o:0000000000000020 W other";
        let symbols = BTreeSet::from(["new".to_owned()]);
        assert_eq!(members(listed, &symbols).unwrap(), BTreeSet::from(["a.o".into()]));
        let said = members(listed, &BTreeSet::from(["gone".to_owned()]))
            .unwrap_err()
            .to_string();
        assert!(said.starts_with("gone is newer"), "{said}");
    }
}
