//! Pictures as bytes: decoding whatever the file holds into 8-bit RGB.

mod jpeg;
mod orient;
mod other;
mod sniff;
mod tiff;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use orient::left_as_they_lie;
pub use sniff::Format;
pub(crate) use sniff::{SNIFF_BYTES, unread_format};

use crate::error::PictureError;
use crate::geometry::{CropBox, Window};

/// An 8-bit RGB picture, `[height, width, 3]`, rows first. Two are equal whose pixels are.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    window: Window,
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height) && self.rgb == other.rgb
    }
}

impl Eq for Picture {}

impl Picture {
    /// A whole picture from its bytes.
    ///
    /// # Panics
    /// When there are not width x height x 3 bytes.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(
            rgb.len(),
            width as usize * height as usize * 3,
            "a picture has width x height x 3 bytes"
        );
        Self {
            width,
            height,
            rgb,
            window: Window::WHOLE,
        }
    }

    /// The same pixels, taken for what `window` shows of a larger picture.
    pub(crate) fn seen_through(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// Which part it shows of the picture that it was cut out of ([`Picture::cut`]).
    pub fn window(&self) -> Window {
        self.window
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, `[height, width, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The bytes alone.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The part of the picture inside a box.
    ///
    /// # Panics
    /// When the box leaves the picture.
    pub fn cut(&self, crop: &CropBox) -> Self {
        let mut rgb = Vec::with_capacity(crop.width as usize * crop.height as usize * 3);
        for y in crop.top..crop.bottom() {
            let start = y as usize * self.width as usize;
            rgb.extend_from_slice(
                &self.rgb[(start + crop.left as usize) * 3..(start + crop.right() as usize) * 3],
            );
        }
        let window = self.window.cut(crop, self.width, self.height);
        Self::new(crop.width, crop.height, rgb).seen_through(window)
    }
}

/// How pictures are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// A picture with more pixels than this is refused before its pixels are unpacked: a file of a few kilobytes can
    /// claim gigabytes.
    pub max_pixels: u64,
    /// Turn the picture as its EXIF orientation says. Off in the official code.
    pub exif_orientation: bool,
}

/// The size at which Pillow, too, refuses a picture (twice its `MAX_IMAGE_PIXELS`).
pub const DEFAULT_MAX_PIXELS: u64 = 178_956_970;

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            max_pixels: DEFAULT_MAX_PIXELS,
            exif_orientation: false,
        }
    }
}

/// Reads and decodes a picture file, whatever its name, into 8-bit RGB: gray is repeated, a palette applied, of 16 bits
/// the higher 8 are kept, CMYK converted, transparency dropped, of several frames the first taken (Pillow's
/// `convert("RGB")`).
///
/// # Errors
/// When the file cannot be read, is no picture, is not whole, or has more than `max_pixels` pixels.
pub fn decode_rgb(path: &Path, options: &DecodeOptions) -> Result<Picture, PictureError> {
    let mut bytes = Vec::new();
    read_into(path, &mut bytes)?;
    decode_rgb_bytes(&bytes, options)
}

/// Reads a whole file into `bytes`, whose memory is used again.
pub(crate) fn read_into(path: &Path, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
    bytes.clear();
    let mut file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory).into());
    }
    file.read_to_end(bytes)?;
    Ok(())
}

/// Decodes a picture from the bytes of its file, see [`decode_rgb`]. A decoder that panics counts as a picture that
/// cannot be used.
///
/// # Errors
/// As [`decode_rgb`], but for reading.
pub fn decode_rgb_bytes(bytes: &[u8], options: &DecodeOptions) -> Result<Picture, PictureError> {
    Ok(decode_and_turn(bytes, options)?.0)
}

/// The same, and whether the picture was turned: then it does not lie in the file as it is here.
///
/// # Errors
/// As [`decode_rgb_bytes`].
pub fn decode_and_turn(bytes: &[u8], options: &DecodeOptions) -> Result<(Picture, bool), PictureError> {
    let mut decoder = Decoder::default();
    decoder.decode_part(bytes, options, |width, height| ((), [whole(width, height); 2]))?;
    Ok((decoder.picture, decoder.turned))
}

/// The memory a thread keeps to decode one picture after another.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    jpeg: jpeg::Memory,
    /// What was decoded last.
    pub(crate) picture: Picture,
    /// Whether it was turned as its EXIF orientation says.
    turned: bool,
}

/// What came of decoding a part of a picture.
#[derive(Debug)]
pub(crate) struct Part<P> {
    /// What the choice of the part gave beside it.
    pub(crate) plan: P,
    /// Where the decoded pixels begin in the whole picture.
    pub(crate) top: u32,
    pub(crate) left: u32,
}

impl Decoder {
    /// Decodes at least the two boxes that `choose` picks once width and height are known; more where the format knows no
    /// parts. Of what is decoded only these boxes hold the picture for certain.
    pub(crate) fn decode_part<P>(
        &mut self,
        bytes: &[u8],
        options: &DecodeOptions,
        choose: impl FnOnce(u32, u32) -> (P, [CropBox; 2]),
    ) -> Result<Part<P>, PictureError> {
        let mut choose = Some(choose);
        let mut plan = None;
        let mut pick = |width, height| {
            let (chosen, wanted) = choose.take()?(width, height);
            plan = Some(chosen);
            Some(wanted)
        };
        let decoded = crate::caught::catch(|| {
            let (top, left) = self.decode(bytes, options, &mut pick)?;
            // Where the whole had to be decoded, the choice is still to be made.
            pick(self.picture.width, self.picture.height);
            Ok((top, left))
        });
        let (top, left) = decoded.unwrap_or_else(|text| {
            // Half-done work is not built upon.
            *self = Self::default();
            Err(PictureError::Panic(text))
        })?;
        let plan = plan.ok_or(PictureError::Empty)?;
        Ok(Part { plan, top, left })
    }

    /// Gives where the decoded pixels begin. `pick` says what is wanted; it may be left unasked.
    fn decode(
        &mut self,
        bytes: &[u8],
        options: &DecodeOptions,
        pick: &mut dyn FnMut(u32, u32) -> Option<[CropBox; 2]>,
    ) -> Result<(u32, u32), PictureError> {
        self.turned = false;
        if bytes.is_empty() {
            return Err(PictureError::Empty);
        }
        let (picture, orientation) = match Format::of(bytes).ok_or_else(|| unknown(bytes))? {
            Format::Jpeg => {
                let buffer = std::mem::take(&mut self.picture.rgb);
                match jpeg::decode(bytes, options, buffer, &mut self.jpeg, pick)? {
                    jpeg::Decoded::Part { picture, top, left } => {
                        self.picture = picture;
                        return Ok((top, left));
                    }
                    jpeg::Decoded::Whole { picture, orientation } => (picture, orientation),
                }
            }
            format => other::decode(bytes, format, options)?,
        };
        // What is not to be applied is none (`orient::applied`).
        self.turned = orientation != image::metadata::Orientation::NoTransforms;
        self.picture = orient::turn(picture, orientation);
        Ok((0, 0))
    }
}

fn unknown(bytes: &[u8]) -> PictureError {
    unread_format(bytes).map_or(PictureError::UnknownFormat, PictureError::Unread)
}

/// The box around a whole picture.
pub(crate) fn whole(width: u32, height: u32) -> CropBox {
    CropBox {
        top: 0,
        left: 0,
        height,
        width,
    }
}

/// Refuses what a header announces if nothing can come of it.
fn check_size(width: u64, height: u64, options: &DecodeOptions) -> Result<(), PictureError> {
    if width == 0 || height == 0 {
        return Err(PictureError::NoPixels { width, height });
    }
    let max_pixels = options.max_pixels;
    if width.saturating_mul(height) > max_pixels {
        return Err(PictureError::TooLarge {
            width,
            height,
            max_pixels,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn parts_equal_the_same_parts_of_the_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
        let options = DecodeOptions::default();
        let mut random = Stream::new(2, 0, 0, Purpose::Scene, 0);
        let mut partial = 0;
        let mut decoder = Decoder::default();
        for name in [
            "444.jpg",
            "422.jpg",
            "420.jpg",
            "411.jpg",
            "440.jpg",
            "gray.jpg",
            "restart.jpg",
            "progressive.jpg",
            "1x1.jpg",
            "rgb.png",
        ] {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            let whole = decode_rgb_bytes(&bytes, &options).unwrap();
            for _ in 0..200 {
                let mut span = |n: u32| {
                    let from = random.below(u64::from(n)) as u32;
                    (from, 1 + random.below(u64::from(n - from)) as u32)
                };
                let mut wanted = || {
                    let ((left, width), (top, height)) = (span(whole.width), span(whole.height));
                    CropBox {
                        top,
                        left,
                        height,
                        width,
                    }
                };
                let boxes = [wanted(), wanted()];
                let part = decoder.decode_part(&bytes, &options, |_, _| ((), boxes)).unwrap();
                partial += usize::from(decoder.picture.rgb.len() < whole.rgb.len());
                for wanted in boxes {
                    let got = decoder.picture.cut(&wanted.seen_from(part.top, part.left));
                    assert_eq!(got, whole.cut(&wanted), "{name} {boxes:?}");
                }
            }
        }
        assert!(partial > 900, "only {partial} parts were decoded as parts");
    }
}
