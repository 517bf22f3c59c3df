//! Which golden cases are run: all of the repository's `fixtures/`, and all of the folders that `SLOTCON_FIXTURES` names.
//!
//! `SLOTCON_FIXTURES` is a list of folders as in `PATH` (default `../shared/fixtures` beside the repository); relative
//! ones are taken from the repository's root. They add cases and replace none. A case that an earlier folder holds under the
//! same name with the same bytes is run once.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what is not tested must be said"
)]

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

/// The variable that names more folders.
const VARIABLE: &str = "SLOTCON_FIXTURES";
/// Its default.
const DEFAULT: &str = "../shared/fixtures";

/// What the cases of one kind have in common.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    /// The subfolder that holds them; empty for the folder itself.
    pub folder: &'a str,
    /// What the name of a case begins with.
    pub prefix: &'a str,
    /// The ending of the file by which a case is found, such as `.json`.
    pub ending: &'a str,
    /// Files that every case of the kind reads besides those that begin with its name and a dot.
    pub beside: &'a [&'a str],
}

/// One golden case.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder of golden values it is from, as one would write it in the repository's root.
    pub source: String,
    /// Its name: that of the file by which it was found, without the ending.
    pub stem: String,
    /// The file by which it was found.
    pub file: PathBuf,
}

impl Case {
    /// Folder and name of the case, for the name of a trial.
    pub fn name(&self) -> String {
        format!("{}::{}", self.source, self.stem)
    }

    /// The file of this case with another ending: `safetensors` for `NAME.safetensors`.
    pub fn with_ending(&self, ending: &str) -> PathBuf {
        self.file.with_file_name(format!("{}.{ending}", self.stem))
    }

    /// A file in the folder of this case.
    pub fn beside(&self, file: &str) -> PathBuf {
        self.file.with_file_name(file)
    }
}

/// The trials that `of` makes of every case of a kind.
///
/// The committed cases must be there: where none is, a trial fails. A further folder that is absent or holds no case of the
/// kind is named on standard error, and by a trial that is reported as ignored.
///
/// # Errors
/// A folder that cannot be read; those of `of`.
pub fn trials(
    kind: Kind,
    of: impl Fn(&Case) -> Result<Vec<Trial>, Box<dyn Error>>,
) -> Result<Vec<Trial>, Box<dyn Error>> {
    let root = root();
    let listed = std::env::var_os(VARIABLE).unwrap_or_else(|| DEFAULT.into());
    let mut sources = vec![root.join("fixtures")];
    let named = std::env::split_paths(&listed).filter(|folder| !folder.as_os_str().is_empty());
    sources.extend(named.map(|folder| root.join(folder)));
    let found = find(&root, &sources, kind)?;

    let what = Path::new(kind.folder).join(format!("{}*{}", kind.prefix, kind.ending));
    let mut trials = Vec::new();
    for (index, (source, cases)) in found.into_iter().enumerate() {
        let name = format!("{source}: {} (no golden values)", what.display());
        match cases {
            None if index == 0 => trials.push(Trial::test(name, || {
                Err("the repository has lost its golden values".into())
            })),
            None => {
                eprintln!(
                    "NOT TESTED: {source} holds no {}; {VARIABLE} names folders with more golden values",
                    what.display()
                );
                trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            }
            Some(cases) => {
                for case in &cases {
                    trials.extend(of(case)?);
                }
            }
        }
    }
    Ok(trials)
}

/// The repository's root, two folders above this crate.
fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// Cases by source, sorted by name, without those that an earlier source holds; `None` where a source holds none at all.
fn find(root: &Path, sources: &[PathBuf], kind: Kind) -> io::Result<Vec<(String, Option<Vec<Case>>)>> {
    let mut all: Vec<Case> = Vec::new();
    let mut found = Vec::new();
    for source in sources {
        let label = source.strip_prefix(root).unwrap_or(source).display().to_string();
        let cases = cases_in(&source.join(kind.folder), &label, kind)?;
        if cases.is_empty() {
            found.push((label, None));
            continue;
        }
        let mut fresh = Vec::new();
        for case in cases {
            let earlier = all.iter().filter(|earlier| earlier.stem == case.stem);
            let mut same = false;
            for earlier in earlier {
                same = same || is_held(&case, earlier, kind)?;
            }
            if !same {
                fresh.push(case);
            }
        }
        all.extend(fresh.iter().cloned());
        found.push((label, Some(fresh)));
    }
    Ok(found)
}

