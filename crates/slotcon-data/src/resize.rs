//! Resizing with Pillow's filters: antialiased, one direction after the other, rounded to bytes in between.

use crate::geometry::CropBox;
use crate::labels::LabelMap;
use crate::picture::Picture;

/// The interpolation filter, widened by the scale when a picture shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle (Pillow's BILINEAR).
    Bilinear,
    /// Cubic convolution with a = -0.5 (Pillow's BICUBIC).
    Bicubic,
}

/// Fractional bits of a weight: 8 bits are left for the value and 2 for the overshoot of the cubic filter.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

impl Filter {
    /// How far the filter reaches, in pixels of the smaller scale.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The weights of one direction: which old pixels make each new one.
#[derive(Clone, Debug, Default)]
struct Weights {
    /// First old pixel of every new one, and where its weights end in `values`.
    spans: Vec<(usize, usize)>,
    values: Vec<i32>,
    exact: Vec<f64>,
}

impl Weights {
    /// Fills in the weights from `old` to `new` pixels.
    fn fill(&mut self, old: u32, new: u32, filter: Filter) {
        self.spans.clear();
        self.values.clear();
        let scale = f64::from(old) / f64::from(new);
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        for i in 0..new {
            let centre = (f64::from(i) + 0.5) * scale;
            // The casts drop the fraction and stop at 0.
            let first = (centre - support + 0.5) as u32;
            let end = ((centre + support + 0.5) as u32).min(old);
            self.exact.clear();
            self.exact
                .extend((first..end).map(|x| filter.weight((f64::from(x) - centre + 0.5) / stretch)));
            let sum: f64 = self.exact.iter().sum();
            let norm = if sum == 0.0 { 1.0 } else { sum };
            self.values.extend(
                self.exact
                    .iter()
                    .map(|w| (w / norm * f64::from(1 << WEIGHT_BITS)).round() as i32),
            );
            self.spans.push((first as usize, self.values.len()));
        }
    }

    /// First old pixel and weights of every new pixel.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let mut start = 0;
        self.spans.iter().map(move |&(first, end)| {
            let weights = &self.values[start..end];
            start = end;
            (first, weights)
        })
    }
}

/// A weighted sum back to a byte.
#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// Half of a grey level, so that dropping the fraction rounds.
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// The memory a thread keeps to resize one picture after another.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    across: Weights,
    down: Weights,
    middle: Vec<u8>,
}

/// Cuts `crop` out of `picture` and resizes it to `width` x `height` into `out` (`[height, width, 3]`).
/// Pixels outside the crop have no influence (crop first, then resize: torchvision's `resized_crop`).
///
/// # Panics
/// When the crop is empty or leaves the picture, or `out` has another size.
pub fn resize_crop(
    picture: &Picture,
    crop: &CropBox,
    (width, height): (u32, u32),
    filter: Filter,
    out: &mut [u8],
    scratch: &mut Scratch,
) {
    assert_eq!(
        out.len(),
        width as usize * height as usize * 3,
        "out must hold height x width x 3 bytes"
    );
    assert!(
        crop.right() <= picture.width()
            && crop.bottom() <= picture.height()
            && crop.width > 0
            && crop.height > 0,
        "{crop:?} leaves the picture of {}x{}",
        picture.width(),
        picture.height()
    );
    let Scratch { across, down, middle } = scratch;
    across.fill(crop.width, width, filter);
    down.fill(crop.height, height, filter);
    let (old_stride, new_stride) = (crop.width as usize * 3, width as usize * 3);
    let from = (crop.top as usize * picture.width() as usize + crop.left as usize) * 3;
    let source = &picture.rgb()[from..];
    let source_stride = picture.width() as usize * 3;
    if columns_first(crop, width, height) {
        middle.resize(old_stride * height as usize, 0);
        for ((first, weights), row) in down.iter().zip(middle.chunks_exact_mut(old_stride)) {
            mix_rows(&source[first * source_stride..], source_stride, weights, row);
        }
        for (row, out) in middle
            .chunks_exact(old_stride)
            .zip(out.chunks_exact_mut(new_stride))
        {
            resize_row(row, across, out);
        }
    } else {
        middle.resize(new_stride * crop.height as usize, 0);
        for (y, row) in middle.chunks_exact_mut(new_stride).enumerate() {
            resize_row(
                &source[y * source_stride..y * source_stride + old_stride],
                across,
                row,
            );
        }
        for ((first, weights), out) in down.iter().zip(out.chunks_exact_mut(new_stride)) {
            mix_rows(&middle[first * new_stride..], new_stride, weights, out);
        }
    }
}

