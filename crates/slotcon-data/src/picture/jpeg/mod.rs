//! JPEG, the format of nearly every photo: a decoder of our own for the everyday kind, another one for all the rest.

mod baseline;
mod colour;
mod general;
mod header;
mod huffman;
mod idct;

use image::metadata::Orientation;

pub(crate) use baseline::Memory;

use super::{DecodeOptions, Picture, check_size, orient};
use crate::error::PictureError;
use crate::geometry::CropBox;

/// Decodes into `buffer`'s memory.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
    mut buffer: Vec<u8>,
    memory: &mut Memory,
) -> Result<(Picture, Orientation), PictureError> {
    if let Some(header) = header::Header::read(bytes) {
        check_size(header.width as u64, header.height as u64, options)?;
        let whole = CropBox {
            top: 0,
            left: 0,
            height: header.height as u32,
            width: header.width as u32,
        };
        if baseline::decode(bytes, &header, &whole, memory, &mut buffer).is_some() {
            let orientation = match header.exif {
                Some(range) if options.exif_orientation => orient::of_exif(&bytes[range]),
                _ => Orientation::NoTransforms,
            };
            return Ok((Picture::new(whole.width, whole.height, buffer), orientation));
        }
    }
    // Rare kinds, and files that are not whole: this decoder also knows what is wrong with them.
    general::decode(bytes, options, buffer)
}