/// The cases of a kind in one folder.
fn cases_in(folder: &Path, label: &str, kind: Kind) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (name, file) in files(folder)? {
        let stem = name
            .strip_suffix(kind.ending)
            // A dot is in the names of the further files of a case.
            .filter(|stem| stem.starts_with(kind.prefix) && !stem.contains('.'));
        if let Some(stem) = stem {
            cases.push(Case {
                source: label.to_owned(),
                stem: stem.to_owned(),
                file,
            });
        }
    }
    Ok(cases)
}

/// Whether every file of `case` lies beside `earlier` with the same bytes.
fn is_held(case: &Case, earlier: &Case, kind: Kind) -> io::Result<bool> {
    let folder = case.file.parent().unwrap_or(Path::new(""));
    let own = format!("{}.", case.stem);
    for (name, file) in files(folder)? {
        if !name.starts_with(&own) && !kind.beside.contains(&name.as_str()) {
            continue;
        }
        let other = earlier.beside(&name);
        if !other.is_file() || fs::read(&file)? != fs::read(&other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names and paths of a folder's files, sorted; none where there is no such folder.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

    use super::*;

    const STEPS: Kind = Kind {
        folder: "sub",
        prefix: "step_",
        ending: ".json",
        beside: &["rule.txt"],
    };

    /// Folders `a`, `b`, … of a fresh folder, with these files.
    fn sources(folders: &[&[(&str, &str)]]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (folder, name) in folders.iter().zip("abc".chars()) {
            let path = root.path().join(name.to_string());
            fs::create_dir_all(path.join("sub")).unwrap();
            for (file, content) in *folder {
                fs::write(path.join("sub").join(file), content).unwrap();
            }
            paths.push(path);
        }
        (root, paths)
    }

    fn names(folders: &[&[(&str, &str)]]) -> Vec<String> {
        let (root, paths) = sources(folders);
        let found = find(root.path(), &paths, STEPS).unwrap();
        let cases = found.into_iter().flat_map(|(_, cases)| cases.unwrap_or_default());
        cases.map(|case| case.name()).collect()
    }

    #[test]
    fn every_folder_adds_its_cases() {
        let found = names(&[
            &[
                ("step_1.json", "x"),
                ("other.json", "x"),
                ("step_1.f32.json", "x"),
            ],
            &[("step_2.json", "x"), ("step_3.json", "x")],
        ]);
        assert_eq!(found, ["a::step_1", "b::step_2", "b::step_3"]);
    }

    #[test]
    fn an_equal_case_is_run_once_and_any_other_byte_makes_a_case() {
        let first: &[(&str, &str)] = &[
            ("step_1.json", "x"),
            ("step_1.safetensors", "y"),
            ("step_1.f32.json", "z"),
            ("rule.txt", "r"),
        ];
        let equal: &[(&str, &str)] = &[
            ("step_1.json", "x"),
            ("step_1.safetensors", "y"),
            ("rule.txt", "r"),
        ];
        assert_eq!(names(&[first, equal]), ["a::step_1"]);
        let other_tensors: &[(&str, &str)] = &[("step_1.json", "x"), ("step_1.safetensors", "Y")];
        assert_eq!(names(&[first, other_tensors]), ["a::step_1", "b::step_1"]);
        let other_rule: &[(&str, &str)] = &[("step_1.json", "x"), ("rule.txt", "R")];
        assert_eq!(names(&[first, other_rule]), ["a::step_1", "b::step_1"]);
    }

    #[test]
    fn an_absent_and_an_empty_folder_are_told_from_one_that_adds_nothing() {
        let (root, mut paths) = sources(&[&[("step_1.json", "x")], &[], &[("step_1.json", "x")]]);
        paths.push(root.path().join("nowhere"));
        let found = find(root.path(), &paths, STEPS).unwrap();
        let counts: Vec<(&str, Option<usize>)> = found
            .iter()
            .map(|(label, cases)| (label.as_str(), cases.as_ref().map(Vec::len)))
            .collect();
        assert_eq!(
            counts,
            [("a", Some(1)), ("b", None), ("c", Some(0)), ("nowhere", None)]
        );
    }
}
