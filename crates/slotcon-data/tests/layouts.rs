//! Pictures and labels found in the layouts in which data sets are published.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::fs;
use std::path::PathBuf;

use slotcon_data::labelled::{Classes, LabelLayout, NameList, Pair, pairs};
use slotcon_data::picture::DecodeOptions;
use slotcon_data::{Error, LabelMap};
use tempfile::TempDir;

/// Three scenes of 32 pixels and their label maps, under whatever names.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        slotcon_data::scenes::write_folder(&folder.path().join("scenes"), 1, 3, 1, 32).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, scene: usize, kind: &str, name: &str) {
        let to = self.path(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(self.path(&format!("scenes/{kind}/train/{scene:06}.png")), to).unwrap();
    }

    /// A label map of 32 pixels whose pixels are `ids` in turn.
    fn labels(&self, name: &str, ids: &[u8]) -> PathBuf {
        let to = self.path(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let ids: Vec<u8> = ids.iter().copied().cycle().take(32 * 32).collect();
        let mut encoder = png::Encoder::new(fs::File::create(&to).unwrap(), 32, 32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&ids).unwrap();
        to
    }

    fn pairs(&self, layout: LabelLayout, list: Option<&NameList>) -> Result<Vec<Pair>, Error> {
        pairs(&self.path("images"), &self.path("labels"), layout, list)
    }
}

fn names(pairs: &[Pair]) -> Vec<String> {
    let mut names: Vec<String> = pairs
        .iter()
        .map(|pair| pair.picture.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn classes_of(pair: &Pair, classes: &Classes) -> Vec<u16> {
    let (_, labels): (_, LabelMap) = pair.load(32, classes, &DecodeOptions::default()).unwrap();
    labels.ids()[..4].to_vec()
}

#[test]
fn index_maps_have_the_pictures_names() {
    let place = Place::new();
    for scene in 0..3 {
        place.put(scene, "images", &format!("images/part/{scene}.png"));
        place.put(scene, "labels", &format!("labels/part/{scene}.png"));
    }
    let found = place.pairs(LabelLayout::Index, None).unwrap();
    assert_eq!(names(&found), ["0.png", "1.png", "2.png"]);

    fs::write(place.path("list.txt"), "part/2\n\n0\n0\n").unwrap();
    let list = NameList::open(&place.path("list.txt")).unwrap();
    let chosen = place.pairs(LabelLayout::Index, Some(&list)).unwrap();
    let order: Vec<_> = chosen
        .iter()
        .map(|p| p.picture.file_stem().unwrap().to_owned())
        .collect();
    assert_eq!(order, ["2", "0"]);

    fs::write(place.path("list.txt"), "7\n").unwrap();
    let list = NameList::open(&place.path("list.txt")).unwrap();
    let said = place
        .pairs(LabelLayout::Index, Some(&list))
        .unwrap_err()
        .to_string();
    assert!(said.contains("list.txt") && said.contains("names 7"), "{said}");
    fs::write(place.path("list.txt"), "\n").unwrap();
    assert!(NameList::open(&place.path("list.txt")).is_err());

    fs::remove_file(place.path("labels/part/1.png")).unwrap();
    let said = place.pairs(LabelLayout::Index, None).unwrap_err().to_string();
    assert!(said.contains("1.png") && said.contains("no label map"), "{said}");
}

#[test]
fn cityscapes() {
    let place = Place::new();
    place.put(0, "images", "images/bonn/bonn_1_leftImg8bit.png");
    for other in ["color", "instanceIds"] {
        place.put(0, "labels", &format!("labels/bonn/bonn_1_gtFine_{other}.png"));
    }
    place.labels("labels/bonn/bonn_1_gtFine_labelIds.png", &[7, 33, 4, 24]);
    let found = place.pairs(LabelLayout::Cityscapes, None).unwrap();
    assert_eq!(found.len(), 1);
    let classes = LabelLayout::Cityscapes.classes().unwrap();
    let ids = classes_of(&found[0], &classes);
    let of = |name: &str| classes.classes.iter().position(|c| c == name).unwrap() as u16;
    assert_eq!(ids, [of("road"), of("bicycle"), 255, of("person")]);
    assert!(
        usize::from(of("person")) < classes.things.unwrap()
            && usize::from(of("road")) >= classes.things.unwrap()
    );
}

#[test]
fn voc_leaves_out_pictures_without_labels() {
    let place = Place::new();
    for scene in 0..3 {
        place.put(scene, "images", &format!("images/2007_{scene}.png"));
    }
    place.labels("labels/2007_1.png", &[0, 20, 255, 3]);
    let found = place.pairs(LabelLayout::Voc, None).unwrap();
    assert_eq!(names(&found), ["2007_1.png"]);
    let classes = LabelLayout::Voc.classes().unwrap();
    assert_eq!(classes_of(&found[0], &classes), [0, 20, 255, 3]);
    place.labels("labels/2007_1.png", &[21]);
    let said = found[0]
        .load(32, &classes, &DecodeOptions::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("2007_1.png") && said.contains("id 21"), "{said}");
    fs::remove_file(place.path("labels/2007_1.png")).unwrap();
    place.labels("labels/other.png", &[0]);
    let said = place.pairs(LabelLayout::Voc, None).unwrap_err().to_string();
    assert!(said.contains("no picture with a label map"), "{said}");
}

#[test]
fn ade20k_and_cocostuff_map_their_ids() {
    let place = Place::new();
    place.put(0, "images", "images/a.png");
    place.labels("labels/a.png", &[0, 1, 150, 13]);
    let ade = LabelLayout::Ade20k.classes().unwrap();
    let found = place.pairs(LabelLayout::Ade20k, None).unwrap();
    assert_eq!(classes_of(&found[0], &ade), [255, 0, 149, 12]);
    assert_eq!(ade.classes[12], "person");

    place.labels("labels/a.png", &[0, 181, 255, 105]);
    let stuff = LabelLayout::CocoStuff.classes().unwrap();
    let ids = classes_of(&found[0], &stuff);
    assert_eq!(stuff.classes[usize::from(ids[0])], "person");
    assert_eq!((ids[1], ids[2]), (24, 255));
}

#[test]
fn the_curated_list_is_found_beside_the_pictures() {
    let place = Place::new();
    for scene in 0..3 {
        place.put(scene, "images", &format!("root/images/val2017/{scene}.png"));
        place.put(scene, "labels", &format!("root/annotations/val2017/{scene}.png"));
    }
    let pictures = place.path("root/images/val2017");
    assert_eq!(NameList::curated(&pictures).unwrap(), None);
    let list = place.path("root/curated/val2017/Coco164kFull_Stuff_Coarse_7.txt");
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    fs::write(&list, "1\n2\n").unwrap();
    let list = NameList::curated(&pictures).unwrap().unwrap();
    let labels = place.path("root/annotations/val2017");
    let found = pairs(&pictures, &labels, LabelLayout::CocoStuff, Some(&list)).unwrap();
    assert_eq!(names(&found), ["1.png", "2.png"]);
}
