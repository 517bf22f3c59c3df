//! Pictures with label maps: two folders with the same file names, and a file of class names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use slotcon_data::labels::read_label_map;
use slotcon_data::picture::{DecodeOptions, decode_rgb};
use slotcon_data::resize::{resize_labels_short_side_center_crop, resize_short_side_center_crop};
use slotcon_data::{Dataset, LabelMap, Layout, Picture};

use crate::error::Error;

/// `classes.json`: `{"classes": ["sky", …], "ignore_index": 11}`; ids are positions in the list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Classes {
    /// Names, by id.
    pub classes: Vec<String>,
    /// The id that counts for nothing.
    #[serde(default = "default_ignore")]
    pub ignore_index: u16,
}

fn default_ignore() -> u16 {
    255
}

impl Classes {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that cannot be read or is something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Labels {
            path: path.into(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let classes: Self = serde_json::from_slice(&bytes).map_err(|e| {
            wrong(format!(
                "{e}; expected {{\"classes\": [\"name\", …], \"ignore_index\": 255}}"
            ))
        })?;
        if classes.classes.is_empty() {
            return Err(wrong("names no class".into()));
        }
        Ok(classes)
    }
}

/// A picture file and the label map of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The picture.
    pub picture: PathBuf,
    /// Its label map.
    pub labels: PathBuf,
}

/// Every picture below `pictures` with the label map of the same name (without extension) below `labels`.
///
/// # Errors
/// A folder that is missing or empty; a picture without labels.
pub fn pairs(pictures: &Path, labels: &Path) -> Result<Vec<Pair>, Error> {
    let maps = Dataset::open(&[labels.into()], Layout::Folder)?;
    let mut by_name: HashMap<PathBuf, PathBuf> = HashMap::new();
    for i in 0..maps.len() {
        let path = maps.path(i);
        by_name.insert(key(&path, labels), path);
    }
    let found = Dataset::open(&[pictures.into()], Layout::Folder)?;
    (0..found.len())
        .map(|i| {
            let picture = found.path(i);
            let labels = by_name
                .get(&key(&picture, pictures))
                .cloned()
                .ok_or_else(|| Error::Labels {
                    path: picture.clone(),
                    reason: format!("has no label map of the same name below {}", labels.display()),
                })?;
            Ok(Pair { picture, labels })
        })
        .collect()
}

fn key(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).with_extension("")
}

impl Pair {
    /// Both, resized to the short side `side` (picture: antialiased bilinear; labels: nearest) and cut to the central
    /// square; ids checked.
    ///
    /// # Errors
    /// A file that cannot be read, sizes that differ, an id that is no class.
    pub fn load(&self, side: u32, classes: &Classes) -> Result<(Picture, LabelMap), Error> {
        let picture =
            decode_rgb(&self.picture, &DecodeOptions::default()).map_err(|source| Error::Picture {
                path: self.picture.clone(),
                source,
            })?;
        let labels = read_label_map(&self.labels)?;
        let wrong = |reason: String| Error::Labels {
            path: self.labels.clone(),
            reason,
        };
        let (a, b) = (
            (picture.width(), picture.height()),
            (labels.width(), labels.height()),
        );
        if a != b {
            return Err(wrong(format!("is {}x{}, its picture {}x{}", b.0, b.1, a.0, a.1)));
        }
        let known = |&&id: &&u16| id != classes.ignore_index && usize::from(id) >= classes.classes.len();
        if let Some(id) = labels.ids().iter().find(known) {
            return Err(wrong(format!(
                "holds id {id}, but there are {} classes and {} is ignored",
                classes.classes.len(),
                classes.ignore_index
            )));
        }
        Ok((
            resize_short_side_center_crop(&picture, side),
            resize_labels_short_side_center_crop(&labels, side),
        ))
    }
}
