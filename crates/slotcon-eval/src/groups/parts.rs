//! Places parted finely by k-means, as a linear map from what is compared of a place to the scores of the parts.

use tch::{Device, Kind, Tensor};

use super::GroupConfig;
use super::find::ROWS;
use super::position::COLUMNS;
use crate::clusters::kmeans::{KMeans, KMeansConfig};
use crate::error::Error;

/// The linear map; the largest score is that of the part whose centre is nearest.
#[derive(Debug)]
pub(super) struct Parts {
    /// From compared places to the scores of the parts, `[C + 2, parts]`; the last two rows are for the position.
    pub weight: Tensor,
    /// `[parts]`
    pub bias: Tensor,
}

impl Parts {
    /// k-means of `places`; `number` decides where it begins. With the parts' centres `[parts, C + 2]` in the space of [`Standardised`],
    /// whose origin is the mean of all places.
    pub fn find(places: &Standardised, config: &GroupConfig, number: u64) -> Result<(Self, Tensor), Error> {
        let dimension = places.scale.size()[0];
        let settings = KMeansConfig {
            clusters: config.parts,
            max_rows: ROWS,
            restarts: 1,
            seed: config.seed.wrapping_shl(16).wrapping_add(number),
            ..KMeansConfig::default()
        };
        let found = KMeans::fit(&places.rows, dimension as usize, &settings)?;
        if found.clusters() < config.parts {
            return Err(Error::Argument(format!(
                "the pictures show only {} different kinds of places, not {} parts: ask for fewer parts or give more pictures",
                found.clusters(),
                config.parts
            )));
        }
        let centres = Tensor::from_slice(found.centres()).f_reshape([-1, dimension])?;
        let weight = (&centres * &places.scale).f_tr()?;
        let halves = centres.f_square()?.f_sum_dim_intlist(-1, false, Kind::Float)? * 0.5;
        let bias = -(places.mean.f_matmul(&weight)? + halves);
        Ok((Self { weight, bias }, centres))
    }

    /// Scores of the parts at compared places: `[.., parts]` of `[.., C + 2]`, largest for the nearest centre.
    pub fn scores(&self, compared: &Tensor) -> Result<Tensor, Error> {
        Ok(compared.f_matmul(&self.weight)?.f_add(&self.bias)?)
    }

    /// The nearest part of each of some compared places `[.., C + 2]`, in their order.
    pub fn nearest(&self, compared: &Tensor) -> Result<Vec<u16>, Error> {
        let parts = self.scores(compared)?.f_argmax(-1, false)?.f_flatten(0, -1)?;
        let parts = Vec::<i64>::try_from(parts)?;
        Ok(parts.into_iter().map(|part| part as u16).collect())
    }

    /// The same on another device.
    pub fn to(&self, device: Device) -> Result<Self, Error> {
        Ok(Self {
            weight: self.weight.f_to_device(device)?,
            bias: self.bias.f_to_device(device)?,
        })
    }
}

/// Compared places with the mean of all at the origin, features and positions of one spread each: all features together of 1, heights and
/// places across of their weights.
#[derive(Debug)]
pub(super) struct Standardised {
    /// `[n, C + 2]`, row by row.
    rows: Vec<f32>,
    /// `[C + 2]`
    mean: Tensor,
    /// `[C + 2]`
    scale: Tensor,
}

impl Standardised {
    /// Of compared places `[n, C + 2]`; `weights` are those of the two columns of [`super::position`].
    pub fn new(places: &Tensor, weights: [f64; 2]) -> Result<Self, Error> {
        let channels = places.size()[1] - COLUMNS;
        let mean = places.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        let variance = (places - &mean)
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
                Tensor::f_full([channels], over(1.0, spread(0, channels)), options)?,
                Tensor::f_full([1], over(weights[0], spread(channels, 1)), options)?,
                Tensor::f_full([1], over(weights[1], spread(channels + 1, 1)), options)?,
            ],
            0,
        )?;
        let rows = Vec::<f32>::try_from(((places - &mean) * &scale).flatten(0, -1))?;
        Ok(Self { rows, mean, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_nearest_centres() {
        let config = GroupConfig {
            groups: 2,
            parts: 4,
            seed: 3,
            ..GroupConfig::default()
        };
        tch::manual_seed(1);
        let rows = Tensor::randn([300, 8], (Kind::Float, Device::Cpu));
        let (parts, centres) =
            Parts::find(&Standardised::new(&rows, [0.5, 0.25]).unwrap(), &config, 0).unwrap();
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
        let (heights, across) = (centred.narrow(1, 6, 1), centred.narrow(1, 7, 1));
        let brought = Tensor::cat(
            &[
                &features / total(features.copy()),
                &heights / total(heights.copy()) * 0.5,
                &across / total(across.copy()) * 0.25,
            ],
            1,
        );
        let nearest = Tensor::cdist(&brought, &centres, 2.0, None).argmin(-1, false);
        let nearest = Vec::<i64>::try_from(nearest).unwrap();
        assert_eq!(
            parts.nearest(&rows).unwrap(),
            Vec::from_iter(nearest.into_iter().map(|part| part as u16))
        );
    }
}
