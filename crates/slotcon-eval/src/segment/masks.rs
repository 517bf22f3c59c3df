//! Label maps as files: index PNGs with a palette, overlays on the picture, and masks as JSON.

use std::path::Path;

use slotcon_data::Picture;
use slotcon_data::labelled::Palette;
use slotcon_metrics::rle;

use slotcon_weights::atomic_file::{WriteError, write_bytes};

/// How much of an overlay is the group's colour, in 256ths.
const OPACITY: u32 = 128;

/// Writes ids as an index PNG: 8 bits with `palette`, or 16 bits gray where an id is above 255.
///
/// # Errors
/// What the file system says; nothing half-written stays.
pub fn write_index_png(
    path: &Path,
    width: u32,
    height: u32,
    ids: &[u16],
    palette: Palette,
) -> Result<(), WriteError> {
    let wide = ids.iter().any(|&id| id > 255);
    let data: Vec<u8> = if wide {
        ids.iter().flat_map(|id| id.to_be_bytes()).collect()
    } else {
        ids.iter().map(|&id| id as u8).collect()
    };
    write_png(path, |out| {
        let mut encoder = png::Encoder::new(out, width, height);
        if wide {
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::Sixteen);
        } else {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette((0..256u16).flat_map(|id| palette.colour(id)).collect::<Vec<u8>>());
        }
        encoder.write_header()?.write_image_data(&data)
    })
}

/// The picture with each id's colour over it, borders between ids in white.
pub fn overlay(picture: &Picture, ids: &[u16], palette: Palette) -> Picture {
    let row = picture.width() as usize;
    let mut rgb = picture.rgb().to_vec();
    for (i, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let right = (i + 1) % row != 0 && ids[i] != ids[i + 1];
        let below = i + row < ids.len() && ids[i] != ids[i + row];
        let over = if right || below {
            [255; 3]
        } else {
            palette.colour(ids[i])
        };
        for (p, c) in pixel.iter_mut().zip(over) {
            *p = ((u32::from(*p) * (256 - OPACITY) + u32::from(c) * OPACITY) / 256) as u8;
        }
    }
    Picture::new(picture.width(), picture.height(), rgb)
}

/// Writes the [`overlay`] of a picture.
///
/// # Errors
/// What the file system says; nothing half-written stays.
pub fn write_overlay(
    path: &Path,
    picture: &Picture,
    ids: &[u16],
    palette: Palette,
) -> Result<(), WriteError> {
    write_picture(path, &overlay(picture, ids, palette))
}

/// Writes a picture as a PNG.
///
/// # Errors
/// What the file system says; nothing half-written stays.
pub fn write_picture(path: &Path, picture: &Picture) -> Result<(), WriteError> {
    write_png(path, |out| {
        let mut encoder = png::Encoder::new(out, picture.width(), picture.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(picture.rgb())
    })
}

/// Writes the mask of every group in a picture ([`rle::masks`]) as a JSON list.
///
/// # Errors
/// What the file system says; nothing half-written stays.
pub fn write_masks(path: &Path, width: u32, height: u32, ids: &[u16]) -> Result<(), WriteError> {
    let text =
        serde_json::to_string(&rle::masks(width, height, ids)).map_err(|e| WriteError::new(path, e))?;
    write_bytes(path, text.as_bytes())
}

/// Encodes into memory, then writes whole or not at all.
fn write_png(
    path: &Path,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), png::EncodingError>,
) -> Result<(), WriteError> {
    let mut bytes = Vec::new();
    encode(&mut bytes).map_err(|e| WriteError::new(path, e))?;
    write_bytes(path, &bytes)
}

#[cfg(test)]
mod tests {
    use slotcon_data::labelled::{colour, read_label_map};

    use super::*;

    #[test]
    fn ids_are_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        for ids in [[0u16, 7, 255, 3, 3, 200], [0, 256, 65535, 1, 2, 3]] {
            let path = folder.path().join("ids.png");
            write_index_png(&path, 3, 2, &ids, Palette::default()).unwrap();
            let map = read_label_map(&path).unwrap();
            assert_eq!((map.width(), map.height(), map.ids()), (3, 2, ids.as_slice()));
        }
    }

    #[test]
    fn an_overlay_has_the_groups_colours_and_white_borders() {
        let picture = Picture::new(3, 2, vec![100; 18]);
        let drawn = overlay(&picture, &[1, 1, 2, 1, 1, 2], Palette::default());
        let pixel = |i: usize| &drawn.rgb()[i * 3..][..3];
        assert_eq!(pixel(0), colour(1).map(|c| ((100 + u32::from(c)) / 2) as u8));
        assert_eq!(pixel(1), [177; 3]);
        assert_eq!(pixel(2), colour(2).map(|c| ((100 + u32::from(c)) / 2) as u8));
    }
}
