//! Unsupervised semantic segmentation as PiCIE and the paper measure it: how well clusters match labels that the
//! network has never seen.

pub mod baselines;
pub mod features;
pub mod kmeans;
pub(crate) mod sampling;

use rayon::prelude::*;
use serde::Serialize;
use slotcon_data::labelled::{ClassTable, Classes, Pair};
use slotcon_data::picture::DecodeOptions;
use slotcon_data::{LabelMap, Picture};
use slotcon_metrics::{Assignment, ClusterScore, Confusion, Matching};

use crate::clusters::baselines::{ColourClusters, ColourConfig, PixelFeatures};
use crate::clusters::features::FeatureClusters;
use crate::error::Error;
use crate::pictures::{ProgressSink, Silent};
use crate::segment::Segmenter;

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
        Segmenter::clusters(self)
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

/// One segment for everything: what a number means that is not above it.
#[derive(Debug, Clone, Copy)]
struct OneSegment;

impl Clusterer for OneSegment {
    fn clusters(&self) -> usize {
        1
    }

    fn assign(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        Ok(vec![0; picture.width() as usize * picture.height() as usize])
    }
}

/// Pictures with labels, as they are measured: short side resized, centre cut out.
#[derive(Debug)]
pub struct TestSet {
    pictures: Vec<(Picture, LabelMap)>,
    classes: Classes,
    side: u32,
    /// Label maps whose files have another size than their pictures.
    other_size: usize,
}

