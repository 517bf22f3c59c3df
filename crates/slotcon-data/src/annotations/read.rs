//! From an annotation file to objects that can be used: what contradicts itself is an error, what cannot be used is counted.

use std::collections::HashMap;
use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;

use super::file::{self, Counts, File, RunLengths, Segmentation};
use super::left_out::LeftOut;
use super::pictures::leave_out_unusable;
use super::{AnnotatedPicture, Annotations, Category, Object, Shape};
use crate::error::{Error, Result};
use crate::picture::DEFAULT_MAX_PIXELS;
use crate::rle::Runs;

/// The shortest side of a box, in pixels (detectron2's `filter_empty_instances`).
const SHORTEST: f64 = 1e-5;
/// Corners of polygons further away than this, in pixels, are no corners.
const FURTHEST: f64 = 1e5;

impl Annotations {
    /// Reads the annotation file at `path`, whose pictures lie below `folder`, and looks at the size of every picture.
    ///
    /// # Errors
    /// A file that is none of COCO's; two pictures, objects or categories of one number; an object of a picture or category that is
    /// not there; no picture that can be used: file, value and what would be right.
    pub fn open(path: &Path, folder: &Path) -> Result<Self> {
        let file = fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let mut annotations = Self::read(BufReader::with_capacity(1 << 20, file), folder)
            .map_err(|reason| Error::labels(path, reason))?;
        let listed = annotations.pictures.len();
        leave_out_unusable(&mut annotations);
        if annotations.pictures.is_empty() && listed > 0 {
            let why = annotations.left_out.sentences().join("; ");
            let reason = format!(
                "none of its {listed} pictures can be used in {}: {why}",
                folder.display()
            );
            return Err(Error::labels(path, reason));
        }
        Ok(annotations)
    }

    /// The same from bytes, without a look at the pictures, which would lie below `folder`.
    ///
    /// # Errors
    /// As [`Annotations::open`], in words.
    pub fn read(bytes: impl Read, folder: &Path) -> Result<Self, String> {
        let file: File = serde_json::from_reader(bytes)
            .map_err(|e| format!("is no COCO annotation file (images, annotations, categories): {e}"))?;
        checked(file, folder)
    }
}

fn checked(file: File, folder: &Path) -> Result<Annotations, String> {
    let mut categories: Vec<Category> = (file.categories.into_iter())
        .map(|file::Category { id, name }| Category { id, name })
        .collect();
    categories.sort_by_key(|category| category.id);
    if let Some(pair) = categories.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let [a, b] = [&pair[0], &pair[1]].map(|category| &category.name);
        return Err(format!(
            "the categories '{a}' and '{b}' have one number, {}",
            pair[0].id
        ));
    }
    let classes = categories.iter().enumerate();
    let classes: HashMap<i64, usize> = classes.map(|(class, category)| (category.id, class)).collect();

    let mut pictures = Vec::with_capacity(file.images.len());
    let mut places: HashMap<i64, usize> = HashMap::with_capacity(file.images.len());
    for image in file.images {
        let file::Image {
            id,
            file_name,
            width,
            height,
        } = image;
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > DEFAULT_MAX_PIXELS {
            return Err(format!(
                "picture {id} ({file_name}) is announced with {width}x{height} pixels; there must be 1 to {DEFAULT_MAX_PIXELS}"
            ));
        }
        if let Some(earlier) = places.insert(id, pictures.len()) {
            let earlier: &AnnotatedPicture = &pictures[earlier];
            return Err(format!(
                "the pictures {} and {file_name} have one number, {id}",
                earlier.path.display()
            ));
        }
        pictures.push(AnnotatedPicture {
            id,
            path: folder.join(file_name),
            width,
            height,
            objects: Vec::new(),
        });
    }

    let mut left_out = LeftOut::default();
    let mut numbers = std::collections::HashSet::with_capacity(file.annotations.len());
    for annotation in file.annotations {
        let id = annotation.id;
        if !numbers.insert(id) {
            return Err(format!("two objects have the number {id} (annotations, id)"));
        }
        let Some(&place) = places.get(&annotation.image_id) else {
            let picture = annotation.image_id;
            return Err(format!(
                "object {id} is in picture {picture}, which is not among its images"
            ));
        };
        let Some(&class) = classes.get(&annotation.category_id) else {
            let category = annotation.category_id;
            return Err(format!(
                "object {id} is of category {category}, which is not among its categories"
            ));
        };
        let picture = &mut pictures[place];
        if annotation.iscrowd != 0 {
            continue;
        }
        if let Some(object) = object(annotation, class, picture, &mut left_out) {
            picture.objects.push(object);
        }
    }
    Ok(Annotations {
        categories,
        pictures,
        left_out,
    })
}

