//! Listing the pictures of a folder: sorted, safe against links that go round in circles.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::PathList;
use crate::error::{Error, Result};
use crate::picture::{Format, SNIFF_BYTES};

/// How far down to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// This folder's own files.
    Flat,
    /// All below it.
    Deep,
}

/// What a file's name says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Picture,
    SomethingElse,
    /// Only its content can tell.
    Unknown,
}

const PICTURES: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "tif", "tiff", "bmp", "dib", "gif",
];

/// What commonly lies beside pictures. Whatever is in neither list is opened to see.
const OTHERS: &[&str] = &[
    "txt",
    "json",
    "jsonl",
    "xml",
    "csv",
    "tsv",
    "md",
    "html",
    "yaml",
    "yml",
    "toml",
    "pdf",
    "npy",
    "npz",
    "pt",
    "pth",
    "pkl",
    "mat",
    "h5",
    "parquet",
    "arrow",
    "safetensors",
    "zip",
    "tar",
    "gz",
    "xz",
    "7z",
    "mp4",
    "avi",
    "mov",
    "mkv",
    "webm",
    "wav",
    "mp3",
    "py",
    "sh",
    "log",
    "lock",
    "db",
    "ini",
    "svg",
    "aae",
    "cls",
];

pub(super) fn kind_of(name: &OsStr) -> Kind {
    // Names with a leading dot are other programs' business (".DS_Store", "._photo.jpg").
    if name.as_bytes().first() == Some(&b'.') {
        return Kind::SomethingElse;
    }
    let Some(extension) = Path::new(name).extension() else {
        return Kind::Unknown;
    };
    let extension = extension.to_string_lossy().to_ascii_lowercase();
    if PICTURES.contains(&extension.as_str()) {
        Kind::Picture
    } else if OTHERS.contains(&extension.as_str()) {
        Kind::SomethingElse
    } else {
        Kind::Unknown
    }
}

fn holds_a_picture(path: &Path) -> bool {
    let mut start = [0; SNIFF_BYTES];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|n| Format::of(&start[..n]).is_some())
}

/// The folders directly inside `folder`, sorted by name.
pub(super) fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, _) = read_folder(folder)?;
    folders.sort();
    Ok(folders.into_iter().map(|name| folder.join(name)).collect())
}

/// Appends the pictures of `root` to `paths`: those of a folder sorted by name, then those of its subfolders.
///
/// Links to files and folders are followed; a folder that was visited before, by whatever way, is not visited again.
/// A subfolder that may not be opened ends the listing with an error: to train on a part unknowingly would be worse.
pub(super) fn list_below(root: &Path, walk: Walk, paths: &mut PathList) -> Result<()> {
    let mut visited = HashSet::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let meta = std::fs::metadata(&folder).map_err(|e| Error::io(&folder, e))?;
        if !visited.insert((meta.dev(), meta.ino())) {
            continue;
        }
        let (mut folders, mut files) = read_folder(&folder)?;
        files.retain(|name| match kind_of(name) {
            Kind::Picture => true,
            Kind::SomethingElse => false,
            Kind::Unknown => holds_a_picture(&folder.join(name)),
        });
        files.sort();
        if !files.is_empty() {
            let number = paths.push_folder(&folder);
            files.iter().for_each(|name| paths.push(number, name));
        }
        if walk == Walk::Deep {
            folders.sort();
            waiting.extend(folders.into_iter().rev().map(|name| folder.join(name)));
        }
    }
    Ok(())
}

/// Names of the folders and of the files in a folder. Links that lead nowhere, and what is neither, are left out.
fn read_folder(folder: &Path) -> Result<(Vec<OsString>, Vec<OsString>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let name = entry.file_name();
        let mut kind = entry.file_type().map_err(|e| Error::io(entry.path(), e))?;
        if kind.is_symlink() {
            match std::fs::metadata(entry.path()) {
                Ok(target) => kind = target.file_type(),
                Err(_) => continue,
            }
        }
        let hidden = name.as_bytes().first() == Some(&b'.');
        if kind.is_dir() && !hidden {
            folders.push(name);
        } else if kind.is_file() {
            files.push(name);
        }
    }
    Ok((folders, files))
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
