//! Every picture format against Pillow's `convert("RGB")`, and files that are broken or lie.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::{Path, PathBuf};

use slotcon_data::loader::make_pair;
use slotcon_data::picture::{DecodeOptions, decode_rgb, decode_rgb_bytes};
use slotcon_data::rng::{Purpose, Stream};
use slotcon_data::{Augment, AugmentConfig, Picture, PictureError};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

fn read(name: &str, options: &DecodeOptions) -> Picture {
    decode_rgb(&folder().join(name), options).unwrap_or_else(|e| panic!("{name} {e}"))
}

/// Largest and mean difference of the values.
fn gaps(a: &Picture, b: &Picture) -> (u8, f64) {
    let gaps: Vec<u8> = a.rgb().iter().zip(b.rgb()).map(|(x, y)| x.abs_diff(*y)).collect();
    let sum: f64 = gaps.iter().map(|&g| f64::from(g)).sum();
    (gaps.iter().max().copied().unwrap_or(0), sum / gaps.len() as f64)
}

#[test]
fn formats_decode_as_pillow_decodes_them() {
    let mut seen = 0;
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(folder().join("expected")).unwrap() {
        let expected = entry.unwrap().file_name().into_string().unwrap();
        let name = expected.strip_suffix(".png").unwrap();
        let options = DecodeOptions {
            exif_orientation: name.starts_with("exif"),
            ..Default::default()
        };
        let want = read(&format!("expected/{expected}"), &DecodeOptions::default());
        match decode_rgb(&folder().join(name), &options) {
            Err(e) => failed.push(format!("{name} {e}")),
            Ok(got) if (got.width(), got.height()) != (want.width(), want.height()) => {
                failed.push(format!("{name}: {}x{}", got.width(), got.height()));
            }
            Ok(got) => {
                let (most, mean) = gaps(&got, &want);
                println!("{name}: largest difference {most}, mean {mean:.3}");
                if most > 0 {
                    failed.push(format!("{name}: largest difference {most}, mean {mean:.3}"));
                }
            }
        }
        seen += 1;
    }
    assert!(seen >= 35, "only {seen} pictures found");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn orientation_is_left_alone_unless_asked_for() {
    let plain = read("exif1.jpg", &DecodeOptions::default());
    assert_eq!(read("exif6.jpg", &DecodeOptions::default()), plain);
    let turned = read(
        "exif6.jpg",
        &DecodeOptions {
            exif_orientation: true,
            ..Default::default()
        },
    );
    assert_eq!((turned.width(), turned.height()), (plain.height(), plain.width()));
}

/// However a file is cut short, it is refused or, where only the end marker is missing, read: nothing breaks.
#[test]
fn truncated_files_are_refused() {
    for name in [
        "420.jpg",
        "progressive.jpg",
        "gray.jpg",
        "cmyk.jpg",
        "rgb.png",
        "palette.png",
        "lossless.webp",
        "lossy.webp",
        "plain.tiff",
        "lzw.tiff",
        "rgb.bmp",
        "two_frames.gif",
    ] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        // The second half of the GIF is its second frame, which is not wanted.
        let parts: &[usize] = if name.ends_with(".gif") {
            &[1, 2, 3, 4]
        } else {
            &[1, 2, 3, 5, 8, 9]
        };
        for part in parts {
            let cut = &bytes[..bytes.len() * part / 10];
            let result = decode_rgb_bytes(cut, &DecodeOptions::default());
            assert!(result.is_err(), "{name} cut to {part} tenths was taken for whole");
        }
    }
}

#[test]
fn what_is_no_picture_says_so() {
    let options = DecodeOptions::default();
    let reason = |bytes: &[u8]| decode_rgb_bytes(bytes, &options).unwrap_err();
    assert!(matches!(reason(b""), PictureError::Empty));
    assert!(matches!(
        reason(b"plain words, no picture"),
        PictureError::UnknownFormat
    ));
    assert!(matches!(reason(&[0; 4096]), PictureError::UnknownFormat));
    assert!(matches!(
        reason(b"\xff\xd8\xff\xe0garbage"),
        PictureError::Decode { format: "JPEG", .. }
    ));
    assert!(matches!(
        decode_rgb(Path::new("no/such.jpg"), &options),
        Err(PictureError::Io(_))
    ));
    assert!(matches!(
        decode_rgb(&folder(), &options),
        Err(PictureError::Io(_))
    ));
}