/// The object of an annotation, if it can be used.
fn object(
    annotation: file::Annotation,
    class: usize,
    picture: &AnnotatedPicture,
    left_out: &mut LeftOut,
) -> Option<Object> {
    let id = annotation.id;
    let which = || format!("object {id} in {}", picture.path.display());
    let (width, height) = (f64::from(picture.width), f64::from(picture.height));
    let Some([x, y, w, h]) = annotation.bbox else {
        left_out.object("without a box", which);
        return None;
    };
    let bounds = [
        x.clamp(0.0, width),
        y.clamp(0.0, height),
        (x + w).clamp(0.0, width),
        (y + h).clamp(0.0, height),
    ];
    if w <= SHORTEST || h <= SHORTEST {
        left_out.object("with an empty box", which);
        return None;
    }
    if bounds[2] - bounds[0] <= SHORTEST || bounds[3] - bounds[1] <= SHORTEST {
        left_out.object("with a box outside of the picture", which);
        return None;
    }
    let shape = match annotation.segmentation {
        Segmentation::None => {
            left_out.object("without an outline", which);
            return None;
        }
        Segmentation::Polygons(polygons) => Shape::Polygons(usable(polygons, left_out, which)?),
        Segmentation::Runs(runs) => Shape::Pixels(pixels(runs, picture, left_out, which)?),
    };
    Some(Object {
        id,
        class,
        bounds,
        shape,
    })
}

/// The polygons that have a corner at every number and at least three of them.
fn usable(
    polygons: Vec<Vec<f64>>,
    left_out: &mut LeftOut,
    which: impl Fn() -> String,
) -> Option<Vec<Vec<f64>>> {
    let all = polygons.len();
    let mut kept = polygons;
    let mut far = false;
    kept.retain(|polygon| {
        let near = polygon.iter().all(|v| v.abs() <= FURTHEST);
        far |= !near;
        near && polygon.len() >= 6 && polygon.len().is_multiple_of(2)
    });
    if kept.is_empty() {
        let reason = match (all, far) {
            (0, _) => "without an outline",
            (_, true) => "with corners of polygons beyond 100000 pixels",
            _ => "with polygons of fewer than three corners or half a corner",
        };
        left_out.object(reason, which);
        return None;
    }
    if kept.len() < all {
        left_out.part(
            "polygons of fewer than three corners, half a corner or one beyond 100000 pixels",
            which,
        );
    }
    Some(kept)
}

