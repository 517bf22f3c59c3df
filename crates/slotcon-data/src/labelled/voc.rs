//! PASCAL VOC 2012 with the pictures that SBD (Semantic Boundaries Dataset) labels besides.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{LabelLayout, NameList, Pair, Splits, pairs};
use crate::error::Error;

/// Where the folder `dataset` of SBD may lie, seen from `VOC2012`.
const SBD: [&str; 5] = [
    "benchmark_RELEASE/dataset",
    "../benchmark_RELEASE/dataset",
    "../../benchmark_RELEASE/dataset",
    "../VOCaug/dataset",
    "../../VOCaug/dataset",
];

/// The splits of the folder `VOC2012`: see [`Splits::open`].
pub(super) fn splits(root: &Path) -> Result<Splits, Error> {
    let lists = root.join("ImageSets/Segmentation");
    let pictures = root.join("JPEGImages");
    let list = |name: &str| NameList::open(&lists.join(name));
    let (train, val) = (list("train.txt")?, list("val.txt")?);
    let own = |list: &NameList| {
        pairs(
            &pictures,
            &root.join("SegmentationClass"),
            LabelLayout::Voc,
            Some(list),
        )
    };
    let mut splits = Splits::of(own(&train)?, own(&val)?);
    let sbd = SBD
        .iter()
        .map(|place| root.join(place))
        .find(|place| place.join("cls").is_dir());
    let augmented = lists.join("aug.txt");
    let names: Vec<String> = if augmented.is_file() {
        NameList::open(&augmented)?.names().to_vec()
    } else if let Some(sbd) = &sbd {
        let known: BTreeSet<&String> = train.names().iter().chain(val.names()).collect();
        let both = [
            NameList::open(&sbd.join("train.txt"))?,
            NameList::open(&sbd.join("val.txt"))?,
        ];
        let all: BTreeSet<&String> = both.iter().flat_map(NameList::names).collect();
        all.into_iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect()
    } else {
        splits.notes.push(format!(
            "neither {} nor SBD's benchmark_RELEASE/dataset is there: only the {} pictures of train.txt are learned from; the \
             augmented set has 10,582",
            augmented.display(),
            splits.train.len()
        ));
        return Ok(splits);
    };
    for name in names {
        splits.train.push(Pair {
            picture: there(&name, "picture", &[Some(pictures.join(format!("{name}.jpg")))])?,
            labels: there(
                &name,
                "label map",
                &[
                    Some(root.join(format!("SegmentationClassAug/{name}.png"))),
                    sbd.as_ref().map(|sbd| sbd.join(format!("cls/{name}.mat"))),
                ],
            )?,
        });
    }
    Ok(splits)
}

/// The first of `places` that is a file.
fn there(name: &str, what: &str, places: &[Option<PathBuf>]) -> Result<PathBuf, Error> {
    let places = Vec::from_iter(places.iter().flatten());
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok((*place).clone()),
        None => {
            let looked = places.iter().map(|place| place.display().to_string());
            Err(Error::labels(
                places.last().map_or_else(PathBuf::new, |place| (*place).clone()),
                format!(
                    "the augmented set names {name}, whose {what} is none of {}",
                    looked.collect::<Vec<_>>().join(", ")
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, bytes: &[u8]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn names(pairs: &[Pair]) -> Vec<String> {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        pairs
            .iter()
            .map(|pair| format!("{} {}", name(&pair.picture), name(&pair.labels)))
            .collect()
    }

    #[test]
    fn the_augmented_set_comes_from_png_masks_or_from_sbd_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("VOC2012");
        let at = |name: &str| root.join(name);
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
        for name in ["a", "b", "c", "d"] {
            write(at(&format!("JPEGImages/{name}.jpg")), PNG);
        }
        write(at("SegmentationClass/a.png"), PNG);
        write(at("SegmentationClass/c.png"), PNG);
        write(at("ImageSets/Segmentation/train.txt"), b"a\n");
        write(at("ImageSets/Segmentation/val.txt"), b"c\n");
        let plain = splits(&root).unwrap();
        assert_eq!(
            (names(&plain.train), names(&plain.val)),
            (vec!["a.jpg a.png".into()], vec!["c.jpg c.png".into()])
        );
        assert!(plain.notes[0].contains("aug.txt"), "{:?}", plain.notes);

        // SBD alone: its lists without VOC's own pictures.
        let sbd = |name: &str| folder.path().join("benchmark_RELEASE/dataset").join(name);
        write(sbd("train.txt"), b"a\nd\n");
        write(sbd("val.txt"), b"b\nc\n");
        for name in ["b", "d"] {
            write(
                sbd(&format!("cls/{name}.mat")),
                include_bytes!("../../tests/sbd/compressed.mat"),
            );
        }
        let augmented = splits(&root).unwrap();
        assert_eq!(
            names(&augmented.train),
            ["a.jpg a.png", "b.jpg b.mat", "d.jpg d.mat"]
        );
        let map = crate::labelled::read_label_map(&augmented.train[1].labels).unwrap();
        assert_eq!(map.ids()[5], 20);

        // A list and masks that are ready come first.
        write(at("ImageSets/Segmentation/aug.txt"), b"b\n");
        write(at("SegmentationClassAug/b.png"), PNG);
        assert_eq!(
            names(&splits(&root).unwrap().train),
            ["a.jpg a.png", "b.jpg b.png"]
        );
        write(at("ImageSets/Segmentation/aug.txt"), b"x\n");
        let said = splits(&root).unwrap_err().to_string();
        assert!(said.contains("names x, whose picture"), "{said}");
        write(at("ImageSets/Segmentation/val.txt"), b"\n");
        let said = splits(&root).unwrap_err().to_string();
        assert!(
            said.contains("val.txt") && said.contains("names no picture"),
            "{said}"
        );
    }
}
