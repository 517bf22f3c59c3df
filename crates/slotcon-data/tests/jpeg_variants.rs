//! Hundreds of ways to write the same picture as JPEG, decoded to the bytes that Pillow (libjpeg-turbo) gives:
//! `pictures/make_jpeg_variants.py` made them.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use slotcon_data::picture::{DecodeOptions, decode_rgb_bytes};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

/// CRC-32 of the RGB bytes to which a file is decoded, or why it is not.
fn checksum(bytes: &[u8]) -> Result<u32, String> {
    let picture = decode_rgb_bytes(bytes, &DecodeOptions::default());
    picture
        .map(|picture| crc32fast::hash(picture.rgb()))
        .map_err(|e| e.to_string())
}

#[test]
fn every_variant_is_what_pillow_makes_of_it() {
    let expected = std::fs::read(folder().join("jpeg_variants.json")).unwrap();
    let expected: BTreeMap<String, Option<u32>> = serde_json::from_slice(&expected).unwrap();
    let mut archive = tar::Archive::new(std::fs::File::open(folder().join("jpeg_variants.tar")).unwrap());
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let got = checksum(&bytes);
        if got.as_ref().ok() != expected[&name].as_ref() {
            wrong.push(format!("{name}: {got:?}"));
        }
        seen += 1;
    }
    assert_eq!(seen, expected.len());
    assert!(seen > 700, "only {seen} variants");
    assert!(wrong.is_empty(), "{} of {seen}: {wrong:#?}", wrong.len());
}

/// Files of the field: one scan a component with coarse colours, scans in reverse order, arithmetic coding, a frame of a webcam
/// without its Huffman tables, zeros between segments.
#[test]
fn odd_files_are_what_pillow_makes_of_them() {
    for (name, expected) in [
        ("arithmetic.jpg", 0xfcdd6955),
        ("one-scan-a-component-420.jpg", 0xfcdd6955),
        ("one-scan-a-component-440.jpg", 0x4d00ee76),
        ("scans-in-reverse-order.jpg", 0x83f03f38),
        ("webcam-frame-without-huffman-tables.jpg", 0xfcdd6955),
        ("zeros-between-segments.jpg", 0xfcdd6955),
    ] {
        let bytes = std::fs::read(folder().join("odd_jpeg").join(name)).unwrap();
        assert_eq!(checksum(&bytes), Ok(expected), "{name}");
    }
}
