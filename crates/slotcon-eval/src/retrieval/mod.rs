//! Dense in-context retrieval: what features are worth to somebody who labels, without training anything (Balažević et al.,
//! *Towards In-context Scene Understanding*, 2023).
//!
//! A memory holds places of labelled pictures, each with its features and its class histogram. A place of another picture gets
//! the mean histogram of its nearest neighbours in it, weighted by the softmax of cosine over temperature; these class
//! probabilities are brought to the label map's size and scored. Pixels with the ignored label count for nothing: they are in no
//! histogram, places without other pixels are not remembered, and nothing is asked of them.

mod features;
mod memory;

use rayon::prelude::*;
use serde::Serialize;
use slotcon_data::Picture;
use slotcon_data::labelled::{ClassTable, Classes, LabelledPicture, Pair};
use slotcon_data::picture::DecodeOptions;
use slotcon_data::rng::{Purpose, Stream};
use slotcon_metrics::SemanticScore;
use tch::Tensor;

pub(crate) use features::positions;
pub use features::{ColourAndPlace, NetworkFeatures, NetworkPlaces, PlaceFeatures};
pub use memory::{LabelledMemory, Places};

use crate::clusters::{Clusterer, TestSet, as_map};
use crate::error::Error;
use crate::pictures::ProgressSink;
use crate::whitening::views::Recolouring;
use crate::whitening::{Whitening, Within};

/// Labelled pictures decoded at a time.
const CHUNK: usize = 16;

/// How it is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrievalConfig {
    /// Places that are remembered, evenly many of each picture; fewer where there are not as many.
    pub memory: usize,
    /// k, the neighbours that vote.
    pub neighbours: usize,
    /// Temperature of the softmax over their cosines.
    pub temperature: f64,
    /// Which places are remembered.
    pub seed: u64,
    /// Short side to which the pictures of the memory are resized before the centre is cut out.
    pub side: u32,
}

impl Default for RetrievalConfig {
    /// The smallest published memory, 1024 · 10², and the published k and temperature.
    fn default() -> Self {
        Self {
            memory: 102_400,
            neighbours: 30,
            temperature: 0.02,
            seed: 0,
            side: 320,
        }
    }
}

impl RetrievalConfig {
    /// Fills a memory from `pairs`, a few of which are in memory at a time.
    ///
    /// # Errors
    /// The first pair that cannot be used; fewer labelled places than neighbours.
    pub fn remember<'a>(
        &self,
        features: &'a dyn PlaceFeatures,
        pairs: &[Pair],
        classes: &Classes,
        options: &DecodeOptions,
        progress: &mut dyn ProgressSink,
    ) -> Result<Retrieval<'a>, Error> {
        let table = ClassTable::new(classes).map_err(Error::Argument)?;
        let mut places = Places::new(classes.classes.len(), classes.ignore_index);
        progress.begin("remembering", pairs.len());
        // So many places of the first `pictures`.
        let share = |pictures: usize| self.memory * pictures / pairs.len().max(1);
        self.each(pairs, &table, options, progress, |number, seen| {
            let most = share(number + 1) - share(number);
            let mut random = Stream::new(self.seed, 0, number as u64, Purpose::Positions, 0);
            places.add(&features.places(&seen.picture)?, &seen.labels, most, &mut random)
        })?;
        let labelled = places.labelled();
        let vote = features.vote(self.temperature);
        Ok(Retrieval {
            memory: places.remember(features.likeness(), self.neighbours, vote)?,
            features,
            labelled,
        })
    }
}

impl RetrievalConfig {
    /// How `features` change with the colours of the pictures of `pairs`, whose labels are not looked at.
    ///
    /// # Errors
    /// The first pair that cannot be used; none at all.
    pub fn whitening(
        &self,
        features: &NetworkPlaces,
        pairs: &[Pair],
        classes: &Classes,
        options: &DecodeOptions,
        progress: &mut dyn ProgressSink,
    ) -> Result<Whitening, Error> {
        let _guard = tch::no_grad_guard();
        let table = ClassTable::new(classes).map_err(Error::Argument)?;
        let mut recolouring = Recolouring::new(&features.segmenter.recipe().data.augment, self.seed);
        let mut within: Option<Within> = None;
        progress.begin("looking at colours", pairs.len());
        self.each(pairs, &table, options, progress, |number, seen| {
            let views = recolouring.views(&seen.picture, number as u64);
            let views = views.iter().map(|view| features.raw(view));
            let views = Tensor::f_stack(&views.collect::<Result<Vec<_>, _>>()?, 0)?;
            let within = within.get_or_insert_with(|| Within::new(views.size()[3]));
            within.add_views(&views)
        })?;
        let within = within.ok_or_else(|| Error::Argument("there is no picture to look at".into()))?;
        Whitening::new(&within)?.to(features.segmenter.device())
    }

    /// Hands over `pairs` in their order with their numbers, a few of which are in memory at a time.
    fn each(
        &self,
        pairs: &[Pair],
        table: &ClassTable,
        options: &DecodeOptions,
        progress: &mut dyn ProgressSink,
        mut take: impl FnMut(usize, &LabelledPicture) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (chunk, first) in pairs.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let load = |pair: &Pair| pair.load(self.side, table, options);
            let loaded: Vec<LabelledPicture> = chunk.par_iter().map(load).collect::<Result<_, _>>()?;
            for (number, seen) in (first..).zip(&loaded) {
                take(number, seen)?;
                progress.done();
            }
        }
        Ok(())
    }
}

/// A memory, and the features by which it is asked.
pub struct Retrieval<'a> {
    features: &'a dyn PlaceFeatures,
    memory: LabelledMemory,
    labelled: usize,
}

impl Retrieval<'_> {
    /// The number of places in the memory.
    pub fn places(&self) -> usize {
        self.memory.places()
    }

    /// The number of labelled places that it was drawn from.
    pub fn labelled(&self) -> usize {
        self.labelled
    }

    /// Asks it for the class of every pixel of `set`.
    ///
    /// # Errors
    /// A set in which every pixel is ignored; whatever keeps a picture from being looked at.
    pub fn measure(&self, set: &TestSet, progress: &mut dyn ProgressSink) -> Result<Retrieved, Error> {
        let score = SemanticScore::of(&set.confusion_with(self, progress)?)?;
        let names = set.names().iter().cloned();
        Ok(Retrieved {
            miou: score.miou,
            pixel_accuracy: score.pixel_accuracy,
            places: self.places(),
            iou: names.zip(score.iou).collect(),
        })
    }
}

impl Clusterer for Retrieval<'_> {
    fn clusters(&self) -> usize {
        self.memory.classes()
    }

    fn assign(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        let size = (picture.width(), picture.height());
        self.memory.label(&self.features.places(picture)?, size)
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieved {
    /// Mean intersection over union of the classes that are labelled or predicted somewhere, 0 to 1.
    pub miou: f64,
    /// Share of the pixels in the right class, 0 to 1.
    pub pixel_accuracy: f64,
    /// Places in the memory.
    pub places: usize,
    /// By class name; `null` for a class that is neither labelled nor predicted.
    #[serde(serialize_with = "as_map")]
    pub iou: Vec<(String, Option<f64>)>,
}
