//! Pictures and the label maps that belong to them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{ClassTable, LabelLayout, LabelMap, same_proportions};
use crate::augment::semantic::IGNORED;
use crate::error::Error;
use crate::picture::{DecodeOptions, Picture, decode_rgb};
use crate::resize::{resize_labels_short_side_center_crop, resize_short_side_center_crop};
use crate::source::{Dataset, Layout, Why};

/// A picture file and its label map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The picture.
    pub picture: PathBuf,
    /// Its label map.
    pub labels: PathBuf,
}

/// The pictures that a published list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameList {
    path: PathBuf,
    names: Vec<String>,
}

impl NameList {
    /// One name a line: of the picture without its ending, or with folders below the folder of pictures.
    ///
    /// # Errors
    /// A file that cannot be read or names nothing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::labels(path, reason);
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<String> = lines.map(str::to_owned).collect();
        if names.is_empty() {
            return Err(wrong(
                "names no picture; expected one name a line, without its ending".into(),
            ));
        }
        Ok(Self {
            path: path.into(),
            names,
        })
    }

    /// The list of the 27-class COCO-Stuff benchmark for a folder of pictures, if it lies where its users keep it:
    /// `ROOT/images/val2017` has `ROOT/curated/val2017/Coco164kFull_Stuff_Coarse_7.txt`.
    ///
    /// # Errors
    /// One that is there and cannot be read.
    pub fn curated(pictures: &Path) -> Result<Option<Self>, Error> {
        let pictures = pictures.canonicalize().unwrap_or_else(|_| pictures.into());
        let (Some(split), Some(parent)) = (pictures.file_name(), pictures.parent()) else {
            return Ok(None);
        };
        let roots = [Some(parent), parent.parent()].into_iter().flatten();
        let mut places = roots.map(|root| {
            root.join("curated")
                .join(split)
                .join("Coco164kFull_Stuff_Coarse_7.txt")
        });
        places
            .find(|place| place.is_file())
            .map(|place| Self::open(&place))
            .transpose()
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its names, in its order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The pairs that it names, in its order.
    fn choose(&self, found: Vec<(PathBuf, Pair)>) -> Result<Vec<Pair>, Error> {
        let mut by_name: HashMap<String, Pair> = HashMap::new();
        for (key, pair) in found {
            let whole = key.to_string_lossy().into_owned();
            if let Some(name) = key.file_name() {
                by_name
                    .entry(name.to_string_lossy().into_owned())
                    .or_insert_with(|| pair.clone());
            }
            by_name.insert(whole, pair);
        }
        let mut seen = HashSet::new();
        let named = self.names.iter().filter(|name| seen.insert(name.as_str()));
        named
            .map(|name| {
                by_name.get(name).cloned().ok_or_else(|| {
                    let reason = format!("names {name}, which is not among the pictures with labels");
                    Error::labels(&self.path, reason)
                })
            })
            .collect()
    }
}

/// Pairs of a folder, and what lies there and is not taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The pairs.
    pub all: Vec<Pair>,
    /// What was left out and why, in sentences.
    pub left_out: Vec<String>,
}

/// Every picture below `pictures` with its label map below `labels`; with `list` only those that it names.
///
/// # Errors
/// A folder that is missing or empty; a picture without labels, in layouts where all have some; a name that is not found.
pub fn pairs(
    pictures: &Path,
    labels: &Path,
    layout: LabelLayout,
    list: Option<&NameList>,
) -> Result<Pairs, Error> {
    let found = Dataset::open(&[pictures.into()], Layout::Folder)?;
    // Whole folders must fit each other; a list says itself what is taken.
    let whole = list.is_none() && layout.is_complete();
    let maps = Dataset::open(&[labels.into()], Layout::Folder)?;
    let mut by_key = Maps::new();
    for path in (0..maps.len()).map(|i| maps.path(i)) {
        if let Some(key) = layout.of_labels(below(&path, labels)) {
            by_key.insert(key, (path, false));
        }
    }
    let key_of = |picture: &Path| layout.of_picture(below(picture, pictures));
    if layout == LabelLayout::Index
        && let Some(first) = (0..found.len()).find_map(|i| key_of(&found.path(i)))
        && let Some(ending) = common_ending(&first, &by_key)
    {
        by_key = without_ending(by_key, &ending);
    }
    let mut all = Vec::new();
    let mut left_out = found.left_out().clone();
    for picture in (0..found.len()).map(|i| found.path(i)) {
        let Some(key) = key_of(&picture) else {
            continue;
        };
        match by_key.get_mut(&key) {
            Some((labels, used)) => {
                *used = true;
                let labels = labels.clone();
                all.push((key, Pair { picture, labels }));
            }
            None if list.is_some() => {}
            None if !whole => left_out.add(Why::Unlabelled, &picture),
            None => {
                let reason = format!("has no label map ({layout}) below {}", labels.display());
                return Err(Error::labels(picture, reason));
            }
        }
    }
    if whole
        && layout.is_labelled_throughout()
        && let Some((map, _)) = by_key.into_values().filter(|(_, used)| !used).min()
    {
        let reason = format!(
            "is a label map ({layout}) without a picture below {}",
            pictures.display()
        );
        return Err(Error::labels(map, reason));
    }
    let chosen = match list {
        Some(list) => list.choose(all)?,
        None => all.into_iter().map(|(_, pair)| pair).collect(),
    };
    if chosen.is_empty() {
        let reason = format!(
            "holds no picture with a label map ({layout}) below {}",
            labels.display()
        );
        return Err(Error::labels(pictures, reason));
    }
    Ok(Pairs {
        all: chosen,
        left_out: left_out.lines(),
    })
}

