//! What the numbers in label maps mean to a network: classes from 0, 255 for whatever counts for nothing.

use std::collections::HashMap;
use std::path::Path;

use super::label_map::{Labels, decode_labels};
use super::{Classes, LabelMap};
use crate::augment::semantic::IGNORED;
use crate::error::{Error, PictureError};

/// The class of every number in a label map.
#[derive(Clone, Debug)]
pub struct ClassTable {
    /// `None` for a number that is no class and is not ignored either.
    of: Vec<Option<u8>>,
    /// Of coloured maps; empty where none are known.
    colours: HashMap<[u8; 3], u8>,
    classes: usize,
    ignore_index: u16,
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
        let colours = classes.palette.iter().flatten().enumerate();
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
            colours: colours
                .map(|(i, colour)| (*colour, if i < count { i as u8 } else { IGNORED }))
                .collect(),
            classes: count,
            ignore_index: classes.ignore_index,
        })
    }

    /// What stands for pixels that count for nothing where classes have 16 bits.
    pub fn ignore_index(&self) -> u16 {
        self.ignore_index
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

    /// Reads the label map at `path`: its classes, `[height, width]`, into `classes`. Gives width and height.
    ///
    /// # Errors
    /// A file that cannot be read; a number or colour that is no class: which, where it is, and what would be right.
    pub fn read(&self, path: &Path, classes: &mut Vec<u8>) -> Result<(u32, u32), Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        self.decode(&bytes, classes).map_err(|source| match source {
            PictureError::Labels(reason) => Error::labels(path, reason),
            source => Error::Picture {
                path: path.into(),
                source,
            },
        })
    }

    /// The same from the bytes of the file.
    pub(crate) fn decode(&self, bytes: &[u8], classes: &mut Vec<u8>) -> Result<(u32, u32), PictureError> {
        match decode_labels(bytes)? {
            Labels::Ids(map) => {
                self.classes_of(&map, classes).map_err(PictureError::Labels)?;
                Ok((map.width(), map.height()))
            }
            Labels::Colours { width, rgb } => {
                self.classes_of_colours(width, &rgb, classes)?;
                Ok((width, (classes.len() / width.max(1) as usize) as u32))
            }
        }
    }

    fn classes_of_colours(&self, width: u32, rgb: &[u8], classes: &mut Vec<u8>) -> Result<(), PictureError> {
        if self.colours.is_empty() {
            return Err(PictureError::NotALabelMap(
                "it has RGB colours, and the classes file has no \"palette\": [[red, green, blue], …] that says which class each is"
                    .into(),
            ));
        }
        classes.clear();
        classes.reserve(rgb.len() / 3);
        // Neighbours mostly have the same colour.
        let mut last = None;
        for (place, colour) in rgb.as_chunks::<3>().0.iter().enumerate() {
            let class = match last {
                Some((known, class)) if known == colour => class,
                _ => *self.colours.get(colour).ok_or_else(|| {
                    let (x, y) = (place % width as usize, place / width as usize);
                    PictureError::Labels(format!(
                        "colour {colour:?} at column {x}, row {y} is none of the {} in \"palette\" of the classes file; correct \
                         the map, or add the colour (behind those of the classes it counts for nothing)",
                        self.colours.len()
                    ))
                })?,
            };
            last = Some((colour, class));
            classes.push(class);
        }
        Ok(())
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
            palette: None,
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

    #[test]
    fn colours_become_classes_by_the_palette_alone() {
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, 2, 2);
        encoder.set_color(png::ColorType::Rgb);
        let pixels = [1, 2, 3, 9, 9, 9, 4, 5, 6, 1, 2, 3];
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        let mut classes = Classes {
            classes: vec!["a".into(), "b".into()],
            ignore_index: 255,
            things: None,
            ids: None,
            palette: Some(vec![[1, 2, 3], [4, 5, 6], [9, 9, 9]]),
        };
        let mut found = Vec::new();
        let size = ClassTable::new(&classes)
            .unwrap()
            .decode(&png, &mut found)
            .unwrap();
        assert_eq!((size, &found[..]), ((2, 2), &[0, IGNORED, 1, 0][..]));
        classes.palette = Some(vec![[1, 2, 3], [4, 5, 6]]);
        let said = ClassTable::new(&classes)
            .unwrap()
            .decode(&png, &mut found)
            .unwrap_err()
            .to_string();
        assert!(said.contains("colour [9, 9, 9] at column 1, row 0"), "{said}");
        classes.palette = None;
        let said = ClassTable::new(&classes)
            .unwrap()
            .decode(&png, &mut found)
            .unwrap_err()
            .to_string();
        assert!(said.contains("\"palette\""), "{said}");
    }
}
