//! JPEG, the format of nearly every photo: a decoder of our own for the everyday kind, another one for all the rest.

mod baseline;
mod colour;
mod general;
mod header;
mod huffman;
mod idct;
mod segments;

use image::metadata::Orientation;

pub(crate) use baseline::Memory;

use super::{DecodeOptions, Picture, check_size, orient, whole};
use crate::error::PictureError;
use crate::geometry::CropBox;

/// What was decoded: the part that was wanted, upright, or the whole as it lies in the file.
pub(super) enum Decoded {
    Part {
        picture: Picture,
        top: u32,
        left: u32,
    },
    Whole {
        picture: Picture,
        orientation: Orientation,
    },
}

/// Decodes into `buffer`'s memory. `pick` says which part is wanted.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
    mut buffer: Vec<u8>,
    memory: &mut Memory,
    pick: &mut dyn FnMut(u32, u32) -> Option<[CropBox; 2]>,
) -> Result<Decoded, PictureError> {
    let mut asked = None;
    if let Some(header) = header::Header::read(bytes) {
        check_size(header.width as u64, header.height as u64, options)?;
        let (width, height) = (header.width as u32, header.height as u32);
        let exif = header.exif.as_ref().map(|range| &bytes[range.clone()]);
        let found = exif.map_or(Orientation::NoTransforms, orient::of_exif);
        let orientation = if options.exif_orientation {
            found
        } else {
            Orientation::NoTransforms
        };
        let upright = orientation == Orientation::NoTransforms;
        let boxes = if upright { pick(width, height) } else { None };
        asked = boxes.map(|_| (width, height));
        let boxes = boxes.unwrap_or([whole(width, height); 2]);
        let wanted = boxes[0].union(&boxes[1]);
        if baseline::decode(bytes, &header, &boxes, memory, &mut buffer).is_some() {
            orient::applied(found, options.exif_orientation);
            let picture = Picture::new(wanted.width, wanted.height, buffer);
            return Ok(match upright {
                true => Decoded::Part {
                    picture,
                    top: wanted.top,
                    left: wanted.left,
                },
                false => Decoded::Whole { picture, orientation },
            });
        }
    }
    // Rare kinds, and files that are not whole: this decoder also knows what is wrong with them.
    let (picture, orientation) = general::decode(bytes, options, buffer)?;
    match asked {
        None => Ok(Decoded::Whole { picture, orientation }),
        // The choice is made and holds for the picture as it lies in the file, whatever a second EXIF block may say.
        Some(size) if size == (picture.width(), picture.height()) => Ok(Decoded::Whole {
            picture,
            orientation: Orientation::NoTransforms,
        }),
        Some((width, height)) => Err(PictureError::Decode {
            format: "JPEG",
            reason: format!(
                "its headers say {width}x{height} and {}x{}",
                picture.width(),
                picture.height()
            ),
        }),
    }
}