impl TestSet {
    /// Reads all `pairs`; they are kept in memory, 5 bytes a pixel.
    ///
    /// # Errors
    /// The first pair that cannot be used.
    pub fn load(pairs: &[Pair], classes: Classes, side: u32, options: &DecodeOptions) -> Result<Self, Error> {
        let table = ClassTable::new(&classes).map_err(Error::Argument)?;
        let loaded = pairs
            .par_iter()
            .map(|pair| pair.load(side, &table, options))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            other_size: loaded.iter().filter(|found| found.other_size).count(),
            pictures: loaded
                .into_iter()
                .map(|found| (found.picture, found.labels))
                .collect(),
            classes,
            side,
        })
    }

    /// What the labels hold that one should know before believing a number: the part that is ignored, classes that never
    /// occur, maps that look like masks of one thing.
    pub fn notes(&self) -> Vec<String> {
        let (mut pixels, mut ignored) = (vec![0u64; self.classes()], 0u64);
        for id in self.pictures.iter().flat_map(|(_, labels)| labels.ids()) {
            match pixels.get_mut(usize::from(*id)) {
                Some(count) if *id != self.classes.ignore_index => *count += 1,
                _ => ignored += 1,
            }
        }
        let all = ignored + pixels.iter().sum::<u64>();
        let share = 100.0 * ignored as f64 / all.max(1) as f64;
        let mut notes = vec![format!("{share:.1} % of the labelled pixels are ignored")];
        if self.other_size > 0 {
            notes.push(format!(
                "{} label maps have another size than their pictures, in the same proportions: both are resized to {} px",
                self.other_size, self.side
            ));
        }
        let named = pixels.iter().zip(&self.classes.classes);
        let absent = Vec::from_iter(
            named
                .filter(|(count, _)| **count == 0)
                .map(|(_, name)| name.as_str()),
        );
        if !absent.is_empty() {
            notes.push(format!(
                "warning: {} of {} classes never occur in the label maps: {}",
                absent.len(),
                pixels.len(),
                absent.join(", ")
            ));
        }
        if absent.len() + 1 == pixels.len() && ignored > 0 {
            notes.push(format!(
                "warning: the label maps hold a single class beside {}, which is ignored: they look like masks of one thing, and \
                 any clusters would score 100 %. Write class numbers (0 for background, 1 for the thing), or map them by \"ids\" \
                 in the classes file",
                self.classes.ignore_index
            ));
        }
        notes
    }

    /// The names of the classes.
    pub fn names(&self) -> &[String] {
        &self.classes.classes
    }

    /// The pictures, each cut to the central square.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.pictures.iter().map(|(picture, _)| picture)
    }

    /// What is measured on, in words.
    pub fn description(&self) -> String {
        format!(
            "{} pictures, short side {} px, centre crop, {} classes",
            self.pictures.len(),
            self.side,
            self.classes()
        )
    }

    /// C, the number of classes.
    pub fn classes(&self) -> usize {
        self.classes.classes.len()
    }

    /// The clusters of every picture against the labels: one confusion matrix over the whole set.
    ///
    /// # Errors
    /// Whatever keeps a picture from being segmented.
    pub fn confusion(&self, clusterer: &dyn Clusterer) -> Result<Confusion, Error> {
        self.confusion_with(clusterer, &mut Silent)
    }

    /// The same, with `progress` told of every picture.
    ///
    /// # Errors
    /// Whatever keeps a picture from being segmented.
    pub fn confusion_with(
        &self,
        clusterer: &dyn Clusterer,
        progress: &mut dyn ProgressSink,
    ) -> Result<Confusion, Error> {
        let mut confusion = self.nothing_counted(clusterer.clusters());
        progress.begin("measuring", self.pictures.len());
        for (picture, labels) in &self.pictures {
            confusion.add(labels.ids(), &clusterer.assign(picture)?)?;
            progress.done();
        }
        Ok(confusion)
    }

    fn nothing_counted(&self, clusters: usize) -> Confusion {
        Confusion::new(self.classes(), clusters, self.classes.ignore_index)
    }

    /// The classes of the labels.
    pub fn class_names(&self) -> &[String] {
        &self.classes.classes
    }

    /// What a confusion matrix over this set amounts to.
    ///
    /// # Errors
    /// A set in which every pixel is ignored.
    pub fn score(&self, confusion: &Confusion, matching: Matching) -> Result<Measured, Error> {
        self.score_as(confusion, Assignment::of(confusion, matching))
    }

    /// The same where each cluster stands for the class that `assignment` gives it.
    ///
    /// # Errors
    /// A set in which every pixel is ignored.
    pub fn score_as(&self, confusion: &Confusion, assignment: Assignment) -> Result<Measured, Error> {
        let score = ClusterScore::as_assigned(confusion, assignment)?;
        let names = self.classes.classes.iter().cloned();
        let part = |classes: std::ops::Range<usize>| SubsetScore::of(&score, confusion, classes);
        let things = self.classes.things;
        Ok(Measured {
            miou: score.miou,
            pixel_accuracy: score.pixel_accuracy,
            clusters: confusion.clusters(),
            clusters_used: score.clusters_used,
            things: things.and_then(|n| part(0..n)),
            stuff: things.and_then(|n| part(n..self.classes())),
            iou: names.zip(score.iou.iter().copied()).collect(),
        })
    }

    /// Both at once.
    ///
    /// # Errors
    /// As the two.
    pub fn measure(&self, clusterer: &dyn Clusterer, matching: Matching) -> Result<Measured, Error> {
        self.score(&self.confusion(clusterer)?, matching)
    }

    /// k-means of the network's dense features to as many clusters as there are classes, once for each seed.
    ///
    /// # Errors
    /// Whatever keeps a picture from being segmented.
    pub fn measure_features(
        &self,
        segmenter: &Segmenter,
        seeds: std::ops::Range<u64>,
        matching: Matching,
    ) -> Result<Vec<Measured>, Error> {
        let pictures: Vec<&Picture> = self.pictures().collect();
        let fits = FeatureClusters::fit(segmenter, &pictures, self.classes(), seeds)?;
        let mut confusions: Vec<Confusion> = fits
            .iter()
            .map(|fit| self.nothing_counted(fit.clusters()))
            .collect();
        for (picture, labels) in &self.pictures {
            let features = segmenter.features(picture)?;
            for (fit, confusion) in fits.iter().zip(&mut confusions) {
                confusion.add(labels.ids(), &fit.assign(&features, picture)?)?;
            }
        }
        confusions
            .iter()
            .map(|confusion| self.score(confusion, matching))
            .collect()
    }

    /// One segment for everything.
    ///
    /// # Errors
    /// A set in which every pixel is ignored.
    pub fn measure_one_segment(&self, matching: Matching) -> Result<Measured, Error> {
        self.measure(&OneSegment, matching)
    }

    /// k-means of what single pixels show, as many clusters as there are classes.
    ///
    /// # Errors
    /// No pictures.
    pub fn colour_clusters(&self, features: PixelFeatures, seed: u64) -> Result<ColourClusters, Error> {
        let pictures: Vec<&Picture> = self.pictures().collect();
        let mut config = ColourConfig {
            features,
            ..ColourConfig::default()
        };
        config.kmeans.clusters = self.classes();
        config.kmeans.seed = seed;
        Ok(ColourClusters::fit(pictures, &config)?)
    }

    /// How it is measured, in words.
    pub fn protocol(&self, matching: Matching) -> String {
        self.protocol_with(match matching {
            Matching::Hungarian => "one-to-one (Hungarian) matching",
            Matching::Majority => "every cluster matched to the class it has most of",
        })
    }

    /// The same where clusters came to classes as `matched` says.
    pub fn protocol_with(&self, matched: &str) -> String {
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
    /// Of the things alone, where the classes say which they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub things: Option<SubsetScore>,
    /// Of the stuff alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuff: Option<SubsetScore>,
    /// By class name; `null` for a class that does not occur.
    #[serde(serialize_with = "as_map")]
    pub iou: Vec<(String, Option<f64>)>,
}

/// Some of the classes, by the same matching as all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SubsetScore {
    /// Mean over those of them that occur, 0 to 1.
    pub miou: f64,
    /// Share of their pixels in the right class, 0 to 1.
    pub pixel_accuracy: f64,
}

impl SubsetScore {
    /// None where none of them occurs.
    fn of(score: &ClusterScore, confusion: &Confusion, classes: std::ops::Range<usize>) -> Option<Self> {
        let iou: Vec<f64> = score.iou[classes.clone()].iter().copied().flatten().collect();
        let pixels: u64 = classes.clone().map(|class| confusion.class_size(class)).sum();
        let correct: u64 = score.correct[classes].iter().sum();
        (pixels > 0).then(|| Self {
            miou: iou.iter().sum::<f64>() / iou.len() as f64,
            pixel_accuracy: correct as f64 / pixels as f64,
        })
    }
}

/// Mean and standard deviation (of the sample) over several seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; 0 for a single value.
    pub std: f64,
}

impl Spread {
    /// Of `values`; none where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Self {
            mean,
            std: (squares / (n - 1.0).max(1.0)).sqrt(),
        })
    }
}

/// A list of pairs as a JSON object in the same order.
pub(crate) fn as_map<S: serde::Serializer>(
    pairs: &[(String, Option<f64>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, iou)| (name, iou)))
}