/// Label maps by what they have in common with their pictures; whether a picture was found.
type Maps = HashMap<PathBuf, (PathBuf, bool)>;

/// What the names of label maps have behind those of their pictures (`0_labelIds.png` of `0.jpg`), from the first picture's; none where
/// it has a map of its own name, or more than one of such.
fn common_ending(picture: &Path, maps: &Maps) -> Option<String> {
    if maps.contains_key(picture) {
        return None;
    }
    let name = picture.file_name()?.to_str()?;
    let endings = maps
        .keys()
        .filter(|map| map.parent() == picture.parent())
        .filter_map(|map| {
            let ending = map.file_name()?.to_str()?.strip_prefix(name)?;
            ending.starts_with(['_', '-', '.']).then(|| ending.to_owned())
        });
    let mut endings = Vec::from_iter(endings);
    (endings.len() == 1).then(|| endings.remove(0))
}

/// The maps by their names without `ending`, where they have it.
fn without_ending(maps: Maps, ending: &str) -> Maps {
    let stripped = |key: PathBuf| {
        let name = key
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(ending));
        match name {
            Some(name) => key.with_file_name(name),
            None => key,
        }
    };
    maps.into_iter().map(|(key, map)| (stripped(key), map)).collect()
}

fn below<'a>(path: &'a Path, root: &Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// A picture and its labels at one size.
#[derive(Debug)]
pub struct LabelledPicture {
    /// The picture.
    pub picture: Picture,
    /// Its labels.
    pub labels: LabelMap,
    /// Whether the file of the labels had another size than that of the picture, in the same proportions.
    pub other_size: bool,
}

impl Pair {
    /// Both, the picture turned as `options` say, resized to the short side `side` (picture: antialiased
    /// bilinear; labels: nearest) and cut to the central square; what the maps hold turned into classes by `table`.
    ///
    /// # Errors
    /// A file that cannot be read, proportions that differ, an id that is no class.
    pub fn load(
        &self,
        side: u32,
        table: &ClassTable,
        options: &DecodeOptions,
    ) -> Result<LabelledPicture, Error> {
        let picture = decode_rgb(&self.picture, options).map_err(|source| Error::Picture {
            path: self.picture.clone(),
            source,
        })?;
        let wrong = |reason: String| Error::labels(&self.labels, reason);
        let mut ids = Vec::new();
        let b = table.read(&self.labels, &mut ids)?;
        let a = (picture.width(), picture.height());
        // A map of another scale stands for the same places: both come to the same size below.
        if !same_proportions(b, a) {
            let turned = if (a.1, a.0) == b {
                "; if the picture is to be turned as its EXIF orientation says, ask for it (--exif-orientation)"
            } else {
                ""
            };
            return Err(wrong(format!(
                "is {}x{}, its picture {}x{}: both must have the same proportions{turned}",
                b.0, b.1, a.0, a.1
            )));
        }
        let named = |id: u8| match id {
            IGNORED => table.ignore_index(),
            class => u16::from(class),
        };
        let labels = LabelMap::new(b.0, b.1, ids.into_iter().map(named).collect());
        Ok(LabelledPicture {
            picture: resize_short_side_center_crop(&picture, side),
            labels: resize_labels_short_side_center_crop(&labels, side),
            other_size: a != b,
        })
    }
}
