//! One try at finding groups: places parted by k-means from one start, parts joined.

use slotcon::method::grouping::normalize;
use tch::{Kind, Tensor};

use super::GroupConfig;
use super::borders::Borders;
use super::join::join;
use super::parts::{Parts, Standardised};
use crate::error::Error;

/// Parts, and where they meet in the pictures seen so far.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) parts: Parts,
    /// Cosines of the parts' centres, `[parts, parts]` row by row.
    alike: Vec<f64>,
    borders: Borders,
    /// How many places are nearest to each part.
    sizes: Vec<u64>,
}

impl Attempt {
    /// Parts places; `number` decides where k-means begins.
    pub(super) fn new(places: &Standardised, config: &GroupConfig, number: u64) -> Result<Self, Error> {
        let (parts, centres) = Parts::find(places, config, number)?;
        Ok(Self {
            parts,
            alike: cosines(&centres)?,
            borders: Borders::new(config.parts),
            sizes: vec![0; config.parts],
        })
    }

    /// Sees where parts meet in a picture of these compared places `[h, w, C + 2]` and their colours.
    pub(super) fn add(&mut self, places: &Tensor, colours: &[[f32; 3]]) -> Result<(), Error> {
        let (_, columns, _) = places.size3()?;
        let nearest = self.parts.nearest(places)?;
        for &part in &nearest {
            self.sizes[usize::from(part)] += 1;
        }
        self.borders.add(columns as usize, &nearest, colours);
        Ok(())
    }

    /// The group of each part.
    pub(super) fn join(&self, groups: usize) -> Vec<u16> {
        let (contrasts, parts) = (self.borders.contrasts(), self.sizes.len());
        join(&self.sizes, groups, |a, b| {
            let cell = a * parts + b;
            (1.0 - self.alike[cell]) * contrasts[cell]
        })
    }
}

/// Cosines of all pairs of rows, row by row.
fn cosines(rows: &Tensor) -> Result<Vec<f64>, Error> {
    let rows = normalize(&rows.to_kind(Kind::Double));
    Ok(Vec::try_from(rows.f_matmul(&rows.f_tr()?)?.flatten(0, -1))?)
}
