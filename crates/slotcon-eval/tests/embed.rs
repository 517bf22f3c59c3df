//! Embeddings are read back by others' readers and compared with what the network says.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use slotcon::method::Branch;
use slotcon::recipe::{Recipe, TaskRecipe};
use slotcon_data::Layout;
use slotcon_eval::embed::{Config, Number, What, write};
use slotcon_eval::pictures::Silent;
use slotcon_eval::{Error, InputConfig, Pictures, Segmenter};
use tch::{Device, Kind, Tensor};

fn segmenter() -> Segmenter {
    let settings = ["model.dim_hidden=24", "model.dim_out=12", "model.prototypes=6"].map(String::from);
    let recipe = Recipe::load("small", &settings).unwrap();
    Segmenter::from_recipe(&recipe, Branch::Teacher, Device::Cpu).unwrap()
}

/// Seven scenes, one of them replaced by something that is no picture.
fn folder(place: &Path) -> PathBuf {
    slotcon_data::scenes::write_folder(&place.join("scenes"), 1, 7, 1, 64).unwrap();
    let folder = place.join("scenes/images/train");
    std::fs::write(folder.join("000002.png"), "no picture").unwrap();
    folder
}

fn pictures(folder: &Path, square: bool) -> Pictures {
    let input = match square {
        true => InputConfig::squares(64),
        false => InputConfig {
            side: 64,
            ..InputConfig::default()
        },
    };
    Pictures::open(&[folder.to_path_buf()], Layout::Folder, input, None).unwrap()
}

fn config(what: What, number: Number) -> Config {
    Config {
        what,
        number,
        batch: 4,
        source: "run \"one\"\n/last.safetensors".into(),
    }
}

/// The network's answer for one picture, all arrays flat.
fn expected(segmenter: &Segmenter, pictures: &Pictures, index: usize) -> (Tensor, Tensor, Tensor) {
    let seen = pictures.load(index).unwrap();
    let groups = segmenter.groups(&[seen.picture]).unwrap();
    let counting = groups.active();
    (groups.features.squeeze_dim(0).tr(), groups.slots, counting)
}

fn floats(bytes: &[u8], kind: Kind, count: usize) -> Vec<f32> {
    let tensor = Tensor::f_from_data_size(bytes, &[count as i64], kind).unwrap();
    Vec::try_from(tensor.to_kind(Kind::Float)).unwrap()
}

fn near(found: &[f32], expected: &Tensor, tolerance: f32) {
    let expected: Vec<f32> = Vec::try_from(expected.to_kind(Kind::Float).flatten(0, -1)).unwrap();
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-6f32, |a, b| a.max(b.abs()));
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() <= tolerance * scale, "{a} for {b}");
    }
}

/// Numbers of the usable pictures.
const ROWS: [usize; 6] = [0, 1, 3, 4, 5, 6];

fn names(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check_names(text: &str) {
    let names = names(text);
    let found: Vec<&str> = names.iter().map(|n| n["name"].as_str().unwrap()).collect();
    assert_eq!(found, ROWS.map(|i| format!("{i:06}.png")));
    assert!(names.iter().all(|n| n["width"] == 64 && n["height"] == 64));
}

#[test]
fn dense_features_in_safetensors() {
    let place = tempfile::tempdir().unwrap();
    let (segmenter, folder) = (segmenter(), folder(place.path()));
    let pictures = pictures(&folder, true);
    for (number, dtype, kind, tolerance) in [
        (Number::F32, Dtype::F32, Kind::Float, 1e-4),
        (Number::F16, Dtype::F16, Kind::Half, 2e-3),
    ] {
        let path = place.path().join("dense.safetensors");
        let written = write(
            &path,
            &segmenter,
            &pictures,
            &config(What::Dense, number),
            &mut Silent,
        )
        .unwrap();
        // Output stride 16: 64 pixels are 4 places.
        assert_eq!(
            (written.rows, written.bad, written.shape),
            (6, 1, vec![6, 12, 4, 4])
        );
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let dense = file.tensor("dense").unwrap();
        assert_eq!(
            (dense.dtype(), dense.shape()),
            (dtype, [6usize, 12, 4, 4].as_slice())
        );
        let found = floats(dense.data(), kind, 6 * 12 * 16);
        for (row, &index) in found.chunks_exact(12 * 16).zip(&ROWS) {
            near(row, &expected(&segmenter, &pictures, index).0, tolerance);
        }
        check_names(std::str::from_utf8(file.tensor("names").unwrap().data()).unwrap());
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let about: Value =
            serde_json::from_str(&header.metadata().as_ref().unwrap()["slotcon_embed"]).unwrap();
        assert_eq!(about["rows"], 6);
        assert_eq!(about["checkpoint"], "run \"one\"\n/last.safetensors");
        assert_eq!(
            (&about["what"], &about["network"]),
            (&"dense".into(), &"teacher".into())
        );
    }
    // Nothing but the file and the scenes.
    let left: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|n| n.to_string_lossy().contains("unfinished")),
        "{left:?}"
    );
}