#[test]
fn too_many_pixels_are_refused_before_they_are_unpacked() {
    let options = DecodeOptions {
        max_pixels: 1000,
        ..Default::default()
    };
    for name in [
        "420.jpg",
        "rgb.png",
        "lossless.webp",
        "plain.tiff",
        "rgb.bmp",
        "two_frames.gif",
    ] {
        let error = decode_rgb(&folder().join(name), &options).unwrap_err();
        assert!(
            matches!(
                error,
                PictureError::TooLarge {
                    width: 53,
                    height: 37,
                    ..
                }
            ),
            "{name}: {error}"
        );
    }
    // A PNG of 60000 x 60000 claimed pixels in under a hundred bytes.
    let mut bomb = std::fs::read(folder().join("gray.png")).unwrap();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let mut crc = !0u32;
    for &byte in &bomb[12..29] {
        crc ^= u32::from(byte);
        (0..8).for_each(|_| {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        });
    }
    bomb[29..33].copy_from_slice(&(!crc).to_be_bytes());
    let error = decode_rgb_bytes(&bomb, &DecodeOptions::default()).unwrap_err();
    assert!(
        matches!(error, PictureError::TooLarge { width: 60_000, .. }),
        "{error}"
    );
}

#[test]
fn a_picture_without_width_or_height_is_refused() {
    for bytes in [
        &b"P1 0 4\n"[..],
        b"P2 3 0 255\n",
        b"P5 0 0 255\n",
        b"P6\t0\t8 255\n",
    ] {
        let error = decode_rgb_bytes(bytes, &DecodeOptions::default()).unwrap_err();
        assert!(matches!(error, PictureError::NoPixels { .. }), "{error}");
    }
    let error = decode_rgb_bytes(b"P1 0 4\n", &DecodeOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "announces 0 x 4 pixels: there is nothing in it"
    );
}

/// Flipping bytes anywhere must never break the program, whatever comes out.
#[test]
fn damaged_files_break_nothing() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|e| e == "py") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let options = DecodeOptions {
            max_pixels: 1 << 20,
            ..Default::default()
        };
        for round in 0..60usize {
            let mut damaged = bytes.clone();
            for k in 0..=round % 5 {
                let at = (round * 7919 + k * 104_729) % damaged.len();
                damaged[at] ^= (1 + round * 37 % 255) as u8;
            }
            if let Ok(picture) = decode_rgb_bytes(&damaged, &options) {
                assert_eq!(
                    picture.rgb().len(),
                    picture.width() as usize * picture.height() as usize * 3
                );
            }
        }
    }
}

/// One pixel, and a thousandfold narrower than high: views come out whole all the same.
#[test]
fn absurd_shapes_make_views() {
    let augment = Augment::new(AugmentConfig {
        image_size: 32,
        ..Default::default()
    })
    .unwrap();
    for (width, height) in [(1, 1), (1, 10_000), (10_000, 1), (2, 3)] {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let values = vec![77; width as usize * height as usize * 3];
        encoder.write_header().unwrap().write_image_data(&values).unwrap();
        for sample in 0..20 {
            let mut random = Stream::new(0, 0, sample, Purpose::Augment, 0);
            let (plan, views) = make_pair(&file, &augment, &mut random).unwrap();
            for (view, bytes) in plan.views.iter().zip(&views) {
                // One colour stays one colour, whatever is done to it.
                assert!(
                    bytes.chunks_exact(3).all(|p| p == &bytes[..3]),
                    "{width}x{height} {view:?}"
                );
            }
        }
    }
}

/// Files that broke something once: a JPEG whose two EXIF blocks disagree, a PNG with too short a palette.
#[test]
fn odd_files_make_views_or_say_why_not() {
    let augment = Augment::new(AugmentConfig {
        image_size: 32,
        exif_orientation: true,
        ..Default::default()
    })
    .unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder().join("odd")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        files += 1;
        for sample in 0..100 {
            let mut random = Stream::new(0, 0, sample, Purpose::Augment, 0);
            match make_pair(&bytes, &augment, &mut random) {
                Ok((_, views)) => assert!(views.iter().all(|v| v.len() == augment.view_bytes())),
                Err(error) => assert!(!error.to_string().is_empty(), "{}", path.display()),
            }
        }
    }
    assert_eq!(files, 2);
}
