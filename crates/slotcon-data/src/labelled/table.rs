//! What the numbers in label maps mean to a network: classes from 0, 255 for whatever counts for nothing.

use super::{Classes, LabelMap};
use crate::augment::semantic::IGNORED;

/// The class of every number in a label map.
#[derive(Clone, Debug)]
pub struct ClassTable {
    /// `None` for a number that is no class and is not ignored either.
    of: Vec<Option<u8>>,
    classes: usize,
}

impl ClassTable {
    /// The table of `classes`.
    ///
    /// # Errors
    /// More classes than there are numbers for them: 255.
    pub fn new(classes: &Classes) -> Result<Self, String> {
        let count = classes.classes.len();
        if count > usize::from(IGNORED) {
            return Err(format!(
                "there are {count} classes; 255 is the most that can be learned"
            ));
        }
        let of = (0..=u16::MAX).map(|id| {
            let class = classes.class_of(id)?;
            Some(if class == classes.ignore_index {
                IGNORED
            } else {
                class as u8
            })
        });
        Ok(Self {
            of: of.collect(),
            classes: count,
        })
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.classes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.classes == 0
    }

    /// Whether `class` is one of them.
    pub fn holds(&self, class: u8) -> bool {
        usize::from(class) < self.classes
    }

    /// The classes of `map`, `[height, width]`, into `classes`.
    ///
    /// # Errors
    /// A number that is no class: the number, where it is, and what would be right.
    pub fn classes_of(&self, map: &LabelMap, classes: &mut Vec<u8>) -> Result<(), String> {
        classes.clear();
        classes.reserve(map.ids().len());
        for (place, &id) in map.ids().iter().enumerate() {
            match self.of[usize::from(id)] {
                Some(class) => classes.push(class),
                None => {
                    let (x, y) = (place % map.width() as usize, place / map.width() as usize);
                    return Err(format!(
                        "label {id} at column {x}, row {y} is none of the {} classes and is not ignored; correct the map, or say \
                         in the classes file what it means (\"ids\", \"ignore_index\")",
                        self.classes
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_classes_and_strangers_are_named_with_their_place() {
        let classes = Classes {
            classes: vec!["a".into(), "b".into()],
            ignore_index: 11,
            things: None,
            ids: None,
        };
        let table = ClassTable::new(&classes).unwrap();
        let mut found = Vec::new();
        table
            .classes_of(&LabelMap::new(2, 2, vec![0, 1, 11, 1]), &mut found)
            .unwrap();
        assert_eq!(found, [0, 1, IGNORED, 1]);
        let error = table
            .classes_of(&LabelMap::new(2, 2, vec![0, 1, 11, 255]), &mut found)
            .unwrap_err();
        assert!(error.contains("label 255 at column 1, row 1"), "{error}");
        let many = Classes {
            classes: (0..256).map(|i| i.to_string()).collect(),
            ..classes
        };
        assert!(ClassTable::new(&many).unwrap_err().contains("256"));
    }
}
