//! k-means of a network's dense features: groups that need no prototypes, as many as one likes.

use slotcon_data::Picture;
use slotcon_data::rng::{Purpose, Stream};
use tch::{Device, Kind, Tensor};

use super::kmeans::{KMeans, KMeansConfig};
use super::sampling::stratified;
use crate::error::Error;
use crate::segment::Segmenter;
use crate::segment::upsample::winners;

/// Positions that the fit looks at, over all pictures.
const ROWS: usize = 200_000;

/// Centres in the space of a network's dense features (of length 1, as in the paper's cosine similarity).
#[derive(Debug)]
pub struct FeatureClusters {
    /// `[D, K]`
    centres: Tensor,
    /// Half the squared length of each centre, `[K]`.
    halves: Tensor,
}

impl FeatureClusters {
    /// The clusters of positions drawn from `pictures`, one result a seed.
    ///
    /// # Errors
    /// No pictures; a failure of libtorch.
    pub fn fit(
        segmenter: &Segmenter,
        pictures: &[&Picture],
        clusters: usize,
        seeds: impl IntoIterator<Item = u64>,
    ) -> Result<Vec<Self>, Error> {
        let each = ROWS.div_ceil(pictures.len().max(1));
        let (mut rows, mut dimension) = (Vec::new(), 0);
        for (number, picture) in pictures.iter().enumerate() {
            let features = segmenter.features(picture)?;
            dimension = features.size()[2] as usize;
            let all: Vec<f32> = Vec::try_from(features.to_device(Device::Cpu).flatten(0, -1))?;
            let mut random = Stream::new(0, 0, number as u64, Purpose::Positions, 0);
            for position in stratified(all.len() / dimension, each, &mut random) {
                rows.extend_from_slice(&all[position * dimension..][..dimension]);
            }
        }
        seeds
            .into_iter()
            .map(|seed| {
                let config = KMeansConfig {
                    clusters,
                    seed,
                    max_rows: ROWS,
                    ..KMeansConfig::default()
                };
                let found = KMeans::fit(&rows, dimension, &config)?;
                let shape = [found.clusters() as i64, dimension as i64];
                let centres = Tensor::from_slice(found.centres())
                    .reshape(shape)
                    .to_device(segmenter.device());
                Ok(Self {
                    halves: centres.square().sum_dim_intlist(-1, false, Kind::Float) * 0.5,
                    centres: centres.tr(),
                })
            })
            .collect()
    }

    /// K.
    pub fn clusters(&self) -> usize {
        self.halves.size()[0] as usize
    }

    /// The cluster of every pixel of a picture whose features are `features` `[h, w, D]`: like a prototype's scores, the
    /// centres' are brought to the picture's size first.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn assign(&self, features: &Tensor, picture: &Picture) -> Result<Vec<u16>, Error> {
        // The nearest centre is the one with the largest of these.
        let scores = features.matmul(&self.centres) - &self.halves;
        Ok(winners(
            &scores,
            i64::from(picture.height()),
            i64::from(picture.width()),
        )?)
    }
}
