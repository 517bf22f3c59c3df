//! How a pass over pictures goes on, and which of them could not be used.

use std::path::Path;

/// Is told how a pass over pictures goes on. Every method does nothing unless it is implemented.
pub trait ProgressSink {
    /// A pass over `total` pictures begins; `what` says in a word what is done with them.
    fn begin(&mut self, _what: &str, _total: usize) {}

    /// One more picture was dealt with.
    fn done(&mut self) {}

    /// A picture cannot be used; the work goes on without it.
    fn bad(&mut self, _path: &Path, _reason: &str) {}
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl ProgressSink for Silent {}

/// A picture that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPicture {
    /// The file.
    pub path: String,
    /// Why it could not be used.
    pub reason: String,
}

/// The pictures of a pass that could not be used, in bounded memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadPictures {
    /// How many there were.
    pub count: usize,
    /// The first [`BadPictures::KEPT`] of them.
    pub first: Vec<BadPicture>,
    /// The last of them.
    pub last: Option<BadPicture>,
}

impl BadPictures {
    /// So many are kept with their reasons.
    pub const KEPT: usize = 100;

    /// Counts one more.
    pub(super) fn add(&mut self, path: &Path, reason: &str) {
        let bad = BadPicture {
            path: path.display().to_string(),
            reason: reason.to_owned(),
        };
        self.count += 1;
        if self.first.len() < Self::KEPT {
            self.first.push(bad.clone());
        }
        self.last = Some(bad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_first_and_the_last_are_kept() {
        let mut bad = BadPictures::default();
        for i in 0..1000 {
            bad.add(Path::new(&format!("{i}.jpg")), "is empty");
        }
        assert_eq!((bad.count, bad.first.len()), (1000, BadPictures::KEPT));
        assert_eq!(bad.first[99].path, "99.jpg");
        assert_eq!(bad.last.unwrap().path, "999.jpg");
    }
}
