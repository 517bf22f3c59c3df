//! Every format but JPEG, through the `image` crate.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::{DecodeOptions, Format, Picture, check_size, orient};
use crate::error::PictureError;

pub(super) fn decode(
    bytes: &[u8],
    format: Format,
    options: &DecodeOptions,
) -> Result<(Picture, Orientation), PictureError> {
    let broken = |e: image::ImageError| match e {
        image::ImageError::Unsupported(_) => PictureError::Unsupported {
            format: format.name(),
            what: "of a rare kind".into(),
        },
        other => PictureError::Decode {
            format: format.name(),
            reason: other.to_string(),
        },
    };
    let tagged = match format {
        Format::Tiff => Some(super::tiff::check(bytes)?),
        _ => None,
    };
    let known = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
        Format::Tiff => ImageFormat::Tiff,
        Format::Bmp => ImageFormat::Bmp,
        Format::Gif => ImageFormat::Gif,
        Format::Pnm => ImageFormat::Pnm,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    let mut limits = image::Limits::no_limits();
    // 8 bytes a pixel (16-bit RGBA) and as much again for the decoder's own work.
    limits.max_alloc = Some(options.max_pixels.saturating_mul(16).max(1 << 20));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height), options)?;
    let found = match decoder.exif_metadata() {
        Ok(Some(exif)) => orient::of_exif(&exif),
        _ => tagged.unwrap_or(Orientation::NoTransforms),
    };
    let orientation = orient::applied(found, options.exif_orientation);
    let decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;
    Ok((Picture::new(width, height, to_rgb(decoded)), orientation))
}

/// Drops what is not colour and, of 16 bits, the lower 8.
fn to_rgb(image: DynamicImage) -> Vec<u8> {
    let high = |v: u16| (v >> 8) as u8;
    match image {
        DynamicImage::ImageRgb8(i) => i.into_raw(),
        DynamicImage::ImageLuma8(i) => i.as_raw().iter().flat_map(|&v| [v; 3]).collect(),
        DynamicImage::ImageLumaA8(i) => i.as_raw().chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageRgba8(i) => i
            .as_raw()
            .chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect(),
        DynamicImage::ImageLuma16(i) => i.as_raw().iter().flat_map(|&v| [high(v); 3]).collect(),
        DynamicImage::ImageLumaA16(i) => i.as_raw().chunks_exact(2).flat_map(|p| [high(p[0]); 3]).collect(),
        DynamicImage::ImageRgb16(i) => i.as_raw().iter().map(|&v| high(v)).collect(),
        DynamicImage::ImageRgba16(i) => i
            .as_raw()
            .chunks_exact(4)
            .flat_map(|p| [high(p[0]), high(p[1]), high(p[2])])
            .collect(),
        other => other.to_rgb8().into_raw(),
    }
}
