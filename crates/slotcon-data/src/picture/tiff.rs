//! What kind of TIFF a file is, from its tags: the kinds that are not read are refused in words that name the way out, before a
//! decoder tries.

use std::io::Cursor;

use image::metadata::Orientation;
use tiff::decoder::Decoder;
use tiff::tags::Tag;

use crate::error::PictureError;

fn refuse(what: &str) -> PictureError {
    PictureError::Unsupported {
        format: "TIFF",
        what: what.to_owned(),
    }
}

/// Checks the tags of the first picture of a TIFF file; how it wants to be turned.
///
/// # Errors
/// A file whose tags cannot be read; a compression, a colour space or a number format that is not read.
pub(super) fn check(bytes: &[u8]) -> Result<Orientation, PictureError> {
    let broken = |e: tiff::TiffError| PictureError::Decode {
        format: "TIFF",
        reason: e.to_string(),
    };
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(broken)?;
    let mut number = |tag: Tag| decoder.find_tag_unsigned::<u16>(tag).map_err(broken);
    let compression = number(Tag::Compression)?.unwrap_or(1);
    let colours = number(Tag::PhotometricInterpretation)?.unwrap_or(1);
    let samples = number(Tag::SamplesPerPixel)?.unwrap_or(1);
    let planes = number(Tag::PlanarConfiguration)?.unwrap_or(1);
    let orientation = number(Tag::Orientation)?.unwrap_or(1);
    let formats = decoder
        .find_tag_unsigned_vec::<u16>(Tag::SampleFormat)
        .map_err(broken)?;
    match compression {
        1 | 5 | 8 | 32773 | 32946 => {}
        2..=4 => return Err(refuse("compressed as a fax (CCITT)")),
        6 | 7 => return Err(refuse("compressed as JPEG inside")),
        50000 => return Err(refuse("compressed by zstd")),
        50001 => return Err(refuse("compressed as WebP inside")),
        other => {
            return Err(refuse(&format!(
                "compressed in a way that is not known here ({other})"
            )));
        }
    }
    match (colours, samples) {
        (0 | 1, 1) | (2, 3 | 4) | (5, 4) => {}
        (0 | 1, 2) => return Err(refuse("gray with transparency")),
        (3, _) => return Err(refuse("with a table of colours (palette)")),
        (6, _) => return Err(refuse("in YCbCr")),
        (8..=10, _) => return Err(refuse("in Lab colours")),
        (_, samples) => {
            return Err(refuse(&format!(
                "with {samples} channels in colours of kind {colours}"
            )));
        }
    }
    match formats.and_then(|formats| formats.into_iter().find(|format| *format != 1)) {
        None | Some(4) => {}
        Some(2) => return Err(refuse("of numbers with a sign, which have no agreed range")),
        Some(3) => return Err(refuse("of floating-point numbers, which have no agreed range")),
        Some(other) => {
            return Err(refuse(&format!(
                "of numbers of a kind that is not known here ({other})"
            )));
        }
    }
    if planes == 2 && samples > 1 {
        return Err(refuse("with each colour in a plane of its own"));
    }
    let orientation = u8::try_from(orientation).ok().and_then(Orientation::from_exif);
    Ok(orientation.unwrap_or(Orientation::NoTransforms))
}
