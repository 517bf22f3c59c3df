//! The gallery as one picture: a block for each prototype, its number on top, its best pictures in a row.

use std::collections::HashMap;
use std::path::Path;

use slotcon_data::Picture;
use slotcon_data::resize::{Filter, resize};

use slotcon_eval::segment::GroupedPicture;
use slotcon_eval::survey::Survey;
use slotcon_eval::{Pictures, ProgressSink, Segmenter};
use slotcon_weights::atomic_file::AtomicFile;

use super::spotlight;
use crate::error::Error;
use crate::page::percent;

/// Side of a picture's place, in pixels.
const TILE: u32 = 128;
/// Between pictures.
const GAP: u32 = 4;
/// Around a block.
const MARGIN: u32 = 10;
/// The line with the number.
const HEADER: u32 = 24;
/// Pixels of the sheet that may be held in memory.
const MAX_PIXELS: u64 = 1 << 28;
const GROUND: u8 = 250;
const INK: u8 = 40;

/// Writes the gallery of `survey` as a PNG.
///
/// # Errors
/// More prototypes and pictures than fit; what the file system says (nothing half-written stays); a failure of libtorch.
pub fn write_png(
    path: &Path,
    segmenter: &Segmenter,
    pictures: &Pictures,
    survey: &Survey,
    progress: &mut dyn ProgressSink,
) -> Result<(), Error> {
    let mut sheet = Sheet::new(survey.shown.len(), survey.ranking.top())?;
    // Where each picture goes: prototype and place.
    let mut places: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
    for (block, &k) in survey.shown.iter().enumerate() {
        let share = survey.ranking.share(k);
        sheet.label(block, &format!("{k}  {}", percent(share)));
        for (column, hit) in survey.ranking.best(k).iter().enumerate() {
            places.entry(hit.picture).or_default().push((block, column));
        }
    }
    let chosen = survey.chosen();
    progress.begin("drawing", chosen.len());
    pictures.each(&chosen, progress, |seen| {
        let small = fit(&seen.picture);
        let ids = GroupedPicture::of(segmenter, &seen.picture)?.labels(small.width(), small.height())?;
        for &(block, column) in &places[&seen.index] {
            // K is at most 65535.
            let drawn = spotlight(&small, &ids, survey.shown[block] as u16);
            sheet.put(block, column, &drawn);
        }
        Ok::<(), Error>(())
    })?;
    sheet.write(path)
}

/// The picture as large as fits into a tile.
fn fit(picture: &Picture) -> Picture {
    let long = picture.width().max(picture.height());
    let to = |n: u32| (n * TILE / long).max(1);
    resize(
        picture,
        to(picture.width()),
        to(picture.height()),
        Filter::Bilinear,
    )
}

struct Sheet {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    /// Blocks beside each other.
    across: u32,
    block: (u32, u32),
}

impl Sheet {
    fn new(blocks: usize, top: usize) -> Result<Self, Error> {
        let too_large = || Error::SheetTooLarge {
            prototypes: blocks,
            top,
        };
        let sides = u32::try_from(blocks.max(1)).ok().zip(u32::try_from(top).ok());
        let (blocks, top) = sides.ok_or_else(too_large)?;
        let width = u64::from(top) * u64::from(TILE + GAP) + u64::from(MARGIN);
        let height = u64::from(HEADER + TILE + MARGIN);
        if u64::from(blocks) * width * height > MAX_PIXELS {
            return Err(too_large());
        }
        let block = (width as u32, height as u32);
        // About as wide as high.
        let across = (f64::from(blocks) * f64::from(block.1) / f64::from(block.0))
            .sqrt()
            .round() as u32;
        let across = across.clamp(1, blocks);
        let (width, height) = (
            across * block.0 + MARGIN,
            blocks.div_ceil(across) * block.1 + MARGIN,
        );
        Ok(Self {
            width,
            height,
            rgb: vec![GROUND; width as usize * height as usize * 3],
            across,
            block,
        })
    }

    /// Top left corner of a block's content.
    fn corner(&self, block: usize) -> (u32, u32) {
        let block = block as u32;
        (
            MARGIN + block % self.across * self.block.0,
            MARGIN + block / self.across * self.block.1,
        )
    }

