//! Resizing to the shorter side and cutting the centre, as Pillow does it.

use std::path::{Path, PathBuf};

use slotcon_data::labelled::read_label_map;
use slotcon_data::picture::{DecodeOptions, decode_rgb};
use slotcon_data::resize::{resize_labels_short_side_center_crop, resize_short_side_center_crop};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

#[test]
fn pictures_and_labels_equal_pillows() {
    let read = |path: &str| decode_rgb(&folder().join(path), &DecodeOptions::default()).unwrap();
    let labels = |path: &str| read_label_map(&folder().join(path)).unwrap();
    for side in [20, 31, 37, 64] {
        let picture = resize_short_side_center_crop(&read("rgb.png"), side);
        assert_eq!(picture, read(&format!("resized/picture{side}.png")), "{side}");
        let map = resize_labels_short_side_center_crop(&labels("palette.png"), side);
        assert_eq!(map, labels(&format!("resized/labels{side}.png")), "{side}");
    }
}
