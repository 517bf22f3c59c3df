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

#[cfg(test)]
mod tests {
    use slotcon_data::rng::Purpose;

    use super::*;

    fn random() -> Stream {
        Stream::new(0, 0, 0, Purpose::Positions, 0)
    }

    /// A row of places with these features of two dimensions.
    fn row(places: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(&places.concat()).reshape([1, places.len() as i64, 2])
    }

    #[test]
    fn retrieval_by_hand() {
        // Four pixels on two places: all of class 0; half of class 1, the rest ignored. The third place has no labels.
        let labels = LabelMap::new(6, 1, vec![0, 0, 1, 255, 255, 255]);
        let features = row(&[[1.0, 0.0], [0.0, 5.0], [1.0, 0.1]]);
        let mut places = Places::new(2, 255);
        places.add(&features, &labels, 9, &mut random()).unwrap();
        assert_eq!(places.labelled(), 2);
        // Of this one nothing is wanted.
        places.add(&features, &labels, 0, &mut random()).unwrap();
        assert_eq!(places.labelled(), 4);
        let memory = places.remember(Likeness::Cosine, 2, Vote::Softmax(1.0)).unwrap();
        assert_eq!(memory.places(), 2);

        // Cosines 0.8 and 0.6 with the two: weights e^0.8 and e^0.6 over their sum.
        let found = memory.probabilities(&row(&[[4.0, 3.0]])).unwrap();
        let found: Vec<f32> = Vec::try_from(found.flatten(0, -1)).unwrap();
        let first = 0.8f32.exp() / (0.8f32.exp() + 0.6f32.exp());
        assert!(
            (found[0] - first).abs() < 1e-6 && (found[1] - (1.0 - first)).abs() < 1e-6,
            "{found:?}"
        );
        // One place near each: the border lies in the middle.
        let asked = row(&[[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(memory.label(&asked, (8, 1)).unwrap(), [0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn too_few_labelled_places_are_told() {
        let mut places = Places::new(2, 255);
        let labels = LabelMap::new(2, 1, vec![255, 1]);
        let features = row(&[[1.0, 0.0], [0.0, 1.0]]);
        places.add(&features, &labels, 9, &mut random()).unwrap();
        let error = places.remember(Likeness::Cosine, 2, Vote::Equal).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("1 labelled places has no 2 neighbours"),
            "{error}"
        );
    }
}
