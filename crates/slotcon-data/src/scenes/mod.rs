//! Synthetic scenes with true label maps, for when no photos are at hand: textured things on textured grounds.
//!
//! What a region is shows in its pattern and outline alone. Its hue is drawn anew for every region of every scene,
//! from the same range for all classes, and each pattern is as much dark as light, so that grouping by colour finds
//! nothing.

mod pattern;
mod shape;
mod write;

use pattern::Paint;
use shape::Shape;

pub use write::write_folder;

use crate::labelled::LabelMap;
use crate::picture::Picture;
use crate::rng::{Purpose, Stream};

/// The classes: first the grounds, then the things. A label map holds indices into this list; there is no ignored id.
pub const CLASSES: [&str; 9] = [
    "sky", "grain", "bricks", "waves", "stripes", "checks", "dots", "rings", "pinwheel",
];

/// How many of the classes are grounds.
const GROUNDS: usize = 4;

/// A region of a scene: what it is and how it is painted.
struct Region {
    class: usize,
    paint: Paint,
    shape: Shape,
}

/// Draws scene `index` of `seed`: a picture of `size` x `size` pixels and the class of every pixel.
///
/// One or two grounds, and on them two or three things that may overlap.
///
/// # Panics
/// When `size` is 0.
pub fn draw(seed: u64, index: u64, size: u32) -> (Picture, LabelMap) {
    assert!(size > 0, "a scene has at least one pixel");
    let mut random = Stream::new(seed, 0, index, Purpose::Scene, 0);
    let regions = compose(&mut random);
    // Everything is described on a square of 160 units, whatever the size in pixels.
    let unit = 160.0 / f64::from(size);
    let light = random.uniform(0.85, 1.1);
    let mut rgb = Vec::with_capacity(size as usize * size as usize * 3);
    let mut ids = Vec::with_capacity(size as usize * size as usize);
    let top_at = |x: f64, y: f64| {
        regions
            .iter()
            .rev()
            .find(|r| r.shape.contains(x, y))
            .unwrap_or(&regions[0])
    };
    for row in 0..size {
        for column in 0..size {
            let mut sum = [0.0; 3];
            // Four samples a pixel soften the edges.
            for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let (x, y) = ((f64::from(column) + dx) * unit, (f64::from(row) + dy) * unit);
                let region = top_at(x, y);
                let colour = region.paint.colour(region.class, x, y);
                (0..3).for_each(|c| sum[c] += colour[c]);
            }
            rgb.extend(sum.map(|s| (s / 4.0 * light + random.uniform(-4.0, 4.0)).clamp(0.0, 255.0) as u8));
            ids.push(top_at((f64::from(column) + 0.5) * unit, (f64::from(row) + 0.5) * unit).class as u16);
        }
    }
    (Picture::new(size, size, rgb), LabelMap::new(size, size, ids))
}

/// The regions of a scene, the hindmost first.
fn compose(random: &mut Stream) -> Vec<Region> {
    let mut grounds: Vec<usize> = (0..GROUNDS).collect();
    random.shuffle(&mut grounds);
    let mut regions = vec![Region {
        class: grounds[0],
        paint: Paint::new(160.0 * random.unit(), 160.0 * random.unit(), 0.0, random),
        shape: Shape::Everywhere,
    }];
    if random.chance(0.7) {
        let shape = Shape::below_horizon(random);
        let paint = Paint::new(160.0 * random.unit(), 160.0 * random.unit(), 0.0, random);
        regions.push(Region {
            class: grounds[1],
            paint,
            shape,
        });
    }
    let mut things: Vec<usize> = (GROUNDS..CLASSES.len()).collect();
    random.shuffle(&mut things);
    let count = 2 + random.below(2) as usize;
    for &class in &things[..count] {
        let (x, y) = (random.uniform(20.0, 140.0), random.uniform(20.0, 140.0));
        let radius = random.uniform(30.0, 52.0);
        let turn = random.uniform(-0.35, 0.35);
        let shape = Shape::of_thing(class - GROUNDS, x, y, radius, turn);
        regions.push(Region {
            class,
            paint: Paint::new(x, y, turn, random),
            shape,
        });
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_a_function_of_its_number() {
        assert_eq!(draw(1, 2, 64), draw(1, 2, 64));
        assert_ne!(draw(1, 2, 64).0, draw(1, 3, 64).0);
        assert_ne!(draw(1, 2, 64).0, draw(2, 2, 64).0);
    }

    #[test]
    fn every_class_occurs_and_none_beyond() {
        let mut counts = [0usize; CLASSES.len()];
        for index in 0..60 {
            draw(0, index, 40)
                .1
                .ids()
                .iter()
                .for_each(|&id| counts[usize::from(id)] += 1);
        }
        let all: usize = counts.iter().sum();
        assert!(counts.iter().all(|&n| n * 50 > all), "{counts:?}");
    }

    /// The scenes are worth nothing as a test of grouping if a class had colours of its own.
    #[test]
    fn colour_does_not_tell_the_class() {
        let mut sums = [[0.0; 3]; CLASSES.len()];
        let mut counts = [0.0; CLASSES.len()];
        for index in 0..300 {
            let (picture, labels) = draw(4, index, 40);
            for (pixel, &id) in picture.rgb().chunks_exact(3).zip(labels.ids()) {
                counts[usize::from(id)] += 1.0;
                (0..3).for_each(|c| sums[usize::from(id)][c] += f64::from(pixel[c]));
            }
        }
        let means: Vec<[f64; 3]> = sums.iter().zip(&counts).map(|(s, n)| s.map(|v| v / n)).collect();
        for c in 0..3 {
            let low = means.iter().map(|m| m[c]).fold(f64::MAX, f64::min);
            let high = means.iter().map(|m| m[c]).fold(f64::MIN, f64::max);
            assert!(high - low < 25.0, "mean colours by class: {means:?}");
        }
    }
}
