//! What can be found without learning: k-means on the colour of single pixels. A network that is worth its training
//! beats it clearly.

use std::borrow::Borrow;

use slotcon_data::Picture;
use slotcon_data::rng::{Purpose, Stream};

use super::kmeans::{KMeans, KMeansConfig, KMeansError};
use super::sampling::stratified;

/// What k-means sees of a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelFeatures {
    /// Red, green and blue, each 0..=1.
    Colour,
    /// That, and the place in the picture: x and y, each 0..=1, times the weight. At 1 the way across the picture
    /// weighs as much as the way from black to full red.
    ColourAndPlace(f32),
}

/// How to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct ColourConfig {
    /// What k-means sees of a pixel.
    pub features: PixelFeatures,
    /// Pixels that the fit looks at in each picture, spread evenly over it.
    pub pixels_per_picture: usize,
    /// Clusters, restarts, seed.
    pub kmeans: KMeansConfig,
}

impl Default for ColourConfig {
    fn default() -> Self {
        Self {
            features: PixelFeatures::Colour,
            pixels_per_picture: 1000,
            // What is to be beaten is the best that k-means finds: one start in eight or so ends there.
            kmeans: KMeansConfig {
                restarts: 20,
                ..KMeansConfig::default()
            },
        }
    }
}

/// Clusters of colours, the same for all pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct ColourClusters {
    kmeans: KMeans,
    features: PixelFeatures,
}

impl ColourClusters {
    /// Finds the clusters of a set of pictures.
    ///
    /// # Errors
    /// No pictures, or a setting out of range.
    pub fn fit<P: Borrow<Picture>>(
        pictures: impl IntoIterator<Item = P>,
        config: &ColourConfig,
    ) -> Result<Self, KMeansError> {
        if config.pixels_per_picture == 0 {
            return Err(KMeansError::Setting {
                setting: "pixels_per_picture",
                value: 0,
                limit: "",
            });
        }
        let mut rows = Vec::new();
        for (number, picture) in pictures.into_iter().enumerate() {
            let picture = picture.borrow();
            let pixels = picture.width() as usize * picture.height() as usize;
            let mut random = Stream::new(config.kmeans.seed, 0, number as u64, Purpose::Positions, 0);
            for pixel in stratified(pixels, config.pixels_per_picture, &mut random) {
                push(picture, pixel, config.features, &mut rows);
            }
        }
        let kmeans = KMeans::fit(&rows, config.features.dimension(), &config.kmeans)?;
        Ok(Self {
            kmeans,
            features: config.features,
        })
    }

    /// The cluster of every pixel, row by row.
    ///
    /// # Errors
    /// None for a picture with pixels; k-means' own otherwise.
    pub fn labels(&self, picture: &Picture) -> Result<Vec<u16>, KMeansError> {
        let pixels = picture.width() as usize * picture.height() as usize;
        let mut rows = Vec::with_capacity(pixels * self.features.dimension());
        for pixel in 0..pixels {
            push(picture, pixel, self.features, &mut rows);
        }
        self.kmeans.predict(&rows)
    }

    /// K: as configured, or fewer where the pictures have fewer colours.
    pub fn clusters(&self) -> usize {
        self.kmeans.clusters()
    }
}

impl PixelFeatures {
    fn dimension(self) -> usize {
        match self {
            Self::Colour => 3,
            Self::ColourAndPlace(_) => 5,
        }
    }
}

fn push(picture: &Picture, pixel: usize, features: PixelFeatures, rows: &mut Vec<f32>) {
    rows.extend(
        picture.rgb()[pixel * 3..][..3]
            .iter()
            .map(|&value| f32::from(value) / 255.0),
    );
    if let PixelFeatures::ColourAndPlace(weight) = features {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let share = |at: usize, of: usize| (at as f32 + 0.5) / of as f32 * weight;
        rows.extend([share(pixel % width, width), share(pixel / width, height)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left half one colour, right half another, with some noise.
    fn halves(width: u32, height: u32, left: [u8; 3], right: [u8; 3]) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = pixels
            .flat_map(|(x, y)| {
                let colour = if x < width / 2 { left } else { right };
                colour.map(|value| value.saturating_add(((x * 7 + y * 13) % 5) as u8))
            })
            .collect();
        Picture::new(width, height, rgb)
    }

    fn config(clusters: usize, features: PixelFeatures) -> ColourConfig {
        let kmeans = KMeansConfig {
            clusters,
            restarts: 5,
            ..KMeansConfig::default()
        };
        ColourConfig {
            features,
            pixels_per_picture: 200,
            kmeans,
        }
    }

    #[test]
    fn a_colour_has_the_same_cluster_in_every_picture() {
        let (red, green, blue) = ([200, 10, 10], [10, 200, 10], [10, 10, 200]);
        let pictures = [halves(33, 20, red, green), halves(20, 31, green, blue)];
        let found = ColourClusters::fit(&pictures, &config(3, PixelFeatures::Colour)).unwrap();
        assert_eq!(found.clusters(), 3);
        let (first, second) = (
            found.labels(&pictures[0]).unwrap(),
            found.labels(&pictures[1]).unwrap(),
        );
        for (labels, width) in [(&first, 33usize), (&second, 20)] {
            for (i, label) in labels.iter().enumerate() {
                assert_eq!(
                    *label,
                    labels[if i % width < width / 2 { 0 } else { width - 1 }],
                    "pixel {i}"
                );
            }
        }
        assert_eq!(first[32], second[0]);
        assert!(first[0] != first[32] && first[0] != second[19] && second[0] != second[19]);
    }

    #[test]
    fn place_parts_what_colour_does_not() {
        let gray = [halves(40, 40, [90; 3], [90; 3])];
        let found = ColourClusters::fit(&gray, &config(2, PixelFeatures::ColourAndPlace(1.0))).unwrap();
        let labels = found.labels(&gray[0]).unwrap();
        let opposite = (labels[0] != labels[1599]) || (labels[39] != labels[1560]);
        assert!(opposite, "two clusters of place part the picture");
        let share = labels.iter().filter(|&&label| label == 0).count();
        assert!((600..1000).contains(&share), "{share}");
    }

    #[test]
    fn no_pictures_are_an_error() {
        let none: [Picture; 0] = [];
        assert_eq!(
            ColourClusters::fit(&none, &ColourConfig::default()),
            Err(KMeansError::Empty)
        );
    }
}
