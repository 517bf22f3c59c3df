//! The rare kinds of JPEG: progressive, CMYK, RGB, unusual subsampling; and a verdict on what is broken.

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::error::PictureError;
use crate::picture::{DecodeOptions, Picture, check_size, orient};

/// Decodes into `buffer`'s memory.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
    mut buffer: Vec<u8>,
) -> Result<(Picture, Orientation), PictureError> {
    let broken = |e: zune_jpeg::errors::DecodeErrors| PictureError::Decode {
        format: "JPEG",
        reason: e.to_string(),
    };
    let settings = DecoderOptions::default()
        .set_max_width(u16::MAX.into())
        .set_max_height(u16::MAX.into())
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), settings);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(width as u64, height as u64, options)?;
    let orientation = match decoder.exif() {
        Some(exif) if options.exif_orientation => orient::of_exif(exif),
        _ => Orientation::NoTransforms,
    };
    buffer.resize(width * height * 3, 0);
    decoder.decode_into(&mut buffer).map_err(broken)?;
    Ok((Picture::new(width as u32, height as u32, buffer), orientation))
}
