//! Features in which what a group should not depend on varies little: they are whitened by how they vary within what is taken for one
//! thing (relevant component analysis, Bar-Hillel et al. 2003; within-class covariance normalisation).
//!
//! One thing is taken to be a place of a picture under changes of colour (`views`), and, if wanted, two neighbouring places between which
//! colour hardly changes. Both are there without labels.

pub(crate) mod adjacent;
pub(crate) mod views;
mod within;

use slotcon::method::grouping::normalize;
use tch::{Device, Kind, Tensor};
pub(crate) use within::Within;

use crate::error::Error;

/// What is added to the variance in every direction, as a part of the mean variance: few pictures know little of the small ones.
const SHRINKAGE: f64 = 0.1;

/// The linear map that makes features vary by about as much in every direction within one thing.
#[derive(Debug)]
pub struct Whitening {
    /// The mean of all features, `[C]`.
    pub(crate) mean: Tensor,
    /// `[C, C]`, symmetric.
    pub(crate) map: Tensor,
}

impl Whitening {
    /// (W + ε·v̄·I)^(-1/2), where W is the sum of the covariances of views and, if any were seen, of neighbours, v̄
    /// its mean variance.
    pub(crate) fn new(within: &Within) -> Result<Self, Error> {
        let covariance = within.views.covariance() + within.neighbours.covariance();
        let (variances, directions) = covariance.f_linalg_eigh("L")?;
        let variances = variances.f_clamp_min(0.0)?;
        let least = SHRINKAGE * variances.f_mean(Kind::Double)?.f_double_value(&[])?;
        let scales = match least > 0.0 {
            true => (variances + least).f_rsqrt()?,
            // Nothing varies: all directions count the same.
            false => variances.f_ones_like()?,
        };
        let map = (&directions * scales).f_matmul(&directions.f_tr()?)?;
        Ok(Self {
            map: map.f_to_kind(Kind::Float)?,
            mean: within.mean().f_to_kind(Kind::Float)?,
        })
    }

    /// Whitened features of length 1, of features `[.., C]`.
    pub(crate) fn apply(&self, features: &Tensor) -> Result<Tensor, Error> {
        Ok(normalize(&features.f_sub(&self.mean)?.f_matmul(&self.map)?))
    }

    /// The same on another device.
    pub(crate) fn to(&self, device: Device) -> Result<Self, Error> {
        Ok(Self {
            mean: self.mean.f_to(device)?,
            map: self.map.f_to(device)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn floats(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
    }

    #[test]
    fn what_varies_within_a_thing_counts_less() {
        // The first of two channels changes with the view by 4 in the variance, the second does not.
        let mut within = Within::new(2);
        let views = Tensor::from_slice(&[1f32, 7.0, 1.0 + 8f32.sqrt(), 7.0]).reshape([2, 1, 1, 2]);
        within.add_views(&views).unwrap();
        let whitening = Whitening::new(&within).unwrap();
        // Mean variance 2, so 0.2 is added to each.
        let expected = [4.2f64.powf(-0.5), 0.0, 0.0, 0.2f64.powf(-0.5)];
        for (value, expected) in floats(&whitening.map).iter().zip(expected) {
            assert!((value - expected).abs() < 1e-5, "{value} {expected}");
        }
        let seen = whitening
            .apply(&Tensor::from_slice(&[2f32, 8.0]).reshape([1, 2]))
            .unwrap();
        let length = (expected[0].powi(2) + expected[3].powi(2)).sqrt();
        let [a, b] = floats(&seen)[..] else { panic!() };
        assert!((a - expected[0] / length).abs() < 1e-5 && (b - expected[3] / length).abs() < 1e-5);
    }

    #[test]
    fn where_nothing_varies_features_stay() {
        let whitening = Whitening::new(&Within::new(2)).unwrap();
        let [a, b] = floats(&whitening.apply(&Tensor::from_slice(&[3f32, 4.0])).unwrap())[..] else {
            panic!()
        };
        assert!((a - 0.6).abs() < 1e-6 && (b - 0.8).abs() < 1e-6);
    }
}
