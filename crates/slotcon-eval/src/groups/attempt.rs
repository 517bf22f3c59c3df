//! One try at finding groups: places parted by k-means from one start, parts joined.

use slotcon::method::grouping::normalize;
use tch::{Device, Kind, Tensor};

use super::GroupConfig;
use super::borders::Borders;
use super::find::ROWS;
use super::join::join;
use crate::clusters::kmeans::{KMeans, KMeansConfig};
use crate::error::Error;

/// Parts, and where they meet in the pictures seen so far.
#[derive(Debug)]
pub(super) struct Attempt {
    /// From compared places to the scores of the parts, `[C + 1, parts]`.
    pub(super) weight: Tensor,
    /// `[parts]`
    pub(super) bias: Tensor,
    /// Cosines of the parts' centres, `[parts, parts]` row by row.
    alike: Vec<f64>,
    borders: Borders,
    /// How many places are nearest to each part.
    sizes: Vec<u64>,
}

impl Attempt {
    /// Parts compared places `[n, C + 1]`. `number` decides where k-means begins.
    pub(super) fn new(rows: &Tensor, config: &GroupConfig, number: u64) -> Result<Self, Error> {
        let (weight, bias, centres) = parts(rows, config, number)?;
        Ok(Self {
            weight,
            bias,
            alike: cosines(&centres)?,
            borders: Borders::new(config.parts),
            sizes: vec![0; config.parts],
        })
    }

    /// The nearest part of each of some compared places `[.., C + 1]`.
    pub(super) fn nearest(&self, places: &Tensor) -> Result<Vec<u16>, Error> {
        let scores = places.f_matmul(&self.weight)?.f_add(&self.bias)?;
        let parts = scores.f_argmax(-1, false)?.f_flatten(0, -1)?;
        let parts = Vec::<i64>::try_from(parts)?;
        Ok(parts.into_iter().map(|part| part as u16).collect())
    }

    /// Sees where parts meet in a picture of these compared places `[h, w, C + 1]` and their colours.
    pub(super) fn add(&mut self, places: &Tensor, colours: &[[f32; 3]]) -> Result<(), Error> {
        let (_, columns, _) = places.size3()?;
        let nearest = self.nearest(places)?;
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

/// k-means of rows `[n, C + 1]`, their features and heights brought to one spread each: the linear map to the parts' scores (weight
/// `[C + 1, parts]`, bias `[parts]`), and the parts' centres `[parts, C + 1]` in the brought space, whose origin is the mean of all places.
fn parts(rows: &Tensor, config: &GroupConfig, number: u64) -> Result<(Tensor, Tensor, Tensor), Error> {
    let dimension = rows.size()[1];
    let mean = rows.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    let variance = (rows - &mean)
        .f_square()?
        .f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    let spread = |from: i64, count: i64| {
        variance
            .narrow(0, from, count)
            .sum(Kind::Double)
            .double_value(&[])
            .sqrt()
    };
    let over = |weight: f64, spread: f64| if spread > 0.0 { weight / spread } else { 0.0 };
    let options = (Kind::Float, Device::Cpu);
    let scale = Tensor::f_cat(
        &[
            Tensor::f_full([dimension - 1], over(1.0, spread(0, dimension - 1)), options)?,
            Tensor::f_full([1], over(config.height, spread(dimension - 1, 1)), options)?,
        ],
        0,
    )?;
    let brought = Vec::<f32>::try_from(((rows - &mean) * &scale).flatten(0, -1))?;
    let settings = KMeansConfig {
        clusters: config.parts,
        max_rows: ROWS,
        restarts: 1,
        seed: config.seed.wrapping_shl(16).wrapping_add(number),
        ..KMeansConfig::default()
    };
    let found = KMeans::fit(&brought, dimension as usize, &settings)?;
    if found.clusters() < config.parts {
        return Err(Error::Argument(format!(
            "the pictures show only {} different kinds of places, not {} parts: ask for fewer parts or give more pictures",
            found.clusters(),
            config.parts
        )));
    }
    let centres = Tensor::from_slice(found.centres()).f_reshape([-1, dimension])?;
    let weight = (&centres * &scale).f_tr()?;
    let halves = centres.f_square()?.f_sum_dim_intlist(-1, false, Kind::Float)? * 0.5;
    let bias = -(mean.f_matmul(&weight)? + halves);
    Ok((weight, bias, centres))
}

/// Cosines of all pairs of rows, row by row.
fn cosines(rows: &Tensor) -> Result<Vec<f64>, Error> {
    let rows = normalize(&rows.to_kind(Kind::Double));
    Ok(Vec::try_from(rows.f_matmul(&rows.f_tr()?)?.flatten(0, -1))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_nearest_centres() {
        let config = GroupConfig {
            groups: 2,
            parts: 4,
            height: 0.5,
            seed: 3,
            ..GroupConfig::default()
        };
        tch::manual_seed(1);
        let rows = Tensor::randn([300, 7], (Kind::Float, Device::Cpu));
        let (weight, bias, centres) = parts(&rows, &config, 0).unwrap();
        let best = Vec::<i64>::try_from((rows.matmul(&weight) + bias).argmax(-1, false)).unwrap();
        // By the definition: standardised rows, the nearest centre.
        let mean = rows.mean_dim([0i64].as_slice(), false, Kind::Float);
        let centred = &rows - mean;
        let total = |t: Tensor| {
            t.square()
                .mean_dim([0i64].as_slice(), false, Kind::Float)
                .sum(Kind::Float)
                .sqrt()
        };
        let features = centred.narrow(1, 0, 6);
        let heights = centred.narrow(1, 6, 1);
        let brought = Tensor::cat(
            &[
                &features / total(features.copy()),
                &heights / total(heights.copy()) * 0.5,
            ],
            1,
        );
        let nearest = Tensor::cdist(&brought, &centres, 2.0, None).argmin(-1, false);
        assert_eq!(best, Vec::<i64>::try_from(nearest).unwrap());
    }
}
