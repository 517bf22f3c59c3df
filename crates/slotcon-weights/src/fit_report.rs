//! What an import or export did with every tensor.

use std::fmt;

/// A name and its shape.
pub type NameAndShape = (String, Vec<i64>);

/// What was matched, missing and unexpected; printed, it is one tensor a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FitReport {
    /// Name in the source, name in the result, shape.
    pub matched: Vec<(String, String, Vec<i64>)>,
    /// What may be missing and was (counters of old files, momentum of tensors that were never moved).
    pub missing: Vec<NameAndShape>,
    /// What the source has and the result does not.
    pub unexpected: Vec<NameAndShape>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl FitReport {
    /// In one line, with the names that had no place.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} tensors matched, {} missing, {} unexpected",
            self.matched.len(),
            self.missing.len(),
            self.unexpected.len()
        );
        for (title, list) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if !list.is_empty() {
                text += &format!("; {title}: {}", shown(list, 8));
            }
        }
        for note in &self.notes {
            text += &format!("; {note}");
        }
        text
    }
}

impl fmt::Display for FitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (from, to, shape) in &self.matched {
            if from == to {
                writeln!(f, "  {from} {shape:?}")?;
            } else {
                writeln!(f, "  {from} -> {to} {shape:?}")?;
            }
        }
        for (title, list) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            for (name, shape) in list {
                writeln!(f, "  {title}: {name} {shape:?}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        write!(
            f,
            "{} tensors matched, {} missing, {} unexpected",
            self.matched.len(),
            self.missing.len(),
            self.unexpected.len()
        )
    }
}

/// The first `most` of them with their shapes, and how many more there are.
pub(crate) fn shown(list: &[NameAndShape], most: usize) -> String {
    let mut text: Vec<String> = list
        .iter()
        .take(most)
        .map(|(name, shape)| format!("{name} {shape:?}"))
        .collect();
    if list.len() > most {
        text.push(format!("and {} more", list.len() - most));
    }
    text.join(", ")
}