/// Whether the columns are resized before the rows. The order shows where values overshoot and are cut in between;
/// this is the rule by which Pillow 13 chooses, found by trying sizes.
fn columns_first(crop: &CropBox, width: u32, height: u32) -> bool {
    let (fewer_rows, fewer_columns) = (
        i64::from(crop.height) - i64::from(height),
        i64::from(crop.width) - i64::from(width),
    );
    fewer_rows > 0 && fewer_rows > 2 * fewer_columns
}

/// One row to its new width.
fn resize_row(row: &[u8], across: &Weights, out: &mut [u8]) {
    for ((first, weights), pixel) in across.iter().zip(out.chunks_exact_mut(3)) {
        let mut sum = [HALF; 3];
        for (old, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
            for c in 0..3 {
                sum[c] += i32::from(old[c]) * weight;
            }
        }
        for c in 0..3 {
            pixel[c] = to_byte(sum[c]);
        }
    }
}

/// The weighted sum of as many rows as there are weights.
fn mix_rows(rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) {
    const LANES: usize = 32;
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let mut sum = [HALF; LANES];
        for (row, &weight) in rows.chunks(stride).zip(weights) {
            let values = &row[block * LANES..block * LANES + out.len()];
            for (sum, &value) in sum.iter_mut().zip(values) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sum) {
            *out = to_byte(sum);
        }
    }
}

/// Resizes the whole picture.
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Filter) -> Picture {
    let whole = CropBox {
        top: 0,
        left: 0,
        height: picture.height(),
        width: picture.width(),
    };
    let mut out = vec![0; width as usize * height as usize * 3];
    resize_crop(
        picture,
        &whole,
        (width, height),
        filter,
        &mut out,
        &mut Scratch::default(),
    );
    Picture::new(width, height, out)
}

/// Resizes a label map by nearest neighbour (no ids are invented), as Pillow's NEAREST: the centre of every new pixel
/// takes the id it falls on.
pub fn resize_labels(map: &LabelMap, width: u32, height: u32) -> LabelMap {
    let at = |i: u32, new: u32, old: u32| {
        (((f64::from(i) + 0.5) * f64::from(old) / f64::from(new)) as u32).min(old - 1) as usize
    };
    let columns: Vec<usize> = (0..width).map(|x| at(x, width, map.width())).collect();
    let mut ids = Vec::with_capacity(width as usize * height as usize);
    for y in 0..height {
        let row = &map.ids()[at(y, height, map.height()) * map.width() as usize..];
        ids.extend(columns.iter().map(|&x| row[x]));
    }
    LabelMap::new(width, height, ids)
}

/// The size at which the shorter side is `side`, the longer one in proportion, cut off (torchvision's `Resize`).
fn short_side_size(width: u32, height: u32, side: u32) -> (u32, u32) {
    let long = |long: u32, short: u32| (u64::from(side) * u64::from(long) / u64::from(short)) as u32;
    if width <= height {
        (side, long(height, width))
    } else {
        (long(width, height), side)
    }
}

/// Where the centred square of `side` begins (torchvision's `CenterCrop`: rounded, ties to even).
fn centre(extent: u32, side: u32) -> u32 {
    (f64::from(extent - side) / 2.0).round_ties_even() as u32
}

/// Brings the shorter side to `side` (antialiased bilinear, as Pillow) and cuts the centred `side` x `side` square.
pub fn resize_short_side_center_crop(picture: &Picture, side: u32) -> Picture {
    let (width, height) = short_side_size(picture.width(), picture.height(), side);
    let resized = if (width, height) == (picture.width(), picture.height()) {
        picture.clone()
    } else {
        resize(picture, width, height, Filter::Bilinear)
    };
    resized.cut(&CropBox {
        top: centre(height, side),
        left: centre(width, side),
        height: side,
        width: side,
    })
}

/// The same region of the same resizing for a label map, by nearest neighbour.
pub fn resize_labels_short_side_center_crop(map: &LabelMap, side: u32) -> LabelMap {
    let (width, height) = short_side_size(map.width(), map.height(), side);
    let resized = resize_labels(map, width, height);
    resized.cut(&CropBox {
        top: centre(height, side),
        left: centre(width, side),
        height: side,
        width: side,
    })
}