    fn put(&mut self, block: usize, column: usize, picture: &Picture) {
        let (left, top) = self.corner(block);
        let left = left + column as u32 * (TILE + GAP) + (TILE - picture.width()) / 2;
        let top = top + HEADER + (TILE - picture.height()) / 2;
        for (y, row) in picture
            .rgb()
            .chunks_exact(picture.width() as usize * 3)
            .enumerate()
        {
            let at = ((top as usize + y) * self.width as usize + left as usize) * 3;
            self.rgb[at..at + row.len()].copy_from_slice(row);
        }
    }

    fn label(&mut self, block: usize, text: &str) {
        let (left, top) = self.corner(block);
        for (i, c) in text.chars().enumerate() {
            for (y, row) in glyph(c).into_iter().enumerate() {
                for x in (0..5u32).filter(|x| row >> (4 - x) & 1 == 1) {
                    self.dot(left + i as u32 * 12 + 2 * x, top + 4 + 2 * y as u32);
                }
            }
        }
    }

    /// A square of four pixels.
    fn dot(&mut self, x: u32, y: u32) {
        for (x, y) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] {
            if x < self.width && y < self.height {
                let at = (y as usize * self.width as usize + x as usize) * 3;
                self.rgb[at..at + 3].fill(INK);
            }
        }
    }

    fn write(&self, path: &Path) -> Result<(), Error> {
        let mut file = AtomicFile::begin(path)?;
        let mut encoder = png::Encoder::new(file.writer(), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        let written = encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&self.rgb));
        written.map_err(|e| file.fail(e))?;
        Ok(file.finish()?)
    }
}

/// Seven rows of five bits.
fn glyph(c: char) -> [u8; 7] {
    match c {
        '0' => [14, 17, 19, 21, 25, 17, 14],
        '1' => [4, 12, 4, 4, 4, 4, 14],
        '2' => [14, 17, 1, 2, 4, 8, 31],
        '3' => [31, 2, 4, 2, 1, 17, 14],
        '4' => [2, 6, 10, 18, 31, 2, 2],
        '5' => [31, 16, 30, 1, 1, 17, 14],
        '6' => [6, 8, 16, 30, 17, 17, 14],
        '7' => [31, 1, 2, 4, 8, 8, 8],
        '8' => [14, 17, 17, 14, 17, 17, 14],
        '9' => [14, 17, 17, 15, 1, 2, 12],
        '%' => [24, 25, 2, 4, 8, 19, 3],
        '.' => [0, 0, 0, 0, 0, 12, 12],
        '<' => [2, 4, 8, 16, 8, 4, 2],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_about_square_and_bounded() {
        for blocks in [1usize, 7, 32, 256] {
            let sheet = Sheet::new(blocks, 6).unwrap();
            let (last_x, last_y) = sheet.corner(blocks - 1);
            assert!(last_x + sheet.block.0 <= sheet.width && last_y + sheet.block.1 <= sheet.height);
            if blocks > 20 {
                let shape = f64::from(sheet.width) / f64::from(sheet.height);
                assert!((0.6..1.7).contains(&shape), "{blocks}: {shape}");
            }
        }
        assert!(Sheet::new(65_000, 100).is_err());
    }

    #[test]
    fn pictures_and_numbers_are_where_they_belong() {
        let mut sheet = Sheet::new(4, 2).unwrap();
        sheet.put(
            3,
            1,
            &Picture::new(TILE, TILE, vec![9; (TILE * TILE * 3) as usize]),
        );
        let (left, top) = sheet.corner(3);
        let at = |s: &Sheet, x: u32, y: u32| s.rgb[((y * s.width + x) * 3) as usize];
        assert_eq!(at(&sheet, left + TILE + GAP, top + HEADER), 9);
        assert_eq!(at(&sheet, left + 2 * TILE + GAP - 1, top + HEADER + TILE - 1), 9);
        assert_eq!(at(&sheet, left + TILE, top + HEADER), GROUND);
        assert_eq!(
            sheet.rgb.iter().filter(|&&v| v == 9).count(),
            (TILE * TILE * 3) as usize
        );
        sheet.label(0, "1");
        assert_eq!(sheet.rgb.iter().filter(|&&v| v == INK).count(), 3 * 4 * 10);
    }

    #[test]
    fn every_sign_of_a_label_can_be_drawn() {
        let text: String =
            (0..10).map(|d| d.to_string()).collect::<String>() + &percent(0.0123) + &percent(1e-7);
        assert!(
            text.chars().filter(|c| *c != ' ').all(|c| glyph(c) != [0; 7]),
            "{text}"
        );
    }
}
