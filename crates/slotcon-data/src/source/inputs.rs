//! Pictures that a user names, each with the name of what is made of it: the path below the folder that was given, so that no
//! result replaces another.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::{Dataset, Layout, LeftOut, Root};
use crate::error::{Error, PictureError, Result};

/// Pictures given one by one, or as folders, lists and tar files of them.
#[derive(Debug)]
pub struct Inputs {
    sets: Vec<Dataset>,
    /// Data set, number therein, and name of the results, of every picture.
    pictures: Vec<(usize, usize, PathBuf)>,
}

impl Inputs {
    /// Lists what is `given`. The results of a picture in a folder are named by its path below that folder, with the folder's
    /// own name in front where several are given; those of a single picture by its name.
    ///
    /// # Errors
    /// A folder, list or tar file that cannot be listed; two pictures whose results would have the same name.
    pub fn open(given: &[PathBuf]) -> Result<Self> {
        let is_set = |path: &PathBuf| match Root::of(path) {
            Ok(Root::Folder | Root::List | Root::Shard) => true,
            Ok(Root::Shards(_)) | Err(_) => path.to_string_lossy().contains('{') && !path.exists(),
        };
        let (sets, single): (Vec<&PathBuf>, Vec<&PathBuf>) = given.iter().partition(|path| is_set(path));
        let mut inputs = Self {
            sets: Vec::new(),
            pictures: Vec::new(),
        };
        let labels = labels(&sets);
        for (root, label) in sets.iter().zip(labels) {
            let set = Dataset::open(&[root.to_path_buf()], Layout::Folder)?;
            let number = inputs.sets.len();
            // The paths of a list begin where the list lies.
            let base = match Root::of(root) {
                Ok(Root::List) => root.parent().unwrap_or(root),
                _ => root,
            };
            for i in 0..set.len() {
                let path = set.path(i);
                let name = normal(path.strip_prefix(base).unwrap_or(&path));
                inputs.pictures.push((number, i, label.join(name)));
            }
            inputs.sets.push(set);
        }
        let names = tails(&single);
        let number = inputs.sets.len();
        inputs
            .pictures
            .extend(names.into_iter().enumerate().map(|(i, name)| (number, i, name)));
        inputs.sets.push(Dataset::from_paths(single));
        inputs.refuse_same_names()?;
        Ok(inputs)
    }

    fn refuse_same_names(&self) -> Result<()> {
        let mut seen: HashMap<&Path, usize> = HashMap::new();
        for i in 0..self.len() {
            if let Some(first) = seen.insert(self.name(i), i) {
                // The same picture given twice makes the same results.
                let (a, b) = (self.path(first), self.path(i));
                if a != b {
                    return Err(Error::SameName {
                        a,
                        b,
                        name: self.name(i).to_path_buf(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Where picture `index` lies.
    pub fn path(&self, index: usize) -> PathBuf {
        let (set, i, _) = self.pictures[index];
        self.sets[set].path(i)
    }

    /// What the results of picture `index` are called, without their endings: a path without root or `..`.
    pub fn name(&self, index: usize) -> &Path {
        &self.pictures[index].2
    }

    /// Reads the file of picture `index` into `bytes`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
        let (set, i, _) = self.pictures[index];
        self.sets[set].read(i, bytes)
    }

    /// What lies beside the pictures and was not taken, set by set.
    pub fn left_out(&self) -> impl Iterator<Item = &LeftOut> {
        self.sets.iter().map(Dataset::left_out)
    }
}

/// What stands in front of the results' names of each of some folders: nothing for one, else as much of the ends of their paths as
/// tells them apart.
pub fn labels<P: AsRef<Path>>(roots: &[P]) -> Vec<PathBuf> {
    if roots.len() < 2 {
        return vec![PathBuf::new(); roots.len()];
    }
    tails(roots)
}

/// As many of the last parts of each path as tell all of them apart, one at least.
fn tails<P: AsRef<Path>>(paths: &[P]) -> Vec<PathBuf> {
    let whole: Vec<PathBuf> = paths
        .iter()
        .map(|path| {
            let path = path.as_ref();
            normal(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
        })
        .collect();
    let mut different: Vec<&PathBuf> = whole.iter().collect();
    different.sort();
    different.dedup();
    let tail = |path: &Path, parts: usize| {
        let count = path.components().count();
        path.components()
            .skip(count.saturating_sub(parts))
            .collect::<PathBuf>()
    };
    let deepest = whole
        .iter()
        .map(|path| path.components().count())
        .max()
        .unwrap_or(1);
    let parts = (1..deepest).find(|&parts| {
        let mut seen: Vec<PathBuf> = different.iter().map(|path| tail(path, parts)).collect();
        seen.sort();
        seen.dedup();
        seen.len() == different.len()
    });
    whole
        .iter()
        .map(|path| tail(path, parts.unwrap_or(deepest)))
        .collect()
}

/// The named parts of a path: results stay below their folder, whatever the path leads to.
fn normal(path: &Path) -> PathBuf {
    path.components()
        .filter(|c| matches!(c, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }

    fn names(root: &Path, given: &[&str]) -> Result<Vec<String>> {
        let given: Vec<PathBuf> = given.iter().map(|name| root.join(name)).collect();
        let inputs = Inputs::open(&given)?;
        Ok((0..inputs.len())
            .map(|i| inputs.name(i).to_str().unwrap().to_owned())
            .collect())
    }

    #[test]
    fn equal_names_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in [
            "monday/1.jpg",
            "monday/sub/2.jpg",
            "tuesday/1.jpg",
            "old/monday/1.jpg",
        ] {
            put(root, name);
        }
        let of = |given: &[&str]| names(root, given).unwrap();
        assert_eq!(of(&["monday"]), ["1.jpg", "sub/2.jpg"]);
        assert_eq!(
            of(&["monday", "tuesday"]),
            ["monday/1.jpg", "monday/sub/2.jpg", "tuesday/1.jpg"]
        );
        assert_eq!(of(&["old/monday", "tuesday"]), ["monday/1.jpg", "tuesday/1.jpg"]);
        let apart = of(&["monday", "old/monday"]);
        assert!(
            apart[2] == "old/monday/1.jpg" && apart[0].ends_with("/monday/1.jpg") && apart[0] != apart[2]
        );
        assert_eq!(of(&["monday/1.jpg", "monday/sub/2.jpg"]), ["1.jpg", "2.jpg"]);
        assert_eq!(
            of(&["monday/1.jpg", "tuesday/1.jpg"]),
            ["monday/1.jpg", "tuesday/1.jpg"]
        );
        assert_eq!(of(&["monday/1.jpg", "monday/1.jpg"]), ["1.jpg", "1.jpg"]);
        let error = names(root, &["monday", "tuesday/1.jpg"]).unwrap_err().to_string();
        assert!(
            error.contains("tuesday/1.jpg") && error.contains("monday/1.jpg"),
            "{error}"
        );
    }
}
