//! Crop boxes, how they overlap, and the overlap's coordinates inside each crop.

/// A box of whole pixels inside a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropBox {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

impl CropBox {
    /// One past the last column.
    pub fn right(&self) -> u32 {
        self.left + self.width
    }

    /// One past the last row.
    pub fn bottom(&self) -> u32 {
        self.top + self.height
    }

    /// The smallest box around both.
    pub fn union(&self, other: &Self) -> Self {
        let (top, left) = (self.top.min(other.top), self.left.min(other.left));
        let (bottom, right) = (self.bottom().max(other.bottom()), self.right().max(other.right()));
        Self {
            top,
            left,
            height: bottom - top,
            width: right - left,
        }
    }

    /// The same box seen from a point inside the picture, above and to the left of it.
    pub fn seen_from(&self, top: u32, left: u32) -> Self {
        Self {
            top: self.top - top,
            left: self.left - left,
            ..*self
        }
    }

    /// Pixels that two boxes share.
    pub fn intersection(&self, other: &Self) -> u64 {
        let across = self
            .right()
            .min(other.right())
            .saturating_sub(self.left.max(other.left));
        let down = self
            .bottom()
            .min(other.bottom())
            .saturating_sub(self.top.max(other.top));
        u64::from(across) * u64::from(down)
    }
}

/// Which part of a whole picture a cut one shows, in units of the whole's height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where it begins, 0 at the top.
    pub top: f64,
    /// Where it begins, 0 at the left.
    pub left: f64,
    /// 1 for all rows.
    pub height: f64,
    /// 1 for all columns.
    pub width: f64,
}

impl Window {
    /// All of it.
    pub const WHOLE: Self = Self {
        top: 0.0,
        left: 0.0,
        height: 1.0,
        width: 1.0,
    };

    /// The window of what a box cuts out of the `width` times `height` pixels of this one.
    pub fn cut(&self, crop: &CropBox, width: u32, height: u32) -> Self {
        let (row, column) = (self.height / f64::from(height), self.width / f64::from(width));
        Self {
            top: self.top + f64::from(crop.top) * row,
            left: self.left + f64::from(crop.left) * column,
            height: f64::from(crop.height) * row,
            width: f64::from(crop.width) * column,
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// Where the region that two crops share lies within `of`, as x1, y1, x2, y2 in units of that crop's width and height
/// (0 to 1 wherever the crops overlap; `_clip_coords` upstream). Two crops that do not overlap give x2 < x1 or
/// y2 < y1, as upstream does.
pub fn overlap_coords(of: &CropBox, other: &CropBox) -> [f32; 4] {
    let x1 = f64::from(of.left.max(other.left)) - f64::from(of.left);
    let y1 = f64::from(of.top.max(other.top)) - f64::from(of.top);
    let x2 = f64::from(of.right().min(other.right())) - f64::from(of.left);
    let y2 = f64::from(of.bottom().min(other.bottom())) - f64::from(of.top);
    let (width, height) = (f64::from(of.width), f64::from(of.height));
    [
        (x1 / width) as f32,
        (y1 / height) as f32,
        (x2 / width) as f32,
        (y2 / height) as f32,
    ]
}

/// The coordinates after the crop has been mirrored left to right.
pub fn mirror_coords([x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
    [1.0 - x2, y1, 1.0 - x1, y2]
}
