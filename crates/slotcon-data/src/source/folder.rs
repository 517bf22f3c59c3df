//! Listing the pictures of a folder: sorted, safe against links that go round in circles.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::kind::{self, Kind};
use super::left_out::{LeftOut, Why};
use super::{PathList, Selection};
use crate::error::{Error, Result};

/// How far down to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// This folder's own files.
    Flat,
    /// All below it.
    Deep,
}

/// The folders directly inside `folder`, sorted by name.
pub(super) fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = read_folder(folder)?.folders;
    folders.retain(|name| name.as_bytes().first() != Some(&b'.') && !kind::is_side_product(name));
    folders.sort();
    Ok(folders.into_iter().map(|name| folder.join(name)).collect())
}

/// What is found below a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Pictures: those of a folder sorted by name, then those of its subfolders.
    pub(super) paths: PathList,
    /// Tar files, in the same order.
    pub(super) archives: Vec<PathBuf>,
    /// What was passed over.
    pub(super) left_out: LeftOut,
}

/// Appends what lies below `root`.
///
/// Links to files and folders are followed; a folder that was visited before, by whatever way, is not visited again.
/// A subfolder that may not be opened ends the listing with an error: to train on a part unknowingly would be worse.
pub(super) fn list_below(root: &Path, walk: Walk, selection: &Selection, found: &mut Found) -> Result<()> {
    let mut visited = HashSet::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let meta = std::fs::metadata(&folder).map_err(|e| Error::io(&folder, e))?;
        if !visited.insert((meta.dev(), meta.ino())) {
            continue;
        }
        let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_path_buf();
        let Entries {
            mut folders,
            mut files,
            dead,
        } = read_folder(&folder)?;
        files.sort();
        for name in dead {
            if kind::of_name(&name) != Kind::SomethingElse {
                found.left_out.add(Why::DeadLink, &folder.join(name));
            }
        }
        let mut number = None;
        for name in &files {
            let path = folder.join(name);
            let kind = match kind::of_name(name) {
                Kind::Unknown => kind::of_file(&path),
                kind => kind,
            };
            match kind {
                Kind::Picture | Kind::Tar if selection.excludes(&below(&path)) => {
                    found.left_out.add(Why::Excluded, &path);
                }
                Kind::Picture => {
                    let folder = *number.get_or_insert_with(|| found.paths.push_folder(&folder));
                    found.paths.push(folder, name);
                }
                Kind::Tar => found.archives.push(path),
                Kind::LeftOut(why) => found.left_out.add(why, &path),
                Kind::SomethingElse | Kind::Unknown => {}
            }
        }
        if walk == Walk::Flat {
            continue;
        }
        folders.sort();
        for name in folders.into_iter().rev() {
            let path = folder.join(&name);
            if kind::is_side_product(&name) {
                count_pictures(&path, &mut found.left_out);
            } else if selection.excludes(&below(&path)) {
                found.left_out.add(Why::Excluded, &path);
            } else if name.as_bytes().first() != Some(&b'.') {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

/// Notes the pictures below a folder of thumbnails or trash; what cannot be listed there is nobody's loss.
fn count_pictures(folder: &Path, left_out: &mut LeftOut) {
    let Ok(Entries { folders, files, .. }) = read_folder(folder) else {
        return;
    };
    for name in files {
        if kind::of_name(&name) == Kind::Picture {
            left_out.add(Why::SideProduct, &folder.join(name));
        }
    }
    for name in folders {
        let path = folder.join(name);
        // A link could lead round in a circle.
        if !path.is_symlink() {
            count_pictures(&path, left_out);
        }
    }
}

/// What lies directly in a folder, by name. What is neither file nor folder is left out.
#[derive(Default)]
struct Entries {
    folders: Vec<OsString>,
    files: Vec<OsString>,
    /// Links that lead nowhere.
    dead: Vec<OsString>,
}

fn read_folder(folder: &Path) -> Result<Entries> {
    let mut entries = Entries::default();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let name = entry.file_name();
        let mut kind = entry.file_type().map_err(|e| Error::io(entry.path(), e))?;
        if kind.is_symlink() {
            match std::fs::metadata(entry.path()) {
                Ok(target) => kind = target.file_type(),
                Err(_) => {
                    entries.dead.push(name);
                    continue;
                }
            }
        }
        if kind.is_dir() {
            entries.folders.push(name);
        } else if kind.is_file() {
            entries.files.push(name);
        }
    }
    entries.dead.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::source::{Dataset, Layout};

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    fn names(root: &Path, layout: Layout) -> Vec<String> {
        let data = Dataset::open(&[root.to_path_buf()], layout).unwrap();
        (0..data.len())
            .map(|i| {
                data.path(i)
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_string()
            })
            .collect()
    }

    fn put(root: &Path, name: &str, content: &[u8]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn pictures_are_found_by_name_or_content_sorted_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in [
            "b.jpg",
            "a.JPEG",
            "sub/deep/c.png",
            "sub/d.webp",
            "notes.txt",
            ".hidden.jpg",
            ".git/x.png",
        ] {
            put(root, name, b"");
        }
        put(root, "no_extension", PNG);
        put(root, "odd.dat", PNG);
        put(root, "other.dat", b"words");
        std::os::unix::fs::symlink(root, root.join("sub/round")).unwrap();
        std::os::unix::fs::symlink(root.join("b.jpg"), root.join("link.jpg")).unwrap();
        std::os::unix::fs::symlink(root.join("gone"), root.join("broken.jpg")).unwrap();
        let want = [
            "a.JPEG",
            "b.jpg",
            "link.jpg",
            "no_extension",
            "odd.dat",
            "sub/d.webp",
            "sub/deep/c.png",
        ];
        assert_eq!(names(root, Layout::Folder), want);
    }

    #[test]
    fn published_layouts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in [
            "train2017/2.jpg",
            "train2017/1.jpg",
            "val2017/3.jpg",
            "train/n02/b.JPEG",
            "train/n01/a.JPEG",
        ] {
            put(root, name, b"");
        }
        assert_eq!(names(root, Layout::Coco), ["train2017/1.jpg", "train2017/2.jpg"]);
        assert_eq!(
            names(root, Layout::ImageNet),
            ["train/n01/a.JPEG", "train/n02/b.JPEG"]
        );
        let error = Dataset::open(&[root.into()], Layout::CocoPlus)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("unlabeled2017") && error.contains("cocoplus"),
            "{error}"
        );
        put(root, "unlabeled2017/0.jpg", b"");
        assert_eq!(
            names(root, Layout::CocoPlus),
            ["train2017/1.jpg", "train2017/2.jpg", "unlabeled2017/0.jpg"]
        );
    }

    #[test]
    fn what_cannot_be_listed_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let open = |path: PathBuf| Dataset::open(&[path], Layout::Folder).unwrap_err();
        assert!(matches!(open(dir.path().join("none")), Error::Missing { .. }));
        assert!(matches!(open(dir.path().into()), Error::NoPictures { .. }));
        put(dir.path(), "file.jpg", b"");
        assert!(matches!(
            open(dir.path().join("file.jpg")),
            Error::NotASource { .. }
        ));
        assert!(matches!(
            open(dir.path().join("s-{0..2}.tar")),
            Error::Missing { .. }
        ));
        assert!(matches!(Dataset::open(&[], Layout::Folder), Err(Error::NoRoots)));
    }
}
