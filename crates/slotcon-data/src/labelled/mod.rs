//! Pictures with label maps, in the layouts in which people keep them.

mod check;
mod label_map;
mod layout;
mod mat;
mod pair;
mod palette;
mod published;
mod scale;
mod splits;
mod table;
mod voc;

use std::path::Path;

use serde::Deserialize;

pub use check::{LabelSummary, check_labels};
pub use label_map::{LabelMap, read_label_map};
pub use layout::LabelLayout;
pub use pair::{LabelledPicture, NameList, Pair, Pairs, pairs};
pub use palette::{Palette, colour};
pub use scale::{fit_to_picture, same_proportions};
pub use splits::Splits;
pub use table::ClassTable;

use crate::error::Error;

/// The classes of a set of label maps. As a file: `{"classes": ["sky", …], "ignore_index": 255}`, and if wanted `"things"` and
/// `"ids"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// Names, by class.
    pub classes: Vec<String>,
    /// The id in the files that counts for nothing.
    #[serde(default = "default_ignore")]
    pub ignore_index: u16,
    /// So many classes, the first ones, are things; the others are stuff. Where it is given both are measured apart, too.
    #[serde(default)]
    pub things: Option<usize>,
    /// Class of every id in the files, where the two are not the same: `fine_to_coarse`. `ignore_index` stands for ids that
    /// count for nothing.
    #[serde(default)]
    pub ids: Option<Vec<u16>>,
    /// Red, green and blue of each class in maps that are coloured instead of numbered; colours behind those of the classes count
    /// for nothing. Pictures of predictions have the same colours.
    #[serde(default)]
    pub palette: Option<Vec<[u8; 3]>>,
}

fn default_ignore() -> u16 {
    255
}

impl Classes {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that cannot be read, is something else, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::labels(path, reason);
        let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        // Windows' editors begin a text with a byte order mark.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let classes: Self = serde_json::from_slice(text).map_err(|e| {
            wrong(format!(
                "{e}; expected {{\"classes\": [\"name\", …], \"ignore_index\": 255}}"
            ))
        })?;
        classes.check().map_err(wrong)?;
        Ok(classes)
    }

    fn check(&self) -> Result<(), String> {
        let count = self.classes.len();
        if count == 0 {
            return Err("names no class".into());
        }
        if self.things.is_some_and(|things| things > count) {
            return Err(format!("says that more than its {count} classes are things"));
        }
        if let Some(palette) = &self.palette {
            if palette.len() < count {
                return Err(format!("has {} colours for {count} classes", palette.len()));
            }
            let twice = (0..palette.len()).find(|&i| palette[..i].contains(&palette[i]));
            if let Some(i) = twice {
                return Err(format!("has the colour {:?} twice", palette[i]));
            }
        }
        let mapped = self.ids.iter().flatten();
        match mapped
            .copied()
            .find(|&c| c != self.ignore_index && usize::from(c) >= count)
        {
            Some(class) => Err(format!("maps an id to class {class}, but there are {count}")),
            None => Ok(()),
        }
    }

    /// Class of `id` in a file; `None` for one that is no class and is not ignored either.
    fn class_of(&self, id: u16) -> Option<u16> {
        let class = match &self.ids {
            _ if id == self.ignore_index => id,
            Some(ids) => *ids.get(usize::from(id))?,
            None => id,
        };
        (class == self.ignore_index || usize::from(class) < self.classes.len()).then_some(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Classes, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Classes::open(file.path()).map_err(|e| e.to_string())
    }

    #[test]
    fn files_of_classes() {
        let plain = read(r#"{"classes": ["a", "b"], "ignore_index": 2}"#).unwrap();
        assert_eq!(
            (plain.class_of(1), plain.class_of(2), plain.class_of(3)),
            (Some(1), Some(2), None)
        );
        let mapped = read(r#"{"classes": ["a", "b"], "things": 1, "ids": [1, 255, 0]}"#).unwrap();
        let classes: Vec<_> = [0, 1, 2, 3, 255].map(|id| mapped.class_of(id)).into();
        assert_eq!(classes, [Some(1), Some(255), Some(0), None, Some(255)]);
        assert!(read(r#"{"classes": []}"#).unwrap_err().contains("names no class"));
        assert!(
            read(r#"{"classes": ["a"], "things": 2}"#)
                .unwrap_err()
                .contains("things")
        );
        assert!(
            read(r#"{"classes": ["a"], "ids": [0, 1]}"#)
                .unwrap_err()
                .contains("class 1")
        );
        assert!(read("[]").unwrap_err().contains("expected"));
    }
}