/// The pixels of run lengths, if they are a mask of the picture.
fn pixels(
    runs: RunLengths,
    picture: &AnnotatedPicture,
    left_out: &mut LeftOut,
    which: impl Fn() -> String,
) -> Option<Runs> {
    let [height, width] = runs.size;
    if (width, height) != (picture.width, picture.height) {
        left_out.object(
            "with run lengths of a mask of another size than its picture",
            || {
                let (w, h) = (picture.width, picture.height);
                format!("{}: a mask of {width}x{height}, a picture of {w}x{h}", which())
            },
        );
        return None;
    }
    let read = match runs.counts {
        Counts::Text(text) => Runs::from_text(width, height, &text),
        Counts::List(counts) => Runs::new(width, height, counts),
    };
    match read {
        Ok(runs) if runs.area() == 0 => {
            left_out.object("with run lengths of an empty mask", which);
            None
        }
        Ok(runs) => Some(runs),
        Err(error) => {
            left_out.object("with broken run lengths", || format!("{}: {error}", which()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one picture of 40 x 30 pixels, category 7 and these annotations.
    fn read(annotations: &str) -> Result<Annotations, String> {
        let text = format!(
            r#"{{"info": {{"year": 1}}, "images": [{{"id": 3, "file_name": "a.png", "width": 40, "height": 30, "license": 1}}],
                "categories": [{{"id": 9, "name": "cat"}}, {{"id": 7, "name": "dog", "supercategory": "animal"}}],
                "annotations": [{annotations}]}}"#
        );
        Annotations::read(text.as_bytes(), Path::new("folder"))
    }

    fn annotation(id: i64, rest: &str) -> String {
        format!(r#"{{"id": {id}, "image_id": 3, "category_id": 7, "area": 1, {rest}}}"#)
    }

    const SQUARE: &str = r#""bbox": [1, 2, 10, 5], "segmentation": [[1, 2, 11, 2, 11, 7, 1, 7]]"#;

    #[test]
    fn objects_are_read_and_categories_have_no_gaps() {
        let runs = r#""bbox": [0, 0, 1, 30], "segmentation": {"size": [30, 40], "counts": [0, 30, 1170]}"#;
        let crowd =
            r#""bbox": [0, 0, 9, 9], "iscrowd": 1, "segmentation": {"size": [30, 40], "counts": "whatever"}"#;
        let found =
            read(&[annotation(1, SQUARE), annotation(2, runs), annotation(3, crowd)].join(",")).unwrap();
        assert_eq!(found.names(), ["dog", "cat"]);
        assert!(found.left_out.is_empty());
        let [first, second] = &found.pictures[0].objects[..] else {
            panic!("two objects");
        };
        assert_eq!((first.class, first.bounds), (0, [1.0, 2.0, 11.0, 7.0]));
        let Shape::Pixels(runs) = &second.shape else {
            panic!("pixels");
        };
        assert_eq!(
            (runs.area(), found.pictures[0].path.as_path()),
            (30, Path::new("folder/a.png"))
        );
    }

    #[test]
    fn what_contradicts_itself_is_an_error_with_its_number() {
        let twice = [annotation(1, SQUARE), annotation(1, SQUARE)].join(",");
        assert!(read(&twice).unwrap_err().contains("number 1"));
        let stranger = annotation(1, SQUARE).replace("\"image_id\": 3", "\"image_id\": 4");
        assert!(read(&stranger).unwrap_err().contains("picture 4"));
        let unknown = annotation(1, SQUARE).replace("\"category_id\": 7", "\"category_id\": 8");
        assert!(read(&unknown).unwrap_err().contains("category 8"));
        let picture =
            |name: &str| format!(r#"{{"id": 3, "file_name": "{name}.png", "width": 4, "height": 3}}"#);
        let pictures = [picture("a"), picture("b")].join(",");
        let categories = r#"{"id": 9, "name": "cat"}, {"id": 9, "name": "dog"}"#;
        for (pictures, categories, words) in [
            (
                &pictures,
                "",
                "pictures folder/a.png and b.png have one number, 3",
            ),
            (
                &picture("a"),
                categories,
                "categories 'cat' and 'dog' have one number, 9",
            ),
        ] {
            let text =
                format!(r#"{{"images": [{pictures}], "categories": [{categories}], "annotations": []}}"#);
            let said = Annotations::read(text.as_bytes(), Path::new("folder")).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let flat = annotation(1, r#""bbox": [1, 2, 10, 5], "segmentation": [1, 2, 3]"#);
        let said = read(&flat).unwrap_err();
        assert!(said.contains("line 3"), "{said}");
        let huge = r#"{"images": [{"id": 1, "file_name": "a", "width": 4000000000, "height": 4000000000}],
            "annotations": [], "categories": []}"#;
        assert!(
            Annotations::read(huge.as_bytes(), Path::new(""))
                .unwrap_err()
                .contains("4000000000")
        );
    }

    #[test]
    fn what_cannot_be_used_is_counted_and_named() {
        for (rest, reason) in [
            (r#""segmentation": [[1, 2, 11, 2, 11, 7]]"#, "without a box"),
            (
                r#""bbox": [1, 2, 0, 5], "segmentation": [[1, 2, 11, 2, 11, 7]]"#,
                "empty box",
            ),
            (
                r#""bbox": [50, 2, 4, 5], "segmentation": [[1, 2, 11, 2, 11, 7]]"#,
                "outside",
            ),
            (
                r#""bbox": [1, 2, 4, 5], "segmentation": [[1, 2, 11, 2]]"#,
                "three corners",
            ),
            (
                r#""bbox": [1, 2, 4, 5], "segmentation": []"#,
                "without an outline",
            ),
            (r#""bbox": [1, 2, 4, 5]"#, "without an outline"),
            (
                r#""bbox": [1, 2, 4, 5], "segmentation": [[1, 2, 11, 2, 1e9, 7]]"#,
                "100000",
            ),
            (
                r#""bbox": [1, 2, 4, 5], "segmentation": {"size": [40, 30], "counts": [1200]}"#,
                "30x40, a picture of 40x30",
            ),
            (
                r#""bbox": [1, 2, 4, 5], "segmentation": {"size": [30, 40], "counts": [3, 4]}"#,
                "7 pixels",
            ),
            (
                r#""bbox": [1, 2, 4, 5], "segmentation": {"size": [30, 40], "counts": [1200]}"#,
                "empty mask",
            ),
        ] {
            let found = read(&[annotation(1, SQUARE), annotation(5, rest)].join(",")).unwrap();
            assert_eq!(found.pictures[0].objects.len(), 1, "{rest}");
            let said = found.left_out.sentences().join("; ");
            assert!(
                said.contains(reason) && said.contains("object 5"),
                "{rest}: {said}"
            );
        }
    }

    #[test]
    fn a_box_over_the_edge_is_cut() {
        let over = r#""bbox": [-5, 20, 10, 20], "segmentation": [[1, 2, 11, 2, 11, 7]]"#;
        let found = read(&annotation(1, over)).unwrap();
        assert_eq!(found.pictures[0].objects[0].bounds, [0.0, 20.0, 5.0, 30.0]);
    }
}
