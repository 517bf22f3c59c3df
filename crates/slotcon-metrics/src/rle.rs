//! Masks as COCO's compressed RLE: runs down the columns, as text.

use serde::Serialize;
pub use slotcon_data::rle::{Runs, RunsError, compress};

/// The mask of one group in a picture, in COCO's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mask {
    /// The prototype's number.
    pub group: u16,
    /// Pixels.
    pub area: u32,
    /// Left, top, width, height of the box around it.
    pub bbox: [u32; 4],
    /// What `pycocotools.mask.decode` takes.
    pub segmentation: Rle,
}

/// A mask as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rle {
    /// Height and width.
    pub size: [u32; 2],
    /// Lengths of the runs of pixels outside and inside in turn, down the columns; see [`compress`].
    pub counts: String,
}

/// The mask of every group that occurs in `ids` (row by row), by its number.
///
/// # Panics
/// When there are not width x height ids.
pub fn masks(width: u32, height: u32, ids: &[u16]) -> Vec<Mask> {
    assert_eq!(ids.len(), width as usize * height as usize, "one id a pixel");
    let mut open: std::collections::BTreeMap<u16, Growing> = std::collections::BTreeMap::new();
    let mut at = 0u32;
    for x in 0..width {
        for y in 0..height {
            let id = ids[y as usize * width as usize + x as usize];
            open.entry(id).or_default().add(at, x, y);
            at += 1;
        }
    }
    open.into_iter()
        .map(|(group, grown)| grown.close(group, width, height))
        .collect()
}

/// A mask while its pixels come, down the columns.
#[derive(Debug, Default)]
struct Growing {
    /// First pixel and the one after the last of each run.
    runs: Vec<(u32, u32)>,
    area: u32,
    /// Left, top, and what lies beyond right and bottom.
    bounds: Option<[u32; 4]>,
}

impl Growing {
    fn add(&mut self, at: u32, x: u32, y: u32) {
        match self.runs.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => self.runs.push((at, at + 1)),
        }
        self.area += 1;
        let [left, top, right, bottom] = self.bounds.unwrap_or([x, y, x, y]);
        self.bounds = Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]);
    }

    fn close(self, group: u16, width: u32, height: u32) -> Mask {
        let mut counts = Vec::with_capacity(2 * self.runs.len() + 1);
        let mut before = 0;
        for (first, end) in self.runs {
            counts.extend([first - before, end - first]);
            before = end;
        }
        if before < width * height {
            counts.push(width * height - before);
        }
        let [left, top, right, bottom] = self.bounds.unwrap_or_default();
        Mask {
            group,
            area: self.area,
            bbox: [left, top, right - left, bottom - top],
            segmentation: Rle {
                size: [height, width],
                counts: compress(&counts),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decompress(rle: &Rle) -> Vec<u32> {
        let [height, width] = rle.size;
        Runs::from_text(width, height, &rle.counts)
            .unwrap()
            .counts()
            .to_vec()
    }

    #[test]
    fn by_hand() {
        // 3 wide, 2 high: group 7 is the left column and the pixel above right.
        let found = masks(3, 2, &[7, 1, 7, 7, 1, 1]);
        assert_eq!(found.len(), 2);
        let seven = &found[1];
        assert_eq!((seven.group, seven.area, seven.bbox), (7, 3, [0, 0, 3, 2]));
        assert_eq!(seven.segmentation.size, [2, 3]);
        // Columns: 7 7 | 1 1 | 7 1.
        assert_eq!(decompress(&seven.segmentation), [0, 2, 2, 1, 1]);
        assert_eq!(found[0].bbox, [1, 0, 2, 2]);
    }

    #[test]
    fn as_pycocotools_writes_it() {
        // pycocotools 2.0.11: encode of a mask 9 high and 10 wide whose runs are these.
        assert_eq!(compress(&[6, 1, 40, 4, 5, 4, 5, 4, 21]), "61X13mN000`0");
    }

    proptest! {
        #[test]
        fn masks_part_the_picture(width in 1u32..40, height in 1u32..40, seed in 0u64..1000) {
            let ids: Vec<u16> = (0..u64::from(width * height)).map(|i| ((i * i / 7 + seed * i) % 5) as u16).collect();
            let mut back = vec![None; ids.len()];
            for mask in masks(width, height, &ids) {
                let (mut at, mut inside) = (0u32, false);
                for count in decompress(&mask.segmentation) {
                    for pixel in at..at + count {
                        let (x, y) = (pixel / height, pixel % height);
                        if inside {
                            let place = &mut back[(y * width + x) as usize];
                            prop_assert!(place.is_none());
                            *place = Some(mask.group);
                        }
                    }
                    at += count;
                    inside = !inside;
                }
                prop_assert_eq!(at, width * height);
                prop_assert_eq!(mask.area as usize, ids.iter().filter(|&&id| id == mask.group).count());
            }
            prop_assert_eq!(back, ids.iter().map(|&id| Some(id)).collect::<Vec<_>>());
        }
    }
}
