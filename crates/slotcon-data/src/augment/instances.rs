//! Pictures with outlined objects as a detector is trained on them: resized by their short side, mirrored or not (detectron2's
//! `ResizeShortestEdge` and `RandomFlip`).

use serde::{Deserialize, Serialize};

use crate::annotations::{AnnotatedPicture, Object, Shape};
use crate::error::{Error, Result};
use crate::labelled::LabelMap;
use crate::picture::{DEFAULT_MAX_PIXELS, DecodeOptions, Picture};
use crate::resize::{Filter, resize, resize_labels};
use crate::rle::Runs;
use crate::rng::Stream;

/// The shortest side of a box, in pixels, that is learnt.
const SHORTEST: f32 = 1e-5;

/// How pictures are resized and mirrored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceAugmentConfig {
    /// The short side in pixels is one of these, each as likely. More than one: pictures are learnt at several sizes.
    pub short_sides: Vec<u32>,
    /// The long side is not longer than this.
    pub long_side: u32,
    /// How often a picture is mirrored.
    pub flip_prob: f64,
    /// Whether polygons become pixels of the resized picture before masks are cut from them (detectron2's
    /// `INPUT.MASK_FORMAT="bitmask"`). Objects that come as run lengths are pixels anyway.
    pub bitmask: bool,
    /// A picture with more pixels than this is not used.
    pub max_pixels: u64,
}

impl Default for InstanceAugmentConfig {
    /// As the published detectors on COCO.
    fn default() -> Self {
        Self {
            short_sides: vec![640, 672, 704, 736, 768, 800],
            long_side: 1333,
            flip_prob: 0.5,
            bitmask: false,
            max_pixels: DEFAULT_MAX_PIXELS,
        }
    }
}

impl InstanceAugmentConfig {
    /// Whether it can work.
    ///
    /// # Errors
    /// The first setting that cannot: name, value and what would be right.
    pub fn check(&self) -> Result<()> {
        let setting = |name, value, expected| {
            Err(Error::Setting {
                name,
                value,
                expected,
            })
        };
        let sides = || format!("{:?}", self.short_sides);
        if self.short_sides.is_empty() || self.short_sides.contains(&0) {
            return setting("short_sides", sides(), "must hold sides of at least 1 pixel");
        }
        if self.short_sides.iter().any(|&side| side > self.long_side) {
            return setting("short_sides", sides(), "must not be longer than long_side");
        }
        if self.max_pixels == 0 {
            return setting("max_pixels", "0".into(), "must be at least 1");
        }
        Ok(())
    }

    /// How its pictures are decoded: turned as their EXIF orientation says.
    pub fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            max_pixels: self.max_pixels,
            exif_orientation: true,
        }
    }
}

/// Width and height of a picture whose short side becomes `short`, or whose long one `long` where that would be longer.
pub fn shortest_edge((width, height): (u32, u32), short: u32, long: u32) -> (u32, u32) {
    let (w, h, size) = (f64::from(width), f64::from(height), f64::from(short));
    let scale = size / w.min(h);
    let (mut new_w, mut new_h) = if h < w {
        (scale * w, size)
    } else {
        (size, scale * h)
    };
    let longer = new_w.max(new_h);
    if longer > f64::from(long) {
        let scale = f64::from(long) / longer;
        (new_w, new_h) = (new_w * scale, new_h * scale);
    }
    let whole = |side: f64| ((side + 0.5) as u32).max(1);
    (whole(new_w), whole(new_h))
}

/// What is done to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstancePlan {
    /// Its new width and height.
    pub size: (u32, u32),
    /// Whether it is mirrored left to right.
    pub mirror: bool,
}

impl InstancePlan {
    /// Draws one for a picture of this width and height.
    pub fn draw(config: &InstanceAugmentConfig, size: (u32, u32), random: &mut Stream) -> Self {
        let sides = &config.short_sides;
        let short = sides[random.below(sides.len() as u64) as usize];
        Self {
            size: shortest_edge(size, short, config.long_side),
            mirror: random.chance(config.flip_prob),
        }
    }

    /// The picture, resized bilinearly as Pillow does.
    pub fn picture(self, picture: &Picture) -> Picture {
        let (width, height) = self.size;
        let resized = if (picture.width(), picture.height()) == self.size {
            picture.clone()
        } else {
            resize(picture, width, height, Filter::Bilinear)
        };
        if !self.mirror {
            return resized;
        }
        let row = |row: &[u8]| {
            row.as_chunks::<3>()
                .0
                .iter()
                .rev()
                .flatten()
                .copied()
                .collect::<Vec<_>>()
        };
        let rows = resized.rgb().chunks_exact(width as usize * 3);
        Picture::new(width, height, rows.flat_map(row).collect())
    }

    /// The objects that are left in it, and how: their boxes in f32, within the picture.
    pub fn objects(self, picture: &AnnotatedPicture, bitmask: bool) -> Vec<PlacedObject> {
        let old = (picture.width, picture.height);
        let placed = picture
            .objects
            .iter()
            .map(|object| self.object(object, old, bitmask));
        placed.flatten().collect()
    }

