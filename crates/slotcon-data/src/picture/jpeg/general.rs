//! The rare kinds of JPEG: progressive, arithmetic, CMYK, RGB, any subsampling, scans in any order; and a verdict on what is
//! broken. The pixels are libjpeg-turbo's, computed by its own code (in the crate `mozjpeg`), and so equal Pillow's.

use std::cell::Cell;
use std::ffi::c_int;
use std::panic::resume_unwind;

use image::metadata::Orientation;
use mozjpeg::{ColorSpace, Decompress};
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr};

use super::segments::Segments;
use crate::error::PictureError;
use crate::picture::{DecodeOptions, Picture, check_size, orient};

thread_local! {
    /// Whether the decoder has met damaged data on this thread; libjpeg warns of it and goes on with what it guesses.
    static DAMAGED: Cell<bool> = const { Cell::new(false) };
}

extern "C-unwind" fn note_damage(_: &mut jpeg_common_struct, level: c_int) {
    if level < 0 {
        DAMAGED.set(true);
    }
}

/// libjpeg wants this call not to come back.
extern "C-unwind" fn give_up(_: &mut jpeg_common_struct) {
    resume_unwind(Box::new("refused"));
}

extern "C-unwind" fn forget(_: &mut jpeg_common_struct) {}

/// Ends decoding at an error, without a word; notes damage.
fn errors() -> jpeg_error_mgr {
    jpeg_error_mgr {
        error_exit: Some(give_up),
        emit_message: Some(note_damage),
        output_message: Some(forget),
        format_message: None,
        reset_error_mgr: Some(forget),
        msg_code: 0,
        msg_parm: Default::default(),
        trace_level: 0,
        num_warnings: 0,
        jpeg_message_table: std::ptr::null(),
        last_jpeg_message: 0,
        addon_message_table: std::ptr::null(),
        first_addon_message: 0,
        last_addon_message: 0,
    }
}

fn broken(reason: &str) -> PictureError {
    PictureError::Decode {
        format: "JPEG",
        reason: reason.to_owned(),
    }
}

const DAMAGE: &str = "its compressed data is damaged or cut short";

/// Decodes into `buffer`'s memory.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
    buffer: Vec<u8>,
) -> Result<(Picture, Orientation), PictureError> {
    let segments = Segments::read(bytes)?;
    DAMAGED.set(false);
    let decoded = crate::caught::catch(|| pixels(&segments, options, buffer));
    let picture = decoded.unwrap_or_else(|_| {
        Err(broken(match segments.components {
            0 => "it has no frame: nothing says what its pixels are",
            1 | 3 | 4 => DAMAGE,
            _ => "its number of colours is none of 1, 3 and 4",
        }))
    })?;
    if DAMAGED.get() {
        return Err(broken(DAMAGE));
    }
    let found = segments
        .exif
        .as_deref()
        .map_or(Orientation::NoTransforms, orient::of_exif);
    Ok((picture, orient::applied(found, options.exif_orientation)))
}

fn pixels(
    segments: &Segments,
    options: &DecodeOptions,
    mut buffer: Vec<u8>,
) -> Result<Picture, PictureError> {
    let io = |_| broken(DAMAGE);
    let decoder = Decompress::builder().with_err(errors());
    let decoder = decoder.from_mem(&segments.stream).map_err(io)?;
    let (width, height) = decoder.size();
    check_size(width as u64, height as u64, options)?;
    let pixels = width * height;
    let inks = matches!(decoder.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK);
    if inks {
        let mut started = decoder.to_colorspace(ColorSpace::JCS_CMYK).map_err(io)?;
        let mut cmyk = vec![0u8; pixels * 4];
        started.read_scanlines_into(&mut cmyk).map_err(io)?;
        started.finish().map_err(io)?;
        buffer.clear();
        buffer.extend(
            cmyk.chunks_exact(4)
                .flat_map(|inks| rgb_of([inks[0], inks[1], inks[2], inks[3]])),
        );
    } else {
        let mut started = decoder.rgb().map_err(io)?;
        buffer.resize(pixels * 3, 0);
        started.read_scanlines_into(&mut buffer).map_err(io)?;
        started.finish().map_err(io)?;
    }
    Ok(Picture::new(width as u32, height as u32, buffer))
}

/// Red, green and blue of four inks, which JPEG files keep inverted, as Pillow converts them: of a value v and the black k,
/// (255 - k) - (255 - v) (255 - k) / 255.
fn rgb_of([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    // 255 - black, where 255 is no black.
    let light = u32::from(k);
    [c, m, y].map(|value| {
        let ink = 255 - u32::from(value);
        let product = ink * light + 128;
        (light - (((product >> 8) + product) >> 8)) as u8
    })
}
