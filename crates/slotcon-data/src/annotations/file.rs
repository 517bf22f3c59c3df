//! The fields of an annotation file that are used; all others are passed over unread.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};

#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub images: Vec<Image>,
    pub annotations: Vec<Annotation>,
    pub categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub id: i64,
    pub file_name: String,
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub id: i64,
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation {
    pub id: i64,
    pub image_id: i64,
    pub category_id: i64,
    /// x, y, width, height.
    #[serde(default)]
    pub bbox: Option<[f64; 4]>,
    #[serde(default)]
    pub segmentation: Segmentation,
    #[serde(default)]
    pub iscrowd: u8,
}

/// The outline of an object.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Segmentation {
    #[default]
    None,
    Polygons(Vec<Vec<f64>>),
    Runs(RunLengths),
}

/// Run lengths with the size of their mask, height first.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct RunLengths {
    pub size: [u32; 2],
    pub counts: Counts,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Counts {
    Text(String),
    List(Vec<u32>),
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyOutline)
    }
}

/// A list of polygons or an object of run lengths, told apart as they come: nothing is read twice.
struct AnyOutline;

impl<'de> Visitor<'de> for AnyOutline {
    type Value = Segmentation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of polygons [[x, y, x, y, …], …] or run lengths {size, counts}")
    }

    fn visit_unit<E>(self) -> Result<Segmentation, E> {
        Ok(Segmentation::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Segmentation, A::Error> {
        let mut polygons = Vec::new();
        while let Some(polygon) = list.next_element()? {
            polygons.push(polygon);
        }
        Ok(Segmentation::Polygons(polygons))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Segmentation, A::Error> {
        RunLengths::deserialize(MapAccessDeserializer::new(map)).map(Segmentation::Runs)
    }
}
