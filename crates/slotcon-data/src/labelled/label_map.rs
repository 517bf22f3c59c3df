//! Label maps: one class id a pixel, read from index PNGs without touching the ids.

use std::io::Cursor;
use std::path::Path;

use super::mat;
use crate::error::{Error, PictureError, Result};
use crate::geometry::CropBox;
use crate::picture::Format;

/// One class id a pixel, `[height, width]`, rows first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    width: u32,
    height: u32,
    ids: Vec<u16>,
}

impl LabelMap {
    /// A map from its ids.
    ///
    /// # Panics
    /// When there are not width x height ids.
    pub fn new(width: u32, height: u32, ids: Vec<u16>) -> Self {
        assert_eq!(
            ids.len(),
            width as usize * height as usize,
            "a label map has width x height ids"
        );
        Self { width, height, ids }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The ids, `[height, width]`.
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// The ids inside a box.
    ///
    /// # Panics
    /// When the box leaves the map.
    pub fn cut(&self, crop: &CropBox) -> Self {
        let mut ids = Vec::with_capacity(crop.width as usize * crop.height as usize);
        for y in crop.top..crop.bottom() {
            let start = y as usize * self.width as usize;
            ids.extend_from_slice(&self.ids[start + crop.left as usize..start + crop.right() as usize]);
        }
        Self::new(crop.width, crop.height, ids)
    }
}

/// What a file with labels holds.
#[derive(Debug)]
pub(super) enum Labels {
    /// A number a pixel.
    Ids(LabelMap),
    /// A colour a pixel, `[height, width, 3]`, rows first.
    Colours {
        /// Width in pixels.
        width: u32,
        /// The colours.
        rgb: Vec<u8>,
    },
}

/// Reads an index PNG: palette indices or gray values of 1 to 16 bits as they stand in the file (no scaling, no palette
/// applied); a TIFF of gray values of 8 or 16 bits; or a MAT-file of SBD's `cls`.
///
/// # Errors
/// When the file cannot be read, is neither, or has colours instead of ids.
pub fn read_label_map(path: &Path) -> Result<LabelMap> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    decode_label_map(&bytes).map_err(|source| Error::Picture {
        path: path.into(),
        source,
    })
}

fn decode_label_map(bytes: &[u8]) -> Result<LabelMap, PictureError> {
    match decode_labels(bytes)? {
        Labels::Ids(map) => Ok(map),
        Labels::Colours { .. } => Err(PictureError::NotALabelMap("it has RGB colours".into())),
    }
}

/// Decodes the file of a label map.
pub(super) fn decode_labels(bytes: &[u8]) -> Result<Labels, PictureError> {
    if bytes.starts_with(mat::MAGIC) {
        return mat::segmentation(bytes)
            .map(Labels::Ids)
            .map_err(|reason| PictureError::Decode {
                format: "MAT-file",
                reason,
            });
    }
    if matches!(Format::of(bytes), Some(Format::Tiff)) {
        return decode_tiff(bytes).map(Labels::Ids);
    }
    let broken = |e: png::DecodingError| PictureError::Decode {
        format: "PNG",
        reason: e.to_string(),
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
    let info = reader.info();
    let (width, height, depth) = (info.width, info.height, info.bit_depth as usize);
    let coloured = match info.color_type {
        png::ColorType::Indexed | png::ColorType::Grayscale => false,
        png::ColorType::Rgb if depth == 8 => true,
        other => {
            return Err(PictureError::NotALabelMap(format!(
                "it has {other:?} colours of {depth} bits"
            )));
        }
    };
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| PictureError::NotALabelMap(format!("{width}x{height} pixels are too many")))?;
    let mut packed = vec![0; size];
    let frame = reader.next_frame(&mut packed).map_err(broken)?;
    if coloured {
        return Ok(Labels::Colours { width, rgb: packed });
    }
    let mut ids = Vec::with_capacity(width as usize * height as usize);
    for row in packed.chunks_exact(frame.line_size).take(height as usize) {
        match depth {
            16 => ids.extend(row.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]]))),
            8 => ids.extend(row.iter().map(|&b| u16::from(b))),
            // 1, 2 or 4 bits an id, the first id in the highest bits.
            _ => ids.extend((0..width as usize).map(|x| {
                let bit = x * depth;
                u16::from(row[bit / 8] >> (8 - depth - bit % 8)) & ((1 << depth) - 1)
            })),
        }
    }
    Ok(Labels::Ids(LabelMap::new(width, height, ids)))
}

