//! Turning a picture as its EXIF orientation says.

use std::sync::atomic::{AtomicU64, Ordering};

use image::metadata::Orientation;

use super::Picture;

/// Pictures decoded by this process whose orientation was not applied.
static LEFT_AS_THEY_LIE: AtomicU64 = AtomicU64::new(0);

/// How many pictures this process has decoded that carry an orientation and were left as they lie in the file, since nobody asked to
/// turn them; those decoded several times count as often.
pub fn left_as_they_lie() -> u64 {
    LEFT_AS_THEY_LIE.load(Ordering::Relaxed)
}

/// The orientation that is to be applied: `found`, where that is `wanted`. One that is not is counted.
pub(super) fn applied(found: Orientation, wanted: bool) -> Orientation {
    if wanted {
        return found;
    }
    if found != Orientation::NoTransforms {
        LEFT_AS_THEY_LIE.fetch_add(1, Ordering::Relaxed);
    }
    Orientation::NoTransforms
}

/// The orientation in an EXIF block (the bytes after `Exif\0\0`).
pub(super) fn of_exif(exif: &[u8]) -> Orientation {
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

/// The picture as it is meant to be seen.
pub(super) fn turn(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let (w, h) = (picture.width as usize, picture.height as usize);
    let sideways = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (new_w, new_h) = if sideways { (h, w) } else { (w, h) };
    let mut rgb = Vec::with_capacity(picture.rgb.len());
    for y in 0..new_h {
        for x in 0..new_w {
            let (sx, sy) = match orientation {
                Orientation::NoTransforms => (x, y),
                Orientation::FlipHorizontal => (w - 1 - x, y),
                Orientation::Rotate180 => (w - 1 - x, h - 1 - y),
                Orientation::FlipVertical => (x, h - 1 - y),
                // EXIF 5: rows become columns.
                Orientation::Rotate90FlipH => (y, x),
                Orientation::Rotate90 => (y, h - 1 - x),
                // EXIF 7: the other diagonal.
                Orientation::Rotate270FlipH => (w - 1 - y, h - 1 - x),
                Orientation::Rotate270 => (w - 1 - y, x),
            };
            let at = (sy * w + sx) * 3;
            rgb.extend_from_slice(&picture.rgb[at..at + 3]);
        }
    }
    Picture::new(new_w as u32, new_h as u32, rgb)
}
