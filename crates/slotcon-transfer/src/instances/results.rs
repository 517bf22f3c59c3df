//! Detections as COCO's results format has them (<https://cocodataset.org/#format-results>).

use serde::{Deserialize, Serialize};

use super::inference::Detection;

/// One detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CocoResult {
    /// The picture's number in the annotation file.
    pub image_id: i64,
    /// The category's number there.
    pub category_id: i64,
    /// Left, top, width, height in pixels.
    pub bbox: [f64; 4],
    /// How sure the detector is, up to 1.
    pub score: f64,
    /// Its pixels.
    pub segmentation: CocoMask,
}

/// A mask as run lengths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoMask {
    /// Height and width.
    pub size: [u32; 2],
    /// COCO's text.
    pub counts: String,
}

impl CocoResult {
    /// Of a detection in picture `image_id`, by the number of each class.
    pub fn new(image_id: i64, category_ids: &[i64], detection: &Detection) -> Self {
        let [left, top, right, bottom] = detection.bounds;
        // Sides are differences in f32, as detectron2 writes them.
        let bbox = [left, top, right - left, bottom - top].map(f64::from);
        let mask = &detection.mask;
        Self {
            image_id,
            category_id: category_ids[detection.class],
            bbox,
            score: detection.score,
            segmentation: CocoMask {
                size: [mask.height(), mask.width()],
                counts: mask.text(),
            },
        }
    }
}
