//! A folder of scenes on disk, whole or not at all.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::{CLASSES, draw};
use crate::error::{Error, Result};

/// Writes `train` and `val` scenes of `size` x `size` pixels:
/// `images/{train,val}/*.png`, `labels/{train,val}/*.png` (index PNGs of the same names) and `classes.json`.
///
/// The folder appears only when all of it is written. Scene `i` of train is `draw(seed, i, size)`; those of val follow.
///
/// # Errors
/// When `folder` exists already, or writing fails.
pub fn write_folder(folder: &Path, seed: u64, train: u64, val: u64, size: u32) -> Result<()> {
    if folder.exists() {
        let taken = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "is there already");
        return Err(Error::io(folder, taken));
    }
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let part = folder.with_file_name(format!(".{name}.part-{}", std::process::id()));
    let written = write_all(&part, seed, train, val, size)
        .and_then(|()| std::fs::rename(&part, folder).map_err(|e| Error::io(folder, e)));
    if written.is_err() {
        // What is left of a failed attempt helps nobody; the error that counts is the first one.
        let _ = std::fs::remove_dir_all(&part);
    }
    written
}

fn write_all(root: &Path, seed: u64, train: u64, val: u64, size: u32) -> Result<()> {
    for (split, scenes) in [("train", 0..train), ("val", train..train + val)] {
        let [images, labels] = ["images", "labels"].map(|kind| root.join(kind).join(split));
        for folder in [&images, &labels] {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        for index in scenes {
            let (picture, map) = draw(seed, index, size);
            let name = format!("{index:06}.png");
            let ids: Vec<u8> = map.ids().iter().map(|&id| id as u8).collect();
            write_png(&images.join(&name), size, png::ColorType::Rgb, picture.rgb())?;
            write_png(&labels.join(&name), size, png::ColorType::Indexed, &ids)?;
        }
    }
    let classes = serde_json::json!({ "classes": CLASSES, "ignore_index": 255 });
    let path = root.join("classes.json");
    std::fs::write(&path, format!("{classes}\n")).map_err(|e| Error::io(path, e))
}

fn write_png(path: &PathBuf, size: u32, colour: png::ColorType, data: &[u8]) -> Result<()> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), size, size);
    encoder.set_color(colour);
    if colour == png::ColorType::Indexed {
        // Any colours will do to look at; ids are what is read.
        encoder.set_palette(
            (0..=255u8)
                .flat_map(|i| [37, 91, 151].map(|f| i.wrapping_mul(f)))
                .collect::<Vec<u8>>(),
        );
    }
    let failed = |e: png::EncodingError| Error::io(path, std::io::Error::from(e));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(data).map_err(failed)?;
    writer.finish().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labelled::read_label_map;
    use crate::picture::{DecodeOptions, decode_rgb};

    #[test]
    fn a_written_folder_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("scenes");
        write_folder(&root, 3, 2, 1, 48).unwrap();
        for (split, index) in [("train", 0), ("train", 1), ("val", 2)] {
            let (picture, map) = draw(3, index, 48);
            let at = |kind: &str| root.join(kind).join(split).join(format!("{index:06}.png"));
            assert_eq!(
                decode_rgb(&at("images"), &DecodeOptions::default()).unwrap(),
                picture
            );
            assert_eq!(read_label_map(&at("labels")).unwrap(), map);
        }
        let classes: serde_json::Value =
            serde_json::from_slice(&std::fs::read(root.join("classes.json")).unwrap()).unwrap();
        assert_eq!(classes["classes"].as_array().unwrap().len(), CLASSES.len());
        assert!(
            write_folder(&root, 3, 1, 1, 8)
                .unwrap_err()
                .to_string()
                .contains("already")
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