    fn object(self, object: &Object, old: (u32, u32), bitmask: bool) -> Option<PlacedObject> {
        let (width, height) = self.size;
        let [x1, y1, x2, y2] = object.bounds;
        let corners = [self.point(old, x1, y1), self.point(old, x2, y2)];
        let within = |v: f64, limit: u32| v.clamp(0.0, f64::from(limit)) as f32;
        let bounds = [
            within(corners[0][0].min(corners[1][0]), width),
            within(corners[0][1].min(corners[1][1]), height),
            within(corners[0][0].max(corners[1][0]), width),
            within(corners[0][1].max(corners[1][1]), height),
        ];
        if bounds[2] - bounds[0] <= SHORTEST || bounds[3] - bounds[1] <= SHORTEST {
            return None;
        }
        let shape = match &object.shape {
            Shape::Polygons(polygons) => {
                let moved = polygons.iter().map(|polygon| {
                    let points = polygon.as_chunks::<2>().0.iter();
                    Vec::from_iter(points.flat_map(|&[x, y]| self.point(old, x, y)))
                });
                let moved = Vec::from_iter(moved);
                if bitmask {
                    Shape::Pixels(Runs::from_polygons(width, height, &moved))
                } else {
                    Shape::Polygons(moved)
                }
            }
            Shape::Pixels(runs) => Shape::Pixels(self.pixels(runs)),
        };
        if matches!(&shape, Shape::Pixels(runs) if runs.area() == 0) {
            return None;
        }
        Some(PlacedObject {
            class: object.class,
            bounds,
            shape,
        })
    }

    fn point(self, old: (u32, u32), x: f64, y: f64) -> [f64; 2] {
        let (width, height) = self.size;
        let x = x * (f64::from(width) / f64::from(old.0));
        let y = y * (f64::from(height) / f64::from(old.1));
        [if self.mirror { f64::from(width) - x } else { x }, y]
    }

    /// By nearest neighbour, as Pillow.
    fn pixels(self, runs: &Runs) -> Runs {
        let rows = runs.rows().into_iter().map(u16::from).collect();
        let map = LabelMap::new(runs.width(), runs.height(), rows);
        let (width, height) = self.size;
        let map = resize_labels(&map, width, height);
        let columns = (0..width).flat_map(|x| {
            let x = if self.mirror { width - 1 - x } else { x };
            let map = &map;
            (0..height).map(move |y| map.ids()[y as usize * width as usize + x as usize] != 0)
        });
        Runs::from_columns(width, height, columns)
    }
}

/// An object in a picture that was resized and mirrored.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedObject {
    /// Its class.
    pub class: usize,
    /// Its box in pixels, x1, y1, x2, y2.
    pub bounds: [f32; 4],
    /// Its pixels.
    pub shape: Shape,
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn sizes_are_those_of_detectron2() {
        // ResizeShortestEdge.get_output_shape(h, w, 800, 1333), as (width, height).
        assert_eq!(shortest_edge((640, 480), 800, 1333), (1067, 800));
        assert_eq!(shortest_edge((480, 640), 800, 1333), (800, 1067));
        assert_eq!(shortest_edge((640, 230), 800, 1333), (1333, 479));
        assert_eq!(shortest_edge((500, 500), 640, 1333), (640, 640));
        assert_eq!(shortest_edge((10_000, 1), 64, 128), (128, 1));
    }

    #[test]
    fn polygons_pixels_and_boxes_move_with_their_picture() {
        let square = vec![vec![2.0, 2.0, 10.0, 2.0, 10.0, 6.0, 2.0, 6.0]];
        let object = |shape| Object {
            id: 1,
            class: 4,
            bounds: [2.0, 2.0, 10.0, 6.0],
            shape,
        };
        let picture = AnnotatedPicture {
            id: 1,
            path: PathBuf::new(),
            width: 20,
            height: 10,
            objects: vec![
                object(Shape::Polygons(square.clone())),
                object(Shape::Pixels(Runs::from_polygons(20, 10, &square))),
            ],
        };
        let plan = InstancePlan {
            size: (40, 20),
            mirror: true,
        };
        for bitmask in [false, true] {
            let placed = plan.objects(&picture, bitmask);
            for object in &placed {
                assert_eq!((object.class, object.bounds), (4, [20.0, 4.0, 36.0, 12.0]));
                let runs = match &object.shape {
                    Shape::Polygons(polygons) => Runs::from_polygons(40, 20, polygons),
                    Shape::Pixels(runs) => runs.clone(),
                };
                assert_eq!((runs.area(), runs.bounding_box()), (128, [20, 4, 16, 8]));
            }
            let polygons = placed.iter().filter(|o| matches!(o.shape, Shape::Polygons(_)));
            assert_eq!(polygons.count(), usize::from(!bitmask));
        }
        let rgb: Vec<u8> = (0..20 * 10 * 3).map(|i| (i / 3) as u8).collect();
        let mirrored = InstancePlan {
            size: (20, 10),
            mirror: true,
        };
        let seen = mirrored.picture(&Picture::new(20, 10, rgb));
        assert_eq!(seen.rgb()[..6], [19, 19, 19, 18, 18, 18]);
    }
}
