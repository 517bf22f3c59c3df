//! Labelled places of pictures, and the classes of other places by them.

use slotcon_data::LabelMap;
use slotcon_data::rng::Stream;
use slotcon_metrics::neighbours::{Vote, blend, place_histograms};
use tch::{Device, Tensor};

use crate::clusters::sampling::stratified;
use crate::error::Error;
use crate::neighbours::{Likeness, Memory};
use crate::segment::upsample::winners;

/// Labelled places while they are gathered.
#[derive(Debug)]
pub struct Places {
    classes: usize,
    ignore: u16,
    /// `[n, D]` of each picture.
    rows: Vec<Tensor>,
    /// `[N, C]`, row by row.
    histograms: Vec<f32>,
    labelled: usize,
}

impl Places {
    /// None yet, of so many classes; labels `ignore` count for nothing.
    pub fn new(classes: usize, ignore: u16) -> Self {
        Self {
            classes,
            ignore,
            rows: Vec::new(),
            histograms: Vec::new(),
            labelled: 0,
        }
    }

    /// Adds at most `most` places of a picture with features `[h, w, D]` and these labels, drawn by `random` from evenly long
    /// stretches of those that have a labelled pixel.
    ///
    /// # Errors
    /// A label that is no class; a failure of libtorch.
    pub fn add(
        &mut self,
        features: &Tensor,
        labels: &LabelMap,
        most: usize,
        random: &mut Stream,
    ) -> Result<(), Error> {
        let (h, w, dims) = features.size3()?;
        let (size, grid) = (
            (labels.width() as usize, labels.height() as usize),
            (h as usize, w as usize),
        );
        let all = place_histograms(labels.ids(), size, grid, self.classes, self.ignore)?;
        let of = |place: usize| &all[place * self.classes..][..self.classes];
        let labelled = |place: &usize| of(*place).iter().any(|&share| share > 0.0);
        let labelled: Vec<usize> = (0..grid.0 * grid.1).filter(labelled).collect();
        self.labelled += labelled.len();
        let mut drawn = Vec::new();
        for i in stratified(labelled.len(), most, random) {
            self.histograms.extend_from_slice(of(labelled[i]));
            drawn.push(labelled[i] as i64);
        }
        let drawn = Tensor::from_slice(&drawn).to_device(features.device());
        self.rows
            .push(features.reshape([h * w, dims]).f_index_select(0, &drawn)?);
        Ok(())
    }

    /// How many places of the pictures have a labelled pixel, drawn or not.
    pub fn labelled(&self) -> usize {
        self.labelled
    }

    /// Makes them a memory that is asked for `neighbours` of every place.
    ///
    /// # Errors
    /// No labelled place, or fewer than `neighbours`; a failure of libtorch, such as too little memory.
    pub fn remember(
        self,
        likeness: Likeness,
        neighbours: usize,
        vote: Vote,
    ) -> Result<LabelledMemory, Error> {
        let count = self.histograms.len() / self.classes.max(1);
        if count < neighbours.max(1) {
            return Err(Error::Argument(format!(
                "a memory of {count} labelled places has no {neighbours} neighbours: label more pictures or ask for fewer \
                 neighbours"
            )));
        }
        Ok(LabelledMemory {
            memory: Memory::new(&Tensor::f_cat(&self.rows, 0)?, likeness)?,
            histograms: self.histograms,
            classes: self.classes,
            neighbours,
            vote,
        })
    }
}

/// Places with features and class histograms, to be asked for their like.
#[derive(Debug)]
pub struct LabelledMemory {
    memory: Memory,
    /// `[N, C]`, row by row.
    histograms: Vec<f32>,
    classes: usize,
    neighbours: usize,
    vote: Vote,
}

impl LabelledMemory {
    /// N, the number of places.
    pub fn places(&self) -> usize {
        self.memory.len()
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Class probabilities `[h, w, C]` of places with features `[h, w, D]`: the histograms of their neighbours, by their votes.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn probabilities(&self, features: &Tensor) -> Result<Tensor, Error> {
        let (h, w, dims) = features.size3()?;
        let nearest = self
            .memory
            .nearest(&features.reshape([h * w, dims]), self.neighbours)?;
        let blended = nearest
            .each()
            .flat_map(|(rows, likeness)| blend(self.vote, rows, likeness, &self.histograms, self.classes));
        let blended: Vec<f32> = blended.collect();
        Ok(Tensor::from_slice(&blended).reshape([h, w, self.classes as i64]))
    }

    /// The class of every pixel of a picture of `width` x `height`, row by row: probabilities are brought to its size bilinearly
    /// first.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn label(&self, features: &Tensor, (width, height): (u32, u32)) -> Result<Vec<u16>, Error> {
        let probabilities = self.probabilities(features)?.to_device(Device::Cpu);
        Ok(winners(&probabilities, i64::from(height), i64::from(width))?)
    }
}
