//! A count of what cannot be used, by reason.

use std::collections::BTreeMap;

/// How many pictures and objects were left out, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// By kind and reason, how many and the first of them.
    reasons: BTreeMap<(&'static str, &'static str), (usize, String)>,
}

impl LeftOut {
    /// Counts a picture; `which` names it, should it be the first of this reason.
    pub(super) fn picture(&mut self, reason: &'static str, which: impl FnOnce() -> String) {
        self.count("picture", reason, which);
    }

    /// Counts an object.
    pub(super) fn object(&mut self, reason: &'static str, which: impl FnOnce() -> String) {
        self.count("object", reason, which);
    }

    /// Counts a part of an object that goes on without it.
    pub(super) fn part(&mut self, reason: &'static str, which: impl FnOnce() -> String) {
        self.count("part", reason, which);
    }

    fn count(&mut self, kind: &'static str, reason: &'static str, which: impl FnOnce() -> String) {
        let entry = self.reasons.entry((kind, reason));
        entry.or_insert_with(|| (0, which())).0 += 1;
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// A sentence for each reason: how many of what, and the first of them.
    pub fn sentences(&self) -> Vec<String> {
        let sentence = |(&(kind, reason), (count, first)): (&(&str, &str), &(usize, String))| {
            let what = match (kind, count) {
                ("picture", 1) => "1 picture left out",
                ("picture", _) => "pictures left out",
                ("object", 1) => "1 object left out",
                ("object", _) => "objects left out",
                (_, 1) => "1 part of an object left out",
                _ => "parts of objects left out",
            };
            let count = if *count == 1 {
                String::new()
            } else {
                format!("{count} ")
            };
            format!("{count}{what}, {reason}; the first is {first}")
        };
        self.reasons.iter().map(sentence).collect()
    }
}
