//! `slotcon segment` as a user runs it: maps, overlays, masks, tiles.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::path::Path;

use common::{Place, fail, slotcon, succeed};
use slotcon_data::labelled::read_label_map;

fn segment(place: &Place, out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = slotcon();
    command.args(["segment", "--device", "cpu", "--checkpoint"]);
    command.arg(place.path("run/checkpoints/last.safetensors"));
    command.arg("--out").arg(out).args(more).arg(place.pictures());
    command
}

#[test]
fn masks_maps_and_tiles() {
    let place = Place::new(4);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let (whole, tiled) = (place.path("whole"), place.path("tiled"));
    succeed(&mut segment(&place, &whole, &["--side", "128", "--masks"]));
    // One tile that holds everything sees what is seen at once.
    succeed(&mut segment(&place, &tiled, &["--side", "128", "--tile", "128"]));
    let mut found = 0;
    for number in 0..4 {
        let name = |folder: &Path, kind: &str| folder.join(format!("{number:06}.png.{kind}"));
        let map = read_label_map(&name(&whole, "labels.png")).unwrap();
        assert_eq!((map.width(), map.height()), (64, 64));
        let one_tile = read_label_map(&name(&tiled, "labels.png")).unwrap();
        let same = map
            .ids()
            .iter()
            .zip(one_tile.ids())
            .filter(|(a, b)| a == b)
            .count();
        assert!(same > 64 * 64 * 99 / 100, "{same} of 4096 pixels are the same");

        let masks: serde_json::Value =
            serde_json::from_slice(&std::fs::read(name(&whole, "masks.json")).unwrap()).unwrap();
        for mask in masks.as_array().unwrap() {
            let group = mask["group"].as_u64().unwrap();
            let pixels = map.ids().iter().filter(|&&id| u64::from(id) == group).count();
            assert_eq!(mask["area"], pixels);
            assert_eq!(mask["segmentation"]["size"], serde_json::json!([64, 64]));
            assert!(!mask["segmentation"]["counts"].as_str().unwrap().is_empty());
            found += pixels;
        }
        assert!(!name(&tiled, "masks.json").exists());
    }
    assert_eq!(found, 4 * 64 * 64, "the masks part the pictures");

    // Several tiles to a picture.
    succeed(&mut segment(&place, &tiled, &["--side", "200", "--tile", "70"]));
    assert_eq!(
        read_label_map(&tiled.join("000000.png.labels.png"))
            .unwrap()
            .width(),
        64
    );

    // Several looks at a picture.
    let often = place.path("often");
    succeed(&mut segment(&place, &often, &["--sides", "64,96", "--mirror"]));
    let map = read_label_map(&often.join("000000.png.labels.png")).unwrap();
    assert_eq!((map.width(), map.height()), (64, 64));
    let said = fail(&mut segment(&place, &often, &["--sides", "64", "--side", "96"]));
    assert!(said.contains("cannot be used with"), "{said}");

    std::fs::write(place.pictures().join("broken.png"), b"no picture").unwrap();
    let said = fail(&mut segment(&place, &whole, &[]));
    assert!(
        said.contains("broken.png") && said.contains("4 pictures"),
        "{said}"
    );
}
