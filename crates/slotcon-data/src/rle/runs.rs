//! A mask as the lengths of its runs.

use super::polygon::outline;
use super::text::{compress, decompress};

/// Why run lengths are no mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunsError {
    /// Text that is none of COCO's.
    #[error("run lengths are broken at character {at}")]
    Text {
        /// Position, from 0.
        at: usize,
    },
    /// Runs that fill another number of pixels.
    #[error("its runs are {pixels} pixels long together, a mask of {width}x{height} has {}", u64::from(*width) * u64::from(*height))]
    Length {
        /// The sum of the runs.
        pixels: u64,
        /// Width of the mask.
        width: u32,
        /// Height of the mask.
        height: u32,
    },
}

/// A mask, as the lengths of the runs of pixels outside and inside in turn, down the columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Runs {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

impl Runs {
    /// Of these lengths, the first outside.
    ///
    /// # Errors
    /// A sum other than all pixels.
    pub fn new(width: u32, height: u32, counts: Vec<u32>) -> Result<Self, RunsError> {
        let pixels: u64 = counts.iter().map(|&n| u64::from(n)).sum();
        if pixels != u64::from(width) * u64::from(height) {
            return Err(RunsError::Length {
                pixels,
                width,
                height,
            });
        }
        Ok(Self {
            width,
            height,
            counts,
        })
    }

    /// From COCO's text.
    ///
    /// # Errors
    /// Text that is none, runs that are of another size.
    pub fn from_text(width: u32, height: u32, text: &str) -> Result<Self, RunsError> {
        Self::new(width, height, decompress(text)?)
    }

    /// What lies within any of the closed polygons (x, y, x, y, … in pixels): pycocotools' `rleFrPoly` and `rleMerge`, to the bit.
    pub fn from_polygons(width: u32, height: u32, polygons: &[impl AsRef<[f64]>]) -> Self {
        let parts = polygons.iter().map(|polygon| Self {
            width,
            height,
            counts: outline(polygon.as_ref(), width, height),
        });
        let mut parts = parts.collect::<Vec<_>>().into_iter();
        let first = parts.next().unwrap_or_else(|| Self::empty(width, height));
        parts.fold(first, |all, part| all.union(&part))
    }

    /// From the pixels, down the columns: `columns[x * height + y]`.
    ///
    /// # Panics
    /// When there are not width x height of them.
    pub fn from_columns(width: u32, height: u32, columns: impl IntoIterator<Item = bool>) -> Self {
        let mut grown = Growing::default();
        let mut pixels = 0u64;
        for inside in columns {
            grown.add(inside, 1);
            pixels += 1;
        }
        assert_eq!(pixels, u64::from(width) * u64::from(height), "one value a pixel");
        Self {
            width,
            height,
            counts: grown.counts,
        }
    }

    /// A mask of nothing.
    pub fn empty(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            counts: vec![width * height],
        }
    }

    /// Pixels from left to right.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The lengths.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// COCO's text.
    pub fn text(&self) -> String {
        compress(&self.counts)
    }

    /// Pixels inside.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|&n| u64::from(n)).sum()
    }

    /// First pixel and the one after the last of each run inside, down the columns.
    pub fn inside(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut at = 0;
        let pairs = self.counts.iter().enumerate();
        pairs.filter_map(move |(i, &count)| {
            let first = at;
            at += count as usize;
            (i % 2 == 1 && count > 0).then_some(first..at)
        })
    }

    /// The pixels, row by row: 1 inside, 0 outside.
    pub fn rows(&self) -> Vec<u8> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut rows = vec![0; width * height];
        for pixel in self.inside().flatten() {
            rows[pixel % height * width + pixel / height] = 1;
        }
        rows
    }

    /// Left, top, width and height of the box around it; zeros if there is nothing inside.
    pub fn bounding_box(&self) -> [u32; 4] {
        let height = self.height as usize;
        let mut bounds: Option<[usize; 4]> = None;
        for run in self.inside() {
            let (first, last) = (run.start, run.end - 1);
            let (left, right) = (first / height, last / height);
            let (top, bottom) = if left == right {
                (first % height, last % height)
            } else {
                (0, height - 1)
            };
            let [l, t, r, b] = bounds.unwrap_or([left, top, right, bottom]);
            bounds = Some([l.min(left), t.min(top), r.max(right), b.max(bottom)]);
        }
        bounds.map_or([0; 4], |[l, t, r, b]| {
            [l, t, r - l + 1, b - t + 1].map(|v| v as u32)
        })
    }

    /// What lies within either.
    ///
    /// # Panics
    /// When the sizes differ.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        assert_eq!(
            (self.width, self.height),
            (other.width, other.height),
            "masks of one size"
        );
        let mut grown = Growing::default();
        let (mut at, mut left) = ([0; 2], [0; 2]);
        let runs = [&self.counts, &other.counts];
        loop {
            for side in 0..2 {
                while left[side] == 0 && at[side] < runs[side].len() {
                    left[side] = runs[side][at[side]];
                    at[side] += 1;
                }
            }
            let step = left[0].min(left[1]);
            if step == 0 {
                break;
            }
            // A run that was begun with an odd number of runs before it is inside.
            grown.add(at[0].is_multiple_of(2) || at[1].is_multiple_of(2), step);
            left = left.map(|n| n - step);
        }
        Self {
            counts: grown.counts,
            ..*self
        }
    }
}