#[test]
fn slots_and_which_of_them_count() {
    let place = tempfile::tempdir().unwrap();
    let (segmenter, folder) = (segmenter(), folder(place.path()));
    let pictures = pictures(&folder, true);
    let path = place.path().join("slots.safetensors");
    write(
        &path,
        &segmenter,
        &pictures,
        &config(What::Slots, Number::F32),
        &mut Silent,
    )
    .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (slots, counting) = (file.tensor("slots").unwrap(), file.tensor("counting").unwrap());
    assert_eq!(
        (slots.shape(), counting.shape()),
        ([6usize, 6, 12].as_slice(), [6usize, 6].as_slice())
    );
    assert_eq!(counting.dtype(), Dtype::U8);
    let found = floats(slots.data(), Kind::Float, 6 * 72);
    for (i, &index) in ROWS.iter().enumerate() {
        let (_, slots, counts) = expected(&segmenter, &pictures, index);
        near(&found[i * 72..][..72], &slots, 1e-4);
        let counts: Vec<u8> = Vec::try_from(counts.to_kind(Kind::Uint8).flatten(0, -1)).unwrap();
        assert_eq!(counting.data()[i * 6..][..6], counts);
        assert!(counts.contains(&1));
    }
}

/// Header and data of an npy file.
fn npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0);
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    (header, bytes[10 + length..].to_vec())
}

#[test]
fn npy_with_names_beside() {
    let place = tempfile::tempdir().unwrap();
    let (segmenter, folder) = (segmenter(), folder(place.path()));
    let pictures = pictures(&folder, true);
    let path = place.path().join("pooled.npy");
    write(
        &path,
        &segmenter,
        &pictures,
        &config(What::Global, Number::F32),
        &mut Silent,
    )
    .unwrap();
    let (header, data) = npy(&path);
    assert!(
        header.contains("'<f4'") && header.contains("'shape': (6, 512,)"),
        "{header}"
    );
    assert_eq!(data.len(), 6 * 512 * 4);
    let found = floats(&data, Kind::Float, 6 * 512);
    let distinct = found.chunks_exact(512).any(|row| row != &found[..512]);
    assert!(distinct && found.iter().all(|v| v.is_finite()));
    check_names(&std::fs::read_to_string(place.path().join("pooled.names.jsonl")).unwrap());

    let path = place.path().join("slots.npy");
    write(
        &path,
        &segmenter,
        &pictures,
        &config(What::Slots, Number::F16),
        &mut Silent,
    )
    .unwrap();
    assert!(npy(&path).0.contains("'<f2'"));
    let (header, data) = npy(&place.path().join("slots.counting.npy"));
    assert!(
        header.contains("'|u1'") && header.contains("(6, 6,)") && data.len() == 36,
        "{header}"
    );
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (segmenter, folder) = (segmenter(), folder(place.path()));
    let dense = config(What::Dense, Number::F32);
    let fails = |pictures: &Pictures, name: &str| {
        let error = write(
            &place.path().join(name),
            &segmenter,
            pictures,
            &dense,
            &mut Silent,
        )
        .unwrap_err();
        assert!(!place.path().join(name).exists());
        error
    };
    assert!(
        fails(&pictures(&folder, true), "a.csv")
            .to_string()
            .contains(".safetensors or .npy")
    );
    assert!(matches!(
        fails(&pictures(&folder, false), "a.npy"),
        Error::Argument(_)
    ));
    assert!(
        fails(&pictures(&folder, true), "none/a.npy")
            .to_string()
            .contains("none/a")
    );
    for i in 0..7 {
        std::fs::write(folder.join(format!("{i:06}.png")), "").unwrap();
    }
    let error = fails(&pictures(&folder, true), "a.safetensors");
    assert!(matches!(error, Error::NoPicture { tried: 7, .. }), "{error}");
}
