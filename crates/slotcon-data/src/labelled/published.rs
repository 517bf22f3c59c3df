//! Classes of published data sets.

use super::Classes;

const IGNORED: u16 = 255;

fn classes(names: &[&str], things: Option<usize>, ids: Option<Vec<u16>>) -> Classes {
    Classes {
        classes: names.iter().map(|&name| name.to_owned()).collect(),
        ignore_index: IGNORED,
        things,
        ids,
        palette: None,
    }
}

/// COCO-Stuff's 182 fine ids as the 27 super-categories of IIC and PiCIE.
pub(super) fn cocostuff27() -> Classes {
    let ids = FINE_TO_COARSE.map(u16::from).into();
    classes(&COCOSTUFF27, Some(12), Some(ids))
}

const COCOSTUFF27: [&str; 27] = [
    "electronic",
    "appliance",
    "food",
    "furniture",
    "indoor",
    "kitchen",
    "accessory",
    "animal",
    "outdoor",
    "person",
    "sports",
    "vehicle",
    "ceiling",
    "floor",
    "food-stuff",
    "furniture-stuff",
    "raw-material",
    "textile",
    "wall",
    "window",
    "building",
    "ground",
    "plant",
    "sky",
    "solid",
    "structural",
    "water",
];

const FINE_TO_COARSE: [u8; 182] = [
    9, 11, 11, 11, 11, 11, 11, 11, 11, 8, 8, 8, 8, 8, 8, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 6, 6, 6, 6,
    6, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 5, 5, 5, 5, 5, 5, 5, 5, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 4, 4, 4, 4, 4, 4, 4, 4, 17, 17, 22, 20, 20, 22,
    15, 25, 16, 13, 12, 12, 17, 17, 23, 15, 15, 17, 15, 21, 15, 25, 13, 13, 13, 13, 13, 22, 26, 14, 14, 15,
    22, 21, 21, 24, 20, 22, 15, 17, 16, 15, 22, 24, 21, 17, 25, 16, 21, 17, 22, 16, 21, 21, 25, 21, 26, 21,
    24, 20, 17, 14, 21, 26, 15, 23, 20, 21, 24, 15, 24, 22, 25, 15, 20, 17, 17, 22, 14, 18, 18, 18, 18, 18,
    18, 18, 26, 26, 19, 19, 24,
];

/// Cityscapes' 27 classes with ids 7 to 33, as PiCIE measures: the others are void.
pub(super) fn cityscapes27() -> Classes {
    // Things first, so that they can be measured apart.
    const IDS: [(u16, &str); 27] = [
        (24, "person"),
        (25, "rider"),
        (26, "car"),
        (27, "truck"),
        (28, "bus"),
        (29, "caravan"),
        (30, "trailer"),
        (31, "train"),
        (32, "motorcycle"),
        (33, "bicycle"),
        (7, "road"),
        (8, "sidewalk"),
        (9, "parking"),
        (10, "rail track"),
        (11, "building"),
        (12, "wall"),
        (13, "fence"),
        (14, "guard rail"),
        (15, "bridge"),
        (16, "tunnel"),
        (17, "pole"),
        (18, "polegroup"),
        (19, "traffic light"),
        (20, "traffic sign"),
        (21, "vegetation"),
        (22, "terrain"),
        (23, "sky"),
    ];
    by_id(&IDS, Some(10))
}

/// Classes by their id in the files; every other id is ignored.
fn by_id(named: &[(u16, &str)], things: Option<usize>) -> Classes {
    let mut ids = vec![IGNORED; 256];
    for (class, (id, _)) in (0u16..).zip(named) {
        ids[usize::from(*id)] = class;
    }
    let names = Vec::from_iter(named.iter().map(|(_, name)| *name));
    classes(&names, things, Some(ids))
}

/// Cityscapes' 19 classes of its own benchmark, by the ids of `labelIds` (cityscapesScripts' `labels.py`).
pub(super) fn cityscapes19() -> Classes {
    by_id(&CITYSCAPES19, None)
}

/// The same by the numbers of `labelTrainIds`, which are the classes themselves.
pub(super) fn cityscapes_train_ids() -> Classes {
    classes(&CITYSCAPES19.map(|(_, name)| name), None, None)
}

