//! Pictures from lists, tar files, patterns and mixtures; files that are never read to their end.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slotcon_data::picture::{DecodeOptions, decode_rgb, decode_rgb_bytes};
use slotcon_data::{AugmentConfig, Dataset, Error, Layout, Loader, LoaderConfig, PairMaker};

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

/// A tar file of some test pictures under new names, with what WebDataset puts beside them.
fn write_shard(path: &Path, names: &[&str]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    };
    let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
    for name in names {
        add(
            &format!("{stem}-{name}"),
            &std::fs::read(pictures().join(name)).unwrap(),
        );
        add(&format!("{stem}-{name}.cls"), b"7");
    }
    // A name longer than a plain header holds.
    let long = format!("{}/{}.jpg", "folder".repeat(20), "name".repeat(20));
    add(&long, &std::fs::read(pictures().join("444.jpg")).unwrap());
    tar.finish().unwrap();
}

fn open(roots: &[&Path]) -> Result<Dataset, Error> {
    Dataset::open(
        &roots.iter().map(|p| p.to_path_buf()).collect::<Vec<_>>(),
        Layout::Folder,
    )
}

#[test]
fn tar_files_hold_the_same_pictures_as_folders() {
    let dir = tempfile::tempdir().unwrap();
    for shard in 0..3 {
        write_shard(
            &dir.path().join(format!("train-{shard:03}.tar")),
            &["420.jpg", "rgb.png", "lossy.webp"],
        );
    }
    let data = open(&[&dir.path().join("train-{000..002}.tar")]).unwrap();
    assert_eq!((data.len(), data.shards()), (12, vec![0..4, 4..8, 8..12]));
    assert!(data.path(1).ends_with("train-000.tar/train-000-rgb.png"));
    assert!(data.path(11).to_str().unwrap().ends_with("namename.jpg"));
    let mut bytes = Vec::new();
    for (i, name) in [(4, "420.jpg"), (9, "rgb.png"), (2, "lossy.webp"), (7, "444.jpg")] {
        data.read(i, &mut bytes).unwrap();
        let options = DecodeOptions::default();
        let want = decode_rgb(&pictures().join(name), &options).unwrap();
        assert_eq!(decode_rgb_bytes(&bytes, &options).unwrap(), want, "{name}");
    }
}

#[test]
fn lists_and_mixtures() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(pictures().join("rgb.png"), dir.path().join("near.png")).unwrap();
    let list = dir.path().join("list.txt");
    std::fs::write(
        &list,
        format!(
            "near.png\n\n  {}  \nmissing.jpg\n",
            pictures().join("420.jpg").display()
        ),
    )
    .unwrap();
    let shard = dir.path().join("one.tar");
    write_shard(&shard, &["gray.png"]);
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(pictures().join("rgb.bmp"), folder.join("a.bmp")).unwrap();

    let data = open(&[&list, &shard, &folder]).unwrap();
    let names: Vec<String> = (0..data.len())
        .map(|i| data.path(i).file_name().unwrap().to_str().unwrap().to_string())
        .collect();
    assert_eq!(names[..4], ["near.png", "420.jpg", "missing.jpg", "one-gray.png"]);
    assert_eq!((names.len(), names[5].as_str()), (6, "a.bmp"));
    assert!(data.shards().iter().eq([&(3..5)]));

    let config = LoaderConfig {
        batch: 6,
        threads: 2,
        bad_grace: 1000,
        ..Default::default()
    };
    let augment = AugmentConfig {
        image_size: 16,
        ..Default::default()
    };
    let mut loader = Loader::new(Arc::new(data), PairMaker::new(augment).unwrap(), config).unwrap();
    let batch = loader.next().unwrap();
    assert!(batch.bad[0].path.ends_with("missing.jpg"), "{:?}", batch.bad);
}

#[test]
fn broken_tar_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let shard = dir.path().join("x.tar");
    write_shard(&shard, &["rgb.bmp", "plain.tiff"]);
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &whole[..3000]).unwrap();
    let error = open(&[&shard]).unwrap_err();
    assert!(
        matches!(error, Error::Shard { .. }) && error.to_string().contains("x.tar"),
        "{error}"
    );
    std::fs::write(&shard, vec![b'?'; 5000]).unwrap();
    assert!(matches!(open(&[&shard]), Err(Error::Shard { .. })));
    std::fs::write(dir.path().join("x.tar.gz"), b"").unwrap();
    let error = open(&[&dir.path().join("x.tar.gz")]).unwrap_err().to_string();
    assert!(error.contains("not compressed"), "{error}");
}

#[test]
fn a_file_that_is_never_read_to_its_end_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    // Opening a pipe for reading waits until somebody writes: here, for ever.
    let pipe = dir.path().join("stalled.jpg");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let good = ["420.jpg", "444.jpg", "gray.jpg", "rgb.png"].map(|n| pictures().join(n));
    let data = Dataset::from_paths(good.iter().chain([&pipe]));
    let config = LoaderConfig {
        batch: 5,
        threads: 1,
        read_timeout: Duration::from_millis(300),
        max_bad_fraction: 0.5,
        ..Default::default()
    };
    let augment = AugmentConfig {
        image_size: 16,
        ..Default::default()
    };
    let mut loader = Loader::new(Arc::new(data), PairMaker::new(augment).unwrap(), config).unwrap();
    for _ in 0..3 {
        let batch = loader.next().unwrap();
        assert!(batch.bad[0].path.ends_with("stalled.jpg") && batch.bad[0].reason.contains("0.3 seconds"));
        assert!(!batch.indices.contains(&4));
    }
    // Nobody waits for the thread that still reads: the pipe has no writer, so this would never end.
    drop(loader);
}

#[test]
fn ten_thousand_files_are_listed_in_order() {
    let files = 10_000;
    let dir = tempfile::tempdir().unwrap();
    for folder in 0..files / 1000 {
        let folder = dir.path().join(format!("{folder:03}"));
        std::fs::create_dir(&folder).unwrap();
        for file in 0..1000 {
            std::fs::File::create(folder.join(format!("{file:06}.jpg"))).unwrap();
        }
    }
    let data = open(&[dir.path()]).unwrap();
    assert_eq!(data.len(), files);
    assert!(
        data.path(files - 1)
            .ends_with(format!("{:03}/000999.jpg", files / 1000 - 1))
    );
}
