//! What lies beside the pictures and is not taken: counted by reason, with the first names, so that nothing is left out without
//! a word.

use std::path::{Path, PathBuf};

/// Names that are kept of each reason.
const FIRST: usize = 3;

/// Why a file is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A link whose target is gone.
    DeadLink,
    /// A picture in a format that is not read.
    Unread(&'static str),
    /// A thumbnail or a deleted file that a storage system keeps.
    SideProduct,
    /// A label map or overlay that this program wrote.
    Result,
    /// An archive beside pictures.
    Archive,
    /// A tar file that is packed as a whole.
    Packed(&'static str),
    /// One more picture of a sample in a tar file, as a mask.
    SecondOfSample,
    /// Named by `data.exclude`.
    Excluded,
    /// A picture without a label map, in a layout where not all have one.
    Unlabelled,
}

impl Why {
    /// What `count` such files are, and what can be done.
    fn text(self, count: usize) -> String {
        let (file, is) = if count == 1 {
            ("file", "is")
        } else {
            ("files", "are")
        };
        match self {
            Self::DeadLink if count == 1 => "1 link leads nowhere".to_owned(),
            Self::DeadLink => format!("{count} links lead nowhere"),
            Self::Unread(format) => {
                format!("{count} {format} {file} {is} not read: convert to JPEG or PNG")
            }
            Self::SideProduct => {
                format!("{count} {file} of a storage system's thumbnails or trash {is} not taken")
            }
            Self::Result => {
                format!("{count} {file} written by slotcon (label maps, overlays) {is} not taken")
            }
            Self::Archive => {
                format!(
                    "{count} {file} {is} an archive beside pictures: name tar files as data of their own, unpack others"
                )
            }
            Self::Packed(kind) => format!("{count} tar {file} {is} packed by {kind}: unpack first"),
            Self::SecondOfSample => {
                format!(
                    "{count} further {file} of samples in tar files (masks and the like) {is} not taken: data.members chooses"
                )
            }
            Self::Excluded => format!("{count} {file} {is} excluded by data.exclude"),
            Self::Unlabelled => format!("{count} picture {file} without a label map {is} not taken"),
        }
    }
}

/// Files that were not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    reasons: Vec<(Why, usize, Vec<PathBuf>)>,
}

impl LeftOut {
    /// Notes one file, by its path.
    pub(crate) fn add(&mut self, why: Why, path: &Path) {
        let at = self.reasons.iter().position(|(known, ..)| *known == why);
        let at = at.unwrap_or_else(|| {
            self.reasons.push((why, 0, Vec::new()));
            self.reasons.len() - 1
        });
        let (_, count, first) = &mut self.reasons[at];
        *count += 1;
        if first.len() < FIRST {
            first.push(path.to_path_buf());
        }
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// How many files were left out for `why`.
    pub fn count(&self, why: Why) -> usize {
        let found = self.reasons.iter().find(|(known, ..)| *known == why);
        found.map_or(0, |(_, count, _)| *count)
    }

    /// A sentence for each reason: how many, why, the first names.
    pub fn lines(&self) -> Vec<String> {
        let line = |(why, count, first): &(Why, usize, Vec<PathBuf>)| {
            let names: Vec<_> = first.iter().map(|path| path.display().to_string()).collect();
            let more = if *count > first.len() { ", …" } else { "" };
            format!("left out: {} ({}{more})", why.text(*count), names.join(", "))
        };
        self.reasons.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_one_line_with_its_first_names() {
        let mut left = LeftOut::default();
        assert!(left.is_empty() && left.lines().is_empty());
        for number in 0..5 {
            left.add(Why::Unread("HEIC"), Path::new(&format!("p/{number}.heic")));
        }
        left.add(Why::DeadLink, Path::new("p/gone.jpg"));
        assert_eq!(
            left.lines(),
            [
                "left out: 5 HEIC files are not read: convert to JPEG or PNG (p/0.heic, p/1.heic, p/2.heic, …)",
                "left out: 1 link leads nowhere (p/gone.jpg)",
            ]
        );
        assert_eq!(
            (left.count(Why::Unread("HEIC")), left.count(Why::Archive)),
            (5, 0)
        );
    }
}
