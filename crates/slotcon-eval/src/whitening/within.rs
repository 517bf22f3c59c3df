//! How features vary within what is taken for one thing.

use tch::{Device, Kind, Tensor};

use super::adjacent::{adjacent, colour_difference};
use crate::error::Error;

/// The part of a picture's neighbouring places that is taken to show one thing: those whose colours differ least.
const ALIKE: f64 = 0.3;

/// A sum of squares `[C, C]` and its degrees of freedom.
#[derive(Debug)]
pub(super) struct Scatter {
    sum: Tensor,
    freedom: i64,
}

impl Scatter {
    fn new(channels: i64) -> Self {
        Self {
            sum: Tensor::zeros([channels; 2], (Kind::Double, Device::Cpu)),
            freedom: 0,
        }
    }

    fn add(&mut self, rows: &Tensor, freedom: i64) -> Result<(), Error> {
        self.sum += rows.f_tr()?.f_matmul(rows)?.f_to(Device::Cpu)?;
        self.freedom += freedom;
        Ok(())
    }

    pub(super) fn covariance(&self) -> Tensor {
        &self.sum / self.freedom.max(1) as f64
    }
}

/// How features vary within one thing.
#[derive(Debug)]
pub(crate) struct Within {
    /// The sum of the features of pictures as they are, `[C]`, and of how many places.
    sum: Tensor,
    places: i64,
    pub(super) views: Scatter,
    pub(super) neighbours: Scatter,
}

impl Within {
    pub(crate) fn new(channels: i64) -> Self {
        Self {
            sum: Tensor::zeros([channels], (Kind::Double, Device::Cpu)),
            places: 0,
            views: Scatter::new(channels),
            neighbours: Scatter::new(channels),
        }
    }

    /// The mean of the features of all pictures as they are, `[C]`.
    pub(super) fn mean(&self) -> Tensor {
        &self.sum / self.places.max(1) as f64
    }

    /// Adds the features of one picture as it is and under changes of colour, `[V, h, w, C]`.
    pub(crate) fn add_views(&mut self, views: &Tensor) -> Result<(), Error> {
        let size = views.size();
        let own = views
            .f_select(0, 0)?
            .f_sum_dim_intlist([0i64, 1].as_slice(), false, Kind::Double)?;
        self.sum += own.f_to(Device::Cpu)?;
        self.places += size[1] * size[2];
        let apart = views - views.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
        self.views.add(
            &apart.f_reshape([-1, size[3]])?,
            (size[0] - 1) * size[1] * size[2],
        )
    }

    /// Adds the features `[h, w, C]` of one picture whose places have these colours.
    pub(crate) fn add_neighbours(&mut self, features: &Tensor, colours: &[[f32; 3]]) -> Result<(), Error> {
        let (_, columns, channels) = features.size3()?;
        let features = features.f_reshape([-1, channels])?;
        let mut pairs: Vec<(f64, usize, usize)> = adjacent(columns as usize, colours.len())
            .map(|(a, b)| (colour_difference(&colours[a], &colours[b]), a, b))
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        pairs.truncate((pairs.len() as f64 * ALIKE).ceil() as usize);
        let of = |place: fn(&(f64, usize, usize)) -> usize| -> Result<Tensor, Error> {
            let places = Vec::from_iter(pairs.iter().map(|pair| place(pair) as i64));
            let places = Tensor::from_slice(&places).f_to(features.device())?;
            Ok(features.f_index_select(0, &places)?)
        };
        // Of two values, the squares about their mean add up to half their squared difference, with one degree of freedom.
        let apart = (of(|pair| pair.1)? - of(|pair| pair.2)?) / 2f64.sqrt();
        self.neighbours.add(&apart, pairs.len() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whitening::tests::floats;

    #[test]
    fn covariances_by_hand() {
        // Two views of two places, one channel: 1 and 3 differ from 2 by 1, 5 and 5 by nothing; two degrees of freedom.
        let mut within = Within::new(1);
        let views = Tensor::from_slice(&[1f32, 5.0, 3.0, 5.0]).reshape([2, 1, 2, 1]);
        within.add_views(&views).unwrap();
        assert_eq!(floats(&within.views.covariance()), [1.0]);
        assert_eq!(floats(&within.mean()), [3.0], "of the first view");
        // Five places in a row, four pairs, of which two (30 %, rounded up) differ least in colour: the first, 10 and 12 (2² / 2), and the
        // last, 0 and 6 (6² / 2).
        let features = Tensor::from_slice(&[10f32, 12.0, 50.0, 0.0, 6.0]).reshape([1, 5, 1]);
        let colours = [0.0, 0.1, 5.0, 9.0, 9.2].map(|gray| [gray; 3]);
        within.add_neighbours(&features, &colours).unwrap();
        assert_eq!(within.neighbours.freedom, 2);
        assert!((floats(&within.neighbours.covariance())[0] - 10.0).abs() < 1e-5);
    }
}
