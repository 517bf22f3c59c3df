//! Pictures whose objects are outlined: COCO's annotation files (<https://cocodataset.org/#format-data>).

mod file;
mod left_out;
mod merge;
mod pictures;
mod read;

use std::path::PathBuf;

use crate::rle::Runs;

pub use left_out::LeftOut;
pub use merge::{Groups, merged_categories, merged_classes};

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its number in the file; there may be gaps.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// Which pixels are an object's.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Those within any of the closed polygons (x, y, x, y, … in pixels of the picture).
    Polygons(Vec<Vec<f64>>),
    /// These, of the picture's size.
    Pixels(Runs),
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its number in the file.
    pub id: i64,
    /// Its class: the position of its category.
    pub class: usize,
    /// Its box in pixels, x1, y1, x2, y2, within the picture and not empty.
    pub bounds: [f64; 4],
    /// Its pixels.
    pub shape: Shape,
}

/// A picture and its objects.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedPicture {
    /// Its number in the file.
    pub id: i64,
    /// Where it lies.
    pub path: PathBuf,
    /// Width in pixels, as it is seen (turned by its EXIF orientation).
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Objects that are outlined one by one; crowds are not among them.
    pub objects: Vec<Object>,
}

/// What an annotation file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// The categories, ascending by number: class 0, 1, …
    pub categories: Vec<Category>,
    /// The pictures that can be used, in the order of the file.
    pub pictures: Vec<AnnotatedPicture>,
    /// What was left out, and why.
    pub left_out: LeftOut,
}

impl Annotations {
    /// Names of the classes.
    pub fn names(&self) -> Vec<String> {
        self.categories
            .iter()
            .map(|category| category.name.clone())
            .collect()
    }

    /// Leaves out the pictures without objects, from which nothing can be learnt.
    pub fn leave_out_empty(&mut self) {
        let left_out = &mut self.left_out;
        self.pictures.retain(|picture| {
            let keep = !picture.objects.is_empty();
            if !keep {
                left_out.picture("without objects that can be learnt", || {
                    picture.path.display().to_string()
                });
            }
            keep
        });
    }
}
