//! A tar file of pictures (as WebDataset keeps them): listed once by hopping from header to header, then read picture by
//! picture where each lies.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Selection;
use super::kind::{self, Kind};
use super::left_out::{LeftOut, Why};
use crate::error::{Error, PictureError, Result};
use crate::picture::SNIFF_BYTES;

/// The pictures of one tar file.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    /// Opened at the first reading: to list thousands of tar files must not keep thousands open.
    file: OnceLock<File>,
    /// Where each picture's bytes begin, how many there are, and where its name ends in `names`.
    pictures: Vec<(u64, u64, usize)>,
    names: String,
}

/// A picture while the archive is listed.
struct Member {
    name: PathBuf,
    start: u64,
    size: u64,
}

/// What the tar file at `path` is packed by as a whole, if it is.
///
/// # Errors
/// What the file system says.
pub(super) fn packed(path: &Path) -> Result<Option<&'static str>> {
    let mut start = [0; SNIFF_BYTES];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    let read = read.map_err(|e| Error::io(path, e))?;
    Ok(kind::packed_by(&start[..read]))
}

impl Shard {
    /// Lists the pictures; what is not taken goes to `left_out`. Archives that were put one behind the other into one file are
    /// all read.
    pub(super) fn open(path: &Path, selection: &Selection, left_out: &mut LeftOut) -> Result<Self> {
        if let Some(kind) = packed(path)? {
            return Err(Error::Packed {
                path: path.into(),
                kind,
            });
        }
        let broken = |source| Error::Shard {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(broken)?.len();
        let mut archive = tar::Archive::new(&file);
        archive.set_ignore_zeros(true);
        let mut members = Vec::new();
        for entry in archive.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let (start, size) = (entry.raw_file_position(), entry.size());
            if start.saturating_add(size) > length {
                return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            let name = entry.path().map_err(broken)?.into_owned();
            let kind = match kind::of_name(name.file_name().unwrap_or_default()) {
                Kind::Unknown => kind_of_member(path, start, size),
                kind => kind,
            };
            match kind {
                Kind::Picture if selection.excludes(&name) => left_out.add(Why::Excluded, &path.join(name)),
                Kind::Picture => members.push(Member { name, start, size }),
                Kind::LeftOut(why) => left_out.add(why, &path.join(name)),
                Kind::Tar | Kind::SomethingElse | Kind::Unknown => {}
            }
        }
        let mut shard = Self {
            path: path.into(),
            file: OnceLock::new(),
            pictures: Vec::new(),
            names: String::new(),
        };
        for (member, taken) in choose(members, selection.members()) {
            if taken {
                shard.names.push_str(&member.name.to_string_lossy());
                shard
                    .pictures
                    .push((member.start, member.size, shard.names.len()));
            } else {
                left_out.add(Why::SecondOfSample, &path.join(member.name));
            }
        }
        Ok(shard)
    }

    pub(super) fn len(&self) -> usize {
        self.pictures.len()
    }

    /// The tar file's path, then the name inside.
    pub(super) fn path(&self, index: usize) -> PathBuf {
        let start = if index == 0 { 0 } else { self.pictures[index - 1].2 };
        self.path.join(&self.names[start..self.pictures[index].2])
    }

    pub(super) fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
        let (start, size, _) = self.pictures[index];
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let opened = File::open(&self.path)?;
                self.file.get_or_init(|| opened)
            }
        };
        bytes.resize(size as usize, 0);
        Ok(file.read_exact_at(bytes, start)?)
    }
}

/// Which of the pictures are taken, by the rule of [`Selection::new`].
fn choose(members: Vec<Member>, wanted: &[String]) -> Vec<(Member, bool)> {
    let simple: HashSet<PathBuf> = members
        .iter()
        .filter_map(|member| {
            let (sample, extension) = sample(&member.name)?;
            (!extension.contains('.')).then_some(sample)
        })
        .collect();
    let taken = |member: &Member| match sample(&member.name) {
        Some((_, extension)) if !wanted.is_empty() => {
            wanted.contains(&extension)
                || member
                    .name
                    .extension()
                    .is_some_and(|e| wanted.iter().any(|w| e.eq_ignore_ascii_case(w)))
                    && !extension.contains('.')
        }
        Some((sample, extension)) => !extension.contains('.') || !simple.contains(&sample),
        None => wanted.is_empty(),
    };
    let choice = |member: Member| {
        let taken = taken(&member);
        (member, taken)
    };
    members.into_iter().map(choice).collect()
}

/// A member's path up to the first dot of its name, and what follows the dot, in lower case.
fn sample(name: &Path) -> Option<(PathBuf, String)> {
    let file = name.file_name()?.to_str()?;
    let (key, extension) = file.split_once('.')?;
    Some((name.with_file_name(key), extension.to_lowercase()))
}

fn kind_of_member(path: &Path, start: u64, size: u64) -> Kind {
    let mut bytes = [0; SNIFF_BYTES];
    let bytes = &mut bytes[..(size as usize).min(SNIFF_BYTES)];
    // Apart from the archive's own place in the file.
    let read = File::open(path).and_then(|mut file| {
        file.seek(std::io::SeekFrom::Start(start))?;
        file.read_exact(bytes)
    });
    read.map_or(Kind::SomethingElse, |()| kind::of_content(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(names: &[&str], wanted: &[&str]) -> Vec<String> {
        let member = |name: &&str| Member {
            name: PathBuf::from(name),
            start: 0,
            size: 0,
        };
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        choose(names.iter().map(member).collect(), &wanted)
            .into_iter()
            .filter(|(_, taken)| *taken)
            .map(|(member, _)| member.name.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn of_a_sample_the_picture_is_taken_and_not_its_mask() {
        let names = [
            "a/0.jpg",
            "a/0.seg.png",
            "a/1.depth.png",
            "b/0.seg.png",
            "IMG.2020.01.jpg",
            "IMG.2020.02.jpg",
        ];
        // Without a picture of a simple extension there is nothing to prefer.
        let rule = [
            "a/0.jpg",
            "a/1.depth.png",
            "b/0.seg.png",
            "IMG.2020.01.jpg",
            "IMG.2020.02.jpg",
        ];
        assert_eq!(taken(&names, &[]), rule);
        assert_eq!(taken(&names, &["seg.png"]), ["a/0.seg.png", "b/0.seg.png"]);
        assert_eq!(taken(&names, &["jpg"]), ["a/0.jpg"]);
    }
}
