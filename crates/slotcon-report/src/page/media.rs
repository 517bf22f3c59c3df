//! Pictures inside a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use slotcon_data::Picture;

use crate::error::Error;

/// Bytes as text.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A picture as JPEG; `quality` 1 to 100.
///
/// # Errors
/// A picture without pixels, or with a side above 65535.
pub fn jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, Error> {
    let size = |n: u32| u16::try_from(n).unwrap_or(0);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(
        picture.rgb(),
        size(picture.width()),
        size(picture.height()),
        ColorType::Rgb,
    )?;
    Ok(bytes)
}

/// A picture as the address of an `<img>`.
///
/// # Errors
/// As [`jpeg`].
pub fn jpeg_uri(picture: &Picture, quality: u8) -> Result<String, Error> {
    Ok(format!(
        "data:image/jpeg;base64,{}",
        base64(&jpeg(picture, quality)?)
    ))
}

/// Of pictures in a page.
const QUALITY: u8 = 74;

/// A picture as an `<img>` of its shape, with a text for those who do not see it.
///
/// # Errors
/// As [`jpeg`].
pub fn image(picture: &Picture, alt: &str) -> Result<String, Error> {
    Ok(format!(
        "<img loading=\"lazy\" decoding=\"async\" width=\"{}\" height=\"{}\" style=\"--shape:{:.3}\" alt=\"{}\" \
         src=\"{}\">",
        picture.width(),
        picture.height(),
        f64::from(picture.width()) / f64::from(picture.height()),
        super::escape(alt),
        jpeg_uri(picture, QUALITY)?
    ))
}

#[cfg(test)]
mod tests {
    use slotcon_data::picture::{DecodeOptions, decode_rgb_bytes};

    use super::*;

    #[test]
    fn a_jpeg_shows_the_picture() {
        let rgb: Vec<u8> = (0..40 * 30)
            .flat_map(|i| [(i % 40 * 6) as u8, (i / 40 * 8) as u8, 90])
            .collect();
        let picture = Picture::new(40, 30, rgb);
        let back = decode_rgb_bytes(&jpeg(&picture, 90).unwrap(), &DecodeOptions::default()).unwrap();
        assert_eq!((back.width(), back.height()), (40, 30));
        let worst = picture
            .rgb()
            .iter()
            .zip(back.rgb())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(worst < 24, "{worst}");
        assert!(jpeg(&Picture::default(), 80).is_err());
    }
}