/// Id in `labelIds` and name.
const CITYSCAPES19: [(u16, &str); 19] = [
    (7, "road"),
    (8, "sidewalk"),
    (11, "building"),
    (12, "wall"),
    (13, "fence"),
    (17, "pole"),
    (19, "traffic light"),
    (20, "traffic sign"),
    (21, "vegetation"),
    (22, "terrain"),
    (23, "sky"),
    (24, "person"),
    (25, "rider"),
    (26, "car"),
    (27, "truck"),
    (28, "bus"),
    (31, "train"),
    (32, "motorcycle"),
    (33, "bicycle"),
];

/// PASCAL VOC: the background and 20 things.
pub(super) fn voc() -> Classes {
    const NAMES: [&str; 21] = [
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ];
    classes(&NAMES, None, None)
}

/// ADE20K's 150 classes of SceneParsing; id 0 is none of them.
pub(super) fn ade20k() -> Classes {
    let ids = std::iter::once(IGNORED).chain(0..150).collect();
    classes(&ADE20K, None, Some(ids))
}

const ADE20K: [&str; 150] = [
    "wall",
    "building",
    "sky",
    "floor",
    "tree",
    "ceiling",
    "road",
    "bed",
    "windowpane",
    "grass",
    "cabinet",
    "sidewalk",
    "person",
    "earth",
    "door",
    "table",
    "mountain",
    "plant",
    "curtain",
    "chair",
    "car",
    "water",
    "painting",
    "sofa",
    "shelf",
    "house",
    "sea",
    "mirror",
    "rug",
    "field",
    "armchair",
    "seat",
    "fence",
    "desk",
    "rock",
    "wardrobe",
    "lamp",
    "bathtub",
    "railing",
    "cushion",
    "base",
    "box",
    "column",
    "signboard",
    "chest of drawers",
    "counter",
    "sand",
    "sink",
    "skyscraper",
    "fireplace",
    "refrigerator",
    "grandstand",
    "path",
    "stairs",
    "runway",
    "case",
    "pool table",
    "pillow",
    "screen door",
    "stairway",
    "river",
    "bridge",
    "bookcase",
    "blind",
    "coffee table",
    "toilet",
    "flower",
    "book",
    "hill",
    "bench",
    "countertop",
    "stove",
    "palm",
    "kitchen island",
    "computer",
    "swivel chair",
    "boat",
    "bar",
    "arcade machine",
    "hovel",
    "bus",
    "towel",
    "light",
    "truck",
    "tower",
    "chandelier",
    "awning",
    "streetlight",
    "booth",
    "television receiver",
    "airplane",
    "dirt track",
    "apparel",
    "pole",
    "land",
    "bannister",
    "escalator",
    "ottoman",
    "bottle",
    "buffet",
    "poster",
    "stage",
    "van",
    "ship",
    "fountain",
    "conveyer belt",
    "canopy",
    "washer",
    "plaything",
    "swimming pool",
    "stool",
    "barrel",
    "basket",
    "waterfall",
    "tent",
    "bag",
    "minibike",
    "cradle",
    "oven",
    "ball",
    "food",
    "step",
    "tank",
    "trade name",
    "microwave",
    "pot",
    "animal",
    "bicycle",
    "lake",
    "dishwasher",
    "screen",
    "blanket",
    "sculpture",
    "hood",
    "sconce",
    "vase",
    "traffic light",
    "tray",
    "ashcan",
    "fan",
    "pier",
    "crt screen",
    "plate",
    "monitor",
    "bulletin board",
    "shower",
    "radiator",
    "glass",
    "clock",
    "flag",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_classes_are_whole() {
        for (made, count) in [
            (cocostuff27(), 27),
            (cityscapes27(), 27),
            (cityscapes19(), 19),
            (cityscapes_train_ids(), 19),
            (voc(), 21),
            (ade20k(), 150),
        ] {
            made.check().unwrap();
            assert_eq!(made.classes.len(), count);
            let distinct: std::collections::HashSet<_> = made.classes.iter().collect();
            assert_eq!(distinct.len(), count);
            let of_ids: std::collections::HashSet<u16> =
                (0..256).filter_map(|id| made.class_of(id)).collect();
            assert!((0..count as u16).all(|class| of_ids.contains(&class)));
        }
        let city = cityscapes27();
        assert_eq!(city.classes[usize::from(city.class_of(7).unwrap())], "road");
        assert_eq!(
            (city.class_of(6), city.class_of(34)),
            (Some(IGNORED), Some(IGNORED))
        );
        let ade = ade20k();
        assert_eq!(
            (
                ade.class_of(0),
                ade.class_of(1),
                ade.class_of(150),
                ade.class_of(151)
            ),
            (Some(IGNORED), Some(0), Some(149), None)
        );
    }
}