/// Decodes a TIFF of one gray value a pixel, of 8 or 16 bits.
fn decode_tiff(bytes: &[u8]) -> Result<LabelMap, PictureError> {
    let broken = |e: tiff::TiffError| PictureError::Decode {
        format: "TIFF",
        reason: e.to_string(),
    };
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).map_err(broken)?;
    let (width, height) = decoder.dimensions().map_err(broken)?;
    match decoder.colortype().map_err(broken)? {
        tiff::ColorType::Gray(8 | 16) => {}
        other => {
            return Err(PictureError::NotALabelMap(format!(
                "it is a TIFF of {other:?}, not of one gray value of 8 or 16 bits a pixel"
            )));
        }
    }
    let ids = match decoder.read_image().map_err(broken)? {
        tiff::decoder::DecodingResult::U8(ids) => ids.into_iter().map(u16::from).collect(),
        tiff::decoder::DecodingResult::U16(ids) => ids,
        _ => {
            return Err(PictureError::NotALabelMap(
                "its numbers are not whole ones of 8 or 16 bits".into(),
            ));
        }
    };
    let ids: Vec<u16> = ids;
    if ids.len() != width as usize * height as usize {
        return Err(PictureError::NotALabelMap(format!(
            "it has {} values for {width}x{height} pixels",
            ids.len()
        )));
    }
    Ok(LabelMap::new(width, height, ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiff_of_gray_values_is_taken_as_it_is() {
        let mut file = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
        encoder
            .write_image::<tiff::encoder::colortype::Gray16>(3, 2, &[0, 1, 255, 300, 7, 65535])
            .unwrap();
        let map = decode_label_map(file.get_ref()).unwrap();
        assert_eq!(
            (map.width(), map.height(), map.ids()),
            (3, 2, [0, 1, 255, 300, 7, 65535].as_slice())
        );
        let mut file = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
        encoder
            .write_image::<tiff::encoder::colortype::RGB8>(1, 1, &[1, 2, 3])
            .unwrap();
        let said = decode_label_map(file.get_ref()).unwrap_err().to_string();
        assert!(said.contains("RGB"), "{said}");
    }

    fn png_of(width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == png::ColorType::Indexed {
            encoder.set_palette((0..=255u8).flat_map(|i| [i, 255 - i, 7]).collect::<Vec<u8>>());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        out
    }

    #[test]
    fn ids_come_out_as_they_went_in() {
        use png::{BitDepth, ColorType};
        let check = |colour, depth, width: u32, data: &[u8], want: &[u16]| {
            let height = want.len() as u32 / width;
            let map = decode_label_map(&png_of(width, height, colour, depth, data)).unwrap();
            assert_eq!(
                (map.width(), map.height(), map.ids()),
                (width, height, want),
                "{colour:?} {depth:?}"
            );
        };
        check(
            ColorType::Grayscale,
            BitDepth::Eight,
            2,
            &[0, 255, 11, 3],
            &[0, 255, 11, 3],
        );
        check(
            ColorType::Indexed,
            BitDepth::Eight,
            2,
            &[0, 255, 11, 3],
            &[0, 255, 11, 3],
        );
        check(
            ColorType::Indexed,
            BitDepth::Four,
            3,
            &[0x1f, 0x20, 0xa0, 0xb0],
            &[1, 15, 2, 10, 0, 11],
        );
        check(
            ColorType::Grayscale,
            BitDepth::Two,
            3,
            &[0b0001_1000, 0b1111_0100],
            &[0, 1, 2, 3, 3, 1],
        );
        check(
            ColorType::Grayscale,
            BitDepth::One,
            3,
            &[0b1010_0000, 0b0100_0000],
            &[1, 0, 1, 0, 1, 0],
        );
        check(
            ColorType::Grayscale,
            BitDepth::Sixteen,
            2,
            &[1, 0, 0, 5, 255, 255, 0, 0],
            &[256, 5, 65535, 0],
        );
    }

    #[test]
    fn colours_and_half_files_are_refused() {
        let rgb = png_of(1, 1, png::ColorType::Rgb, png::BitDepth::Eight, &[1, 2, 3]);
        assert!(
            decode_label_map(&rgb)
                .unwrap_err()
                .to_string()
                .contains("index PNG")
        );
        let gray = png_of(
            40,
            40,
            png::ColorType::Grayscale,
            png::BitDepth::Eight,
            &[9; 1600],
        );
        assert!(decode_label_map(&gray[..gray.len() - 30]).is_err());
        assert!(
            read_label_map(Path::new("no/such.png"))
                .unwrap_err()
                .to_string()
                .contains("no/such.png")
        );
    }
}
