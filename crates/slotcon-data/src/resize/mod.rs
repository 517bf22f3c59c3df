//! Resizing with Pillow's filters: antialiased, one direction after the other, rounded to bytes in between.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod opencv;
mod rows;
mod weights;

pub use weights::Filter;

use rows::{Across, mix_rows};
use weights::Weights;

use crate::geometry::CropBox;
use crate::labelled::LabelMap;
use crate::picture::Picture;
use crate::simd::dispatch;

/// The memory a thread keeps to resize one picture after another.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    across: Across,
    down: Weights,
    middle: Vec<u8>,
    last_row: Vec<u8>,
}

/// Cuts `crop` out of `picture` and resizes it to `width` x `height` into `out` (`[height, width, 3]`).
/// Pixels outside the crop have no influence (crop first, then resize: torchvision's `resized_crop`). With `mirror` the
/// result is mirrored left to right.
///
/// # Panics
/// When the crop is empty or leaves the picture, or `out` has another size.
pub fn resize_crop(
    picture: &Picture,
    crop: &CropBox,
    (width, height): (u32, u32),
    filter: Filter,
    mirror: bool,
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
    let Scratch {
        across,
        down,
        middle,
        last_row,
    } = scratch;
    across.weights.fill(crop.width, width, filter);
    across.prepare(mirror);
    down.fill(crop.height, height, filter);
    let (old_stride, new_stride) = (crop.width as usize * 3, width as usize * 3);
    let from = (crop.top as usize * picture.width() as usize + crop.left as usize) * 3;
    let source = &picture.rgb()[from..];
    let source_stride = picture.width() as usize * 3;
    dispatch(
        #[inline(always)]
        || {
            if columns_first(crop, width, height) {
                middle.resize(old_stride * height as usize, 0);
                for ((first, weights), row) in down.iter().zip(middle.chunks_exact_mut(old_stride)) {
                    mix_rows(&source[first * source_stride..], source_stride, weights, row);
                }
                widen(middle, old_stride, old_stride, across, out, new_stride, last_row);
            } else {
                middle.resize(new_stride * crop.height as usize, 0);
                widen(
                    source,
                    source_stride,
                    old_stride,
                    across,
                    middle,
                    new_stride,
                    last_row,
                );
                for ((first, weights), out) in down.iter().zip(out.chunks_exact_mut(new_stride)) {
                    mix_rows(&middle[first * new_stride..], new_stride, weights, out);
                }
            }
        },
    );
}

/// All rows to their new width: rows of `length` bytes that begin `stride` bytes apart.
#[inline(always)]
fn widen(
    rows: &[u8],
    stride: usize,
    length: usize,
    across: &Across,
    out: &mut [u8],
    new_stride: usize,
    last_row: &mut Vec<u8>,
) {
    let reach = across.reach().max(length);
    for (y, out) in out.chunks_exact_mut(new_stride).enumerate() {
        let row = &rows[y * stride..];
        if row.len() >= reach {
            across.run(row, out);
        } else {
            // Behind the last rows there is nothing to read on in.
            last_row.clear();
            last_row.extend_from_slice(&row[..length]);
            last_row.resize(reach, 0);
            across.run(last_row, out);
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
        false,
        &mut out,
        &mut Scratch::default(),
    );
    Picture::new(width, height, out).seen_through(picture.window())
}

/// Resizes a label map by nearest neighbour (no ids are invented), as Pillow's NEAREST: the centre of every new pixel
/// takes the id it falls on.
pub fn resize_labels(map: &LabelMap, width: u32, height: u32) -> LabelMap {
    let ids = nearest(map.ids(), (map.width(), map.height()), (width, height));
    LabelMap::new(width, height, ids)
}

/// [`resize_labels`] of any values, from size `old` to size `new` (width, height).
pub(crate) fn nearest<T: Copy>(values: &[T], old: (u32, u32), new: (u32, u32)) -> Vec<T> {
    let at = |i: u32, new: u32, old: u32| {
        (((f64::from(i) + 0.5) * f64::from(old) / f64::from(new)) as u32).min(old - 1) as usize
    };
    let columns: Vec<usize> = (0..new.0).map(|x| at(x, new.0, old.0)).collect();
    let mut out = Vec::with_capacity(new.0 as usize * new.1 as usize);
    for y in 0..new.1 {
        let row = &values[at(y, new.1, old.1) * old.0 as usize..];
        out.extend(columns.iter().map(|&x| row[x]));
    }
    out
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

/// Brings the shorter side to `side` (antialiased bilinear, as Pillow), the longer one in proportion and rounded. One absurdly
/// long, over 16 times the other, is squeezed to that.
pub fn resize_short_side(picture: &Picture, side: u32) -> Picture {
    let short = picture.width().min(picture.height());
    let to = |length: u32| {
        let exact = f64::from(length) * f64::from(side) / f64::from(short);
        exact.round().clamp(1.0, f64::from(16 * side)) as u32
    };
    resize(
        picture,
        to(picture.width()),
        to(picture.height()),
        Filter::Bilinear,
    )
}

/// Brings the shorter side to `side` (antialiased bilinear, as Pillow) and cuts the centred `side` x `side` square.
pub fn resize_short_side_center_crop(picture: &Picture, side: u32) -> Picture {
    let square = CenterSquare {
        side,
        filter: Filter::Bilinear,
    };
    square.of(picture, side)
}

/// The centred square of a picture that was resized before (torchvision's `Resize`, then `CenterCrop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CenterSquare {
    /// Its side in pixels; no more than the short side that is resized to.
    pub side: u32,
    /// How the picture is resized.
    pub filter: Filter,
}

impl CenterSquare {
    /// Brings the shorter side of `picture` to `short_side`, the longer one in proportion, and cuts the square.
    ///
    /// # Panics
    /// When the square is larger than `short_side`.
    pub fn of(&self, picture: &Picture, short_side: u32) -> Picture {
        let (side, short) = (self.side, short_side);
        assert!(
            side <= short,
            "a square of {side} px from a short side of {short}"
        );
        let (width, height) = short_side_size(picture.width(), picture.height(), short);
        let resized = if (width, height) == (picture.width(), picture.height()) {
            picture.clone()
        } else {
            resize(picture, width, height, self.filter)
        };
        resized.cut(&CropBox {
            top: centre(height, side),
            left: centre(width, side),
            height: side,
            width: side,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Window;

    #[test]
    fn a_cut_picture_knows_what_it_shows_of_the_whole() {
        let whole = Picture::new(8, 4, vec![0; 96]);
        assert_eq!(resize_short_side(&whole, 2).window(), Window::WHOLE);
        // To 4 x 2 pixels, of which the columns 1 and 2 remain.
        let square = resize_short_side_center_crop(&whole, 2);
        let middle = Window {
            top: 0.0,
            left: 0.25,
            height: 1.0,
            width: 0.5,
        };
        assert_eq!(square.window(), middle);
        let pixel = CropBox {
            top: 1,
            left: 1,
            height: 1,
            width: 1,
        };
        let lower_right = Window {
            top: 0.5,
            left: 0.5,
            height: 0.5,
            width: 0.25,
        };
        assert_eq!(
            resize(&square, 2, 2, Filter::Bilinear).cut(&pixel).window(),
            lower_right
        );
    }
}
