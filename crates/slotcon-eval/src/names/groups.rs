//! Names as classes: prototypes of one name together.

use std::collections::BTreeMap;
use std::path::Path;

use super::Names;
use crate::error::Error;

/// What the prototypes that are marked as background are together.
pub const BACKGROUND: &str = "background";

/// Most names that a label map of 8 bits has numbers for, one being kept for what has no name.
const MOST: usize = 255;

/// Whether two names mean the same: case and spaces around do not count.
pub fn same_name(a: &str, b: &str) -> bool {
    key(a) == key(b)
}

fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Named groups as classes with numbers: background first, if there is any, then by name, so that the same names have the same
/// numbers whichever checkpoint they were given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedGroups {
    /// The name of each class.
    pub classes: Vec<String>,
    /// The class of each prototype; `None` for one that has no name. `[K]`.
    pub class_of: Vec<Option<u16>>,
}

impl NamedGroups {
    /// The number that stands in label maps for places without a name; it is no class's.
    pub const NONE: u16 = 255;

    /// The groups of `names`, which were read from `path`.
    ///
    /// # Errors
    /// No name, or more than there are numbers for in a label map: 255.
    pub fn of(names: &Names, path: &Path) -> Result<Self, Error> {
        // Of several ways to write a name that of the lowest prototype stays.
        let mut written: BTreeMap<(bool, String), &str> = BTreeMap::new();
        let named = |k: usize| {
            names
                .of(k)
                .map(|name| ((!same_name(name, BACKGROUND), key(name)), name))
        };
        for (key, name) in (0..names.prototypes()).filter_map(named) {
            written.entry(key).or_insert(name);
        }
        let wrong = |reason: &str| Error::Names {
            path: path.into(),
            reason: format!("{reason}; name groups on the gallery page (slotcon slots --out FILE.html)"),
        };
        if written.is_empty() {
            return Err(wrong("gives no prototype a name"));
        }
        if written.len() > MOST {
            return Err(wrong(&format!(
                "has {} different names; {MOST} are the most that a label map has numbers for",
                written.len()
            )));
        }
        let number = |k: usize| {
            let (key, _) = named(k)?;
            written.keys().position(|known| *known == key).map(|at| at as u16)
        };
        Ok(Self {
            class_of: (0..names.prototypes()).map(number).collect(),
            classes: written.into_values().map(str::to_owned).collect(),
        })
    }

    /// The label map of prototypes' numbers: the class of each pixel, [`NamedGroups::NONE`] where the prototype has no name.
    ///
    /// # Panics
    /// When there is no such prototype.
    pub fn labels(&self, ids: &[u16]) -> Vec<u16> {
        let of = |&id: &u16| self.class_of[usize::from(id)].unwrap_or(Self::NONE);
        ids.iter().map(of).collect()
    }

    /// For each prototype the lowest one of its group; itself where it has no name. `[K]`.
    pub fn joined(&self) -> Vec<i64> {
        let first = |(k, class): (usize, &Option<u16>)| match class {
            Some(_) => self.class_of.iter().position(|other| other == class).unwrap_or(k),
            None => k,
        };
        self.class_of
            .iter()
            .enumerate()
            .map(|entry| first(entry) as i64)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Result<NamedGroups, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let names = Names::open(file.path()).map_err(|e| e.to_string())?;
        NamedGroups::of(&names, file.path()).map_err(|e| e.to_string())
    }

    fn with(rest: &str) -> Result<NamedGroups, String> {
        groups(&format!(
            r#"{{"version": 1, "prototypes": 8, "checkpoint": "0", {rest}}}"#
        ))
    }

    #[test]
    fn prototypes_of_one_name_are_one_class() {
        let found = with(r#""names": {"0": "Tree", "3": "car", "5": " tree "}, "background": [6]"#).unwrap();
        assert_eq!(found.classes, ["background", "car", "Tree"]);
        let class_of = [Some(2), None, None, Some(1), None, Some(2), Some(0), None];
        assert_eq!(found.class_of, class_of);
        assert_eq!(found.labels(&[5, 0, 1, 6, 3]), [2, 2, 255, 0, 1]);
        assert_eq!(found.joined(), [0, 1, 2, 3, 4, 0, 6, 7]);
        // A name that says background is background.
        let found = with(r#""names": {"7": "Background", "1": "a"}, "background": [0]"#).unwrap();
        assert_eq!(found.classes, ["background", "a"]);
        assert_eq!((found.class_of[7], found.class_of[0]), (Some(0), Some(0)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rest, said) in [
            (r#""names": {"8": "car"}"#, "prototype 8, but there are 8"),
            (r#""names": {}, "background": [9]"#, "prototype 9"),
            (r#""names": {"2": "  "}"#, "prototype 2 the name"),
            (
                r#""names": {"2": "car"}, "background": [2]"#,
                "\"car\" and also background",
            ),
            (r#""names": {"car": "2"}"#, "is no file of names"),
            (r#""names": {}, "bakground": [2]"#, "bakground"),
            (r#""names": {}"#, "gives no prototype a name"),
        ] {
            let error = with(rest).unwrap_err();
            assert!(error.contains(said), "{rest}: {error}");
        }
        assert!(
            groups("[1, 2]")
                .unwrap_err()
                .contains("expected what the gallery page saves")
        );
        assert!(groups("{\"version\": 1,").unwrap_err().contains("is no JSON"));
        assert!(groups(r#"{"version": 7}"#).unwrap_err().contains("version 7"));
        let many = (0..300)
            .map(|k| format!("\"{k}\": \"name {k}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let error = groups(&format!(
            r#"{{"version": 1, "prototypes": 300, "checkpoint": "0", "names": {{{many}}}}}"#
        ));
        assert!(error.unwrap_err().contains("300 different names"));
    }
}
