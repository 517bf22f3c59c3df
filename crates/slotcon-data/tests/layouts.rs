//! Pictures and labels found in the layouts in which data sets are published.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::fs;
use std::path::{Path, PathBuf};

use slotcon_data::labelled::{ClassTable, Classes, LabelLayout, NameList, Pair, check_labels, pairs};
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
        pairs(&self.path("images"), &self.path("labels"), layout, list).map(|found| found.all)
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
    let labels: LabelMap = pair
        .load(32, &ClassTable::new(classes).unwrap(), &DecodeOptions::default())
        .unwrap()
        .labels;
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
        .load(32, &ClassTable::new(&classes).unwrap(), &DecodeOptions::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("label 21") && said.contains("21 classes"), "{said}");
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
    let found = pairs(&pictures, &labels, LabelLayout::CocoStuff, Some(&list))
        .unwrap()
        .all;
    assert_eq!(names(&found), ["1.png", "2.png"]);
}

/// What people's label folders are like: names with an ending, maps of another scale, TIFF, colours by a palette, a byte order mark.
#[test]
fn label_folders_as_people_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let picture = |name: &str| {
        let path = root.join("pics").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(&path, 64, 48, png::ColorType::Rgb, &[90; 64 * 48 * 3]);
    };
    picture("0.png");
    picture("1.png");
    let classes = root.join("classes.json");
    let text = "\u{feff}{\"classes\": [\"a\", \"b\"], \"ignore_index\": 255, \"palette\": [[0, 0, 0], [10, 20, 30]]}";
    std::fs::write(&classes, text).unwrap();
    let classes = Classes::open(&classes).unwrap();
    let labels = |kind: &str| root.join(kind);
    let put = |kind: &str, name: &str, width: u32, colour: png::ColorType, data: &[u8]| {
        std::fs::create_dir_all(labels(kind)).unwrap();
        write_png(&labels(kind).join(name), width, width * 3 / 4, colour, data);
    };
    for i in 0..2 {
        put(
            "ending",
            &format!("{i}_labelIds.png"),
            64,
            png::ColorType::Grayscale,
            &[1; 64 * 48],
        );
        put(
            "half",
            &format!("{i}.png"),
            32,
            png::ColorType::Grayscale,
            &[1; 32 * 24],
        );
        put(
            "colours",
            &format!("{i}.png"),
            64,
            png::ColorType::Rgb,
            &[10, 20, 30].repeat(64 * 48),
        );
        std::fs::create_dir_all(labels("tif")).unwrap();
        let file = std::fs::File::create(labels("tif").join(format!("{i}.tif"))).unwrap();
        let mut encoder = tiff::encoder::TiffEncoder::new(file).unwrap();
        encoder
            .write_image::<tiff::encoder::colortype::Gray8>(64, 48, &[1; 64 * 48])
            .unwrap();
    }
    for kind in ["ending", "half", "colours", "tif"] {
        let found = pairs(&root.join("pics"), &labels(kind), LabelLayout::Index, None)
            .unwrap()
            .all;
        assert_eq!(found.len(), 2, "{kind}");
        let summary = check_labels(&found, &ClassTable::new(&classes).unwrap()).unwrap();
        assert_eq!(summary.other_size, if kind == "half" { 2 } else { 0 }, "{kind}");
        assert_eq!(summary.sizes().is_some(), kind == "half");
        for pair in found {
            let table = ClassTable::new(&classes).unwrap();
            let found = pair.load(32, &table, &DecodeOptions::default()).unwrap();
            assert_eq!(found.other_size, kind == "half");
            let (picture, map) = (found.picture, found.labels);
            assert_eq!(
                (picture.width(), picture.height()),
                (map.width(), map.height()),
                "{kind}"
            );
            assert!(map.ids().iter().all(|&id| id == 1), "{kind}");
        }
    }
    put("thin", "0.png", 60, png::ColorType::Grayscale, &[1; 60 * 45]);
    write_png(
        &labels("thin").join("1.png"),
        10,
        48,
        png::ColorType::Grayscale,
        &[1; 480],
    );
    let found = pairs(&root.join("pics"), &labels("thin"), LabelLayout::Index, None)
        .unwrap()
        .all;
    let said = check_labels(&found, &ClassTable::new(&classes).unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("1.png: has 10x48") && said.contains("proportions"),
        "{said}"
    );
    let said = found[1]
        .load(32, &ClassTable::new(&classes).unwrap(), &DecodeOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("10x48") && said.contains("64x48") && said.contains("proportions"),
        "{said}"
    );
}

fn write_png(path: &Path, width: u32, height: u32, colour: png::ColorType, data: &[u8]) {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}