/// Runs while their pixels come.
#[derive(Debug, Default)]
struct Growing {
    counts: Vec<u32>,
}

impl Growing {
    fn add(&mut self, inside: bool, count: u32) {
        // The last of an even number of runs is inside.
        let last_inside = self.counts.len().is_multiple_of(2);
        match self.counts.last_mut() {
            None if inside => self.counts.extend([0, count]),
            Some(last) if last_inside == inside => *last += count,
            _ => self.counts.push(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns(runs: &Runs) -> Vec<bool> {
        let mut all = vec![false; (runs.width * runs.height) as usize];
        runs.inside().for_each(|run| all[run].fill(true));
        all
    }

    #[test]
    fn by_hand() {
        // 3 wide, 2 high: the left column and the pixel above right.
        let runs = Runs::from_columns(3, 2, [true, true, false, false, true, false]);
        assert_eq!(runs.counts(), [0, 2, 2, 1, 1]);
        assert_eq!((runs.area(), runs.bounding_box()), (3, [0, 0, 3, 2]));
        assert_eq!(runs.rows(), [1, 0, 1, 1, 0, 0]);
        assert_eq!(Runs::empty(3, 2).bounding_box(), [0; 4]);
    }

    #[test]
    fn a_square_covers_the_pixels_whose_centres_it_holds() {
        let square = Runs::from_polygons(6, 5, &[vec![1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]]);
        assert_eq!((square.area(), square.bounding_box()), (6, [1, 1, 3, 2]));
    }

    #[test]
    fn what_is_no_mask_is_an_error() {
        assert_eq!(Runs::from_text(2, 2, "\u{7f}"), Err(RunsError::Text { at: 0 }));
        assert_eq!(Runs::from_text(2, 2, "`"), Err(RunsError::Text { at: 1 }));
        assert!(Runs::from_text(2, 2, "oooooooo0").is_err());
        let said = Runs::from_text(2, 2, "3").unwrap_err().to_string();
        assert!(said.contains("3 pixels") && said.contains("2x2 has 4"), "{said}");
    }

    proptest! {
        #[test]
        fn text_pixels_and_unions(width in 1u32..30, height in 1u32..30, seeds in [0u64..1000, 0u64..1000]) {
            let [a, b] = seeds.map(|seed| {
                let bits = (0..u64::from(width * height)).map(|i| (i * i / 7 + seed * i) % 5 < 2);
                Runs::from_columns(width, height, bits)
            });
            prop_assert_eq!(&Runs::from_text(width, height, &a.text()).unwrap(), &a);
            let either = columns(&a).into_iter().zip(columns(&b)).map(|(a, b)| a || b);
            prop_assert_eq!(a.union(&b), Runs::from_columns(width, height, either));
            prop_assert_eq!(a.rows().iter().map(|&v| u64::from(v)).sum::<u64>(), a.area());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", size in 1u32..2000) {
            let _ = Runs::from_text(size, size, &text);
        }
    }
}
