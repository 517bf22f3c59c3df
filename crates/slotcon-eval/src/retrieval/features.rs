//! What is compared of a place: what a network makes of it, or what anybody sees of it.

use slotcon::method::grouping::normalize;
use slotcon_data::Picture;
use slotcon_data::geometry::Window;
use slotcon_metrics::neighbours::Vote;
use tch::{Device, Kind, Tensor};

use crate::error::Error;
use crate::neighbours::Likeness;
use crate::segment::Segmenter;
use crate::whitening::Whitening;

/// Features of the places of pictures, and how they are compared.
pub trait PlaceFeatures {
    /// Of one picture, `[h, w, D]`.
    ///
    /// # Errors
    /// Whatever keeps the picture from being looked at.
    fn places(&self, picture: &Picture) -> Result<Tensor, Error>;

    /// What makes two places alike.
    fn likeness(&self) -> Likeness;

    /// How much each neighbour counts; `temperature` is that of the protocol.
    fn vote(&self, temperature: f64) -> Vote;
}

/// Which features of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFeatures {
    /// The backbone's last feature map.
    Backbone,
    /// The projector's output: what prototypes are compared with.
    Dense,
}

impl NetworkFeatures {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backbone => "backbone",
            Self::Dense => "dense",
        }
    }
}

/// Places as a network sees them.
#[derive(Debug)]
pub struct NetworkPlaces<'a> {
    /// The network.
    pub segmenter: &'a Segmenter,
    /// Which of its features.
    pub features: NetworkFeatures,
    /// Makes what changes with the light count less; not in the published protocol.
    pub whitening: Option<Whitening>,
    /// What the height of a place in its picture weighs beside features of length 1, as standard deviation over all places; 0, nothing, in
    /// the published protocol.
    pub height: f64,
}

impl<'a> NetworkPlaces<'a> {
    /// Places as the published protocol compares them.
    pub fn new(segmenter: &'a Segmenter, features: NetworkFeatures) -> Self {
        Self {
            segmenter,
            features,
            whitening: None,
            height: 0.0,
        }
    }

    /// The network's features as they are, `[h, w, D]`.
    pub(super) fn raw(&self, picture: &Picture) -> Result<Tensor, Error> {
        match self.features {
            NetworkFeatures::Backbone => self.segmenter.backbone_features(picture),
            NetworkFeatures::Dense => self.segmenter.features(picture),
        }
    }
}

impl PlaceFeatures for NetworkPlaces<'_> {
    fn places(&self, picture: &Picture) -> Result<Tensor, Error> {
        let mut features = self.raw(picture)?;
        if let Some(whitening) = &self.whitening {
            features = whitening.apply(&features)?;
        }
        let (h, w, _) = features.size3()?;
        if self.height == 0.0 || h == 1 {
            return Ok(features);
        }
        // h values of distance 1 / h have a variance of (1 - 1 / h²) / 12.
        let spread = ((1.0 - (h as f64).powi(-2)) / 12.0).sqrt();
        let heights = positions(&Window::WHOLE, (h, w), features.device())?.f_narrow(-1, 0, 1)?;
        let heights = (heights - 0.5) * (self.height / spread);
        Ok(Tensor::f_cat(&[normalize(&features), heights], -1)?)
    }

    fn likeness(&self) -> Likeness {
        Likeness::Cosine
    }

    fn vote(&self, temperature: f64) -> Vote {
        Vote::Softmax(temperature)
    }
}

/// The positions `[h, w, 2]` of a grid of `h` times `w` places that covers what `window` shows: the height, 0 at the top and 1 at the bottom
/// of the whole picture, and the place across, 0 at its left and 1 at its right.
pub(crate) fn positions(window: &Window, (h, w): (i64, i64), device: Device) -> Result<Tensor, Error> {
    let heights = centres(h, device)? * window.height + window.top;
    let across = centres(w, device)? * window.width + window.left;
    let columns = [heights.f_reshape([h, 1])?, across.f_reshape([1, w])?];
    let columns = columns.map(|column| column.f_expand([h, w], false));
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_stack(&columns, -1)?)
}

/// The centres of `n` places side by side, as parts of what is shown: from 0.5 / n to 1 - 0.5 / n.
fn centres(n: i64, device: Device) -> Result<Tensor, Error> {
    Ok((Tensor::f_arange(n, (Kind::Float, device))? + 0.5) / n as f64)
}

/// What can be seen of a place without learning: mean red, green and blue, x and y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColourAndPlace {
    /// Rows and columns of places.
    pub grid: (i64, i64),
}

impl PlaceFeatures for ColourAndPlace {
    fn places(&self, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let (h, w) = self.grid;
        let size = [i64::from(picture.height()), i64::from(picture.width()), 3];
        let pixels = Tensor::from_slice(picture.rgb())
            .reshape(size)
            .to_kind(Kind::Float);
        let colours = pixels
            .permute([2, 0, 1])
            .f_adaptive_avg_pool2d([h, w])?
            .permute([1, 2, 0]);
        // x, then y.
        let places = positions(&Window::WHOLE, self.grid, Device::Cpu)?.f_flip([-1])?;
        Ok(Tensor::f_cat(&[colours, places], -1)?)
    }

    fn likeness(&self) -> Likeness {
        Likeness::Standardised
    }

    fn vote(&self, _temperature: f64) -> Vote {
        Vote::Equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_whole_picture() {
        let values = |window: &Window, grid| {
            let positions = positions(window, grid, Device::Cpu).unwrap();
            Vec::<f32>::try_from(positions.flatten(0, -1)).unwrap()
        };
        assert_eq!(values(&Window::WHOLE, (1, 2)), [0.5, 0.25, 0.5, 0.75]);
        let lower_right = Window {
            top: 0.5,
            left: 0.75,
            height: 0.5,
            width: 0.25,
        };
        assert_eq!(values(&lower_right, (2, 1)), [0.625, 0.875, 0.875, 0.875]);
    }

    #[test]
    fn colour_and_place_by_hand() {
        // Two places side by side, of two pixels each.
        let picture = Picture::new(4, 1, vec![10, 0, 0, 30, 0, 0, 0, 0, 7, 0, 0, 9]);
        let places = ColourAndPlace { grid: (1, 2) }.places(&picture).unwrap();
        assert_eq!(places.size(), [1, 2, 5]);
        let values: Vec<f32> = Vec::try_from(places.flatten(0, -1)).unwrap();
        assert_eq!(values, [20.0, 0.0, 0.0, 0.25, 0.5, 0.0, 0.0, 8.0, 0.75, 0.5]);
    }
}
