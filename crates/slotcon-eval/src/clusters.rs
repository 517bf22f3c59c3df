//! Unsupervised semantic segmentation as PiCIE and the paper measure it: how well clusters match labels that the
//! network has never seen.

use rayon::prelude::*;
use serde::Serialize;
use slotcon_data::{LabelMap, Picture};

use crate::baselines::{ColourClusters, ColourConfig};
use crate::confusion::Confusion;
use crate::error::Error;
use crate::kmeans::KMeansConfig;
use crate::labelled::{Classes, Pair};
use crate::matching::Protocol;
use crate::score::ClusterScore;
use crate::segmenter::Segmenter;

/// Something that gives every pixel a cluster.
pub trait Clusterer {
    /// K.
    fn clusters(&self) -> usize;

    /// The cluster of every pixel, row by row.
    ///
    /// # Errors
    /// Whatever keeps the picture from being segmented.
    fn assign(&self, picture: &Picture) -> Result<Vec<u16>, Error>;
}

impl Clusterer for Segmenter {
    fn clusters(&self) -> usize {
        self.prototypes()
    }

    fn assign(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        self.segment(picture)
    }
}

impl Clusterer for ColourClusters {
    fn clusters(&self) -> usize {
        ColourClusters::clusters(self)
    }

    fn assign(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        Ok(self.labels(picture)?)
    }
}

/// Pictures with labels, as they are measured: short side resized, centre cut out.
#[derive(Debug)]
pub struct TestSet {
    pictures: Vec<(Picture, LabelMap)>,
    classes: Classes,
    side: u32,
}

impl TestSet {
    /// Reads all `pairs`; they are kept in memory, 5 bytes a pixel.
    ///
    /// # Errors
    /// The first pair that cannot be used.
    pub fn load(pairs: &[Pair], classes: Classes, side: u32) -> Result<Self, Error> {
        let pictures = pairs
            .par_iter()
            .map(|pair| pair.load(side, &classes))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            pictures,
            classes,
            side,
        })
    }

    /// The clusters of every picture against the labels: one confusion matrix over the whole set.
    ///
    /// # Errors
    /// Whatever keeps a picture from being segmented; a set in which every pixel is ignored.
    pub fn measure(&self, clusterer: &dyn Clusterer, matching: Protocol) -> Result<Measured, Error> {
        let classes = self.classes.classes.len();
        let mut confusion = Confusion::new(classes, clusterer.clusters(), self.classes.ignore_index);
        for (picture, labels) in &self.pictures {
            confusion.add(labels.ids(), &clusterer.assign(picture)?)?;
        }
        let score = ClusterScore::of(&confusion, matching).ok_or(Error::NothingToMeasure)?;
        let iou = self
            .classes
            .classes
            .iter()
            .cloned()
            .zip(score.iou.iter().copied())
            .collect();
        Ok(Measured {
            miou: score.miou,
            pixel_accuracy: score.pixel_accuracy,
            clusters: clusterer.clusters(),
            clusters_used: score.clusters_used,
            iou,
        })
    }

    /// k-means of the colours of these pictures, as many clusters as there are classes.
    ///
    /// # Errors
    /// No pictures.
    pub fn colour_clusters(&self, seed: u64) -> Result<ColourClusters, Error> {
        let pictures: Vec<&Picture> = self.pictures.iter().map(|(picture, _)| picture).collect();
        let kmeans = KMeansConfig {
            clusters: self.classes.classes.len(),
            seed,
            ..KMeansConfig::default()
        };
        let config = ColourConfig {
            kmeans,
            ..ColourConfig::default()
        };
        Ok(ColourClusters::fit(pictures, &config)?)
    }

    /// How it is measured, in words.
    pub fn protocol(&self, matching: Protocol) -> String {
        let matched = match matching {
            Protocol::Hungarian => "one-to-one (Hungarian) matching",
            Protocol::Majority => "every cluster matched to the class it has most of",
        };
        format!(
            "{} pictures, short side {} px, centre crop, arg-max over clusters, one confusion matrix, {matched}, {} classes",
            self.pictures.len(),
            self.side,
            self.classes.classes.len()
        )
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Mean intersection over union of the classes that occur, 0 to 1.
    pub miou: f64,
    /// Share of the pixels in the right class, 0 to 1.
    pub pixel_accuracy: f64,
    /// K.
    pub clusters: usize,
    /// Clusters with at least one pixel.
    pub clusters_used: usize,
    /// By class name; `null` for a class that does not occur.
    #[serde(serialize_with = "as_map")]
    pub iou: Vec<(String, Option<f64>)>,
}

/// A list of pairs as a JSON object in the same order.
fn as_map<S: serde::Serializer>(pairs: &[(String, Option<f64>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, iou)| (name, iou)))
}
