//! Which boxes of many the losses are computed on.

use slotcon_data::rng::{Purpose, Stream};

/// What is chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Anchors, for the region proposal network.
    Anchors,
    /// Proposals, for the heads.
    Proposals,
}

/// The boxes of one kind in a picture, by their number in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates {
    /// What they are.
    pub stage: Stage,
    /// Position of their picture in the batch.
    pub picture: usize,
    /// Whether they stand for an object.
    pub positive: bool,
    /// How many there are.
    pub count: usize,
}

/// Chooses some of several boxes.
pub trait Choose {
    /// The numbers (below `of.count`, no two equal) of `take` of them, in the order in which they are used.
    fn choose(&mut self, of: Candidates, take: usize) -> Vec<usize>;
}

/// Chooses at random, as a function of the run's seed, the step and the sample.
#[derive(Debug)]
pub struct Drawn {
    /// The run's seed.
    pub seed: u64,
    /// The step, from 0.
    pub step: u64,
    /// Number of the batch's first picture among those of the step, over all ranks.
    pub first: u64,
}

impl Choose for Drawn {
    /// Every choice and every order equally likely: the first steps of Fisher and Yates' shuffle.
    fn choose(&mut self, of: Candidates, take: usize) -> Vec<usize> {
        let purpose = match of.stage {
            Stage::Anchors => Purpose::Anchors,
            Stage::Proposals => Purpose::Proposals,
        };
        let sample = self.first + of.picture as u64;
        let mut random = Stream::new(self.seed, self.step, sample, purpose, u32::from(of.positive));
        let mut numbers = Vec::from_iter(0..of.count);
        let take = take.min(of.count);
        for at in 0..take {
            let other = at + random.below((of.count - at) as u64) as usize;
            numbers.swap(at, other);
        }
        numbers.truncate(take);
        numbers
    }
}

/// What was chosen of a picture's boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Those that stand for an object.
    pub positive: Vec<i64>,
    /// Those that stand for nothing.
    pub negative: Vec<i64>,
}

/// Boxes a picture, and how many of them at most stand for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// All of them.
    pub total: usize,
    /// Those that stand for an object.
    pub positive: usize,
}

impl Sampling {
    /// Chooses by `labels` (1: positive, 0: negative, others: neither) of picture `picture`.
    pub fn sample(self, labels: &[i8], stage: Stage, picture: usize, choose: &mut dyn Choose) -> Chosen {
        let mut of = |label: i8, limit: usize| {
            let numbers = labels.iter().enumerate().filter(|(_, found)| **found == label);
            let numbers = Vec::from_iter(numbers.map(|(number, _)| number as i64));
            let candidates = Candidates {
                stage,
                picture,
                positive: label == 1,
                count: numbers.len(),
            };
            let chosen = choose.choose(candidates, limit.min(numbers.len()));
            Vec::from_iter(chosen.into_iter().map(|number| numbers[number]))
        };
        let positive = of(1, self.positive);
        let negative = of(0, self.total - positive.len());
        Chosen { positive, negative }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(step: u64, first: u64, picture: usize, take: usize) -> Vec<usize> {
        let candidates = Candidates {
            stage: Stage::Anchors,
            picture,
            positive: false,
            count: 50,
        };
        Drawn { seed: 1, step, first }.choose(candidates, take)
    }

    #[test]
    fn a_choice_is_a_function_of_step_and_sample_over_all_ranks() {
        assert_eq!(drawn(3, 0, 2, 9), drawn(3, 2, 0, 9));
        assert_ne!(drawn(3, 0, 2, 9), drawn(4, 0, 2, 9));
        assert_ne!(drawn(3, 0, 2, 9), drawn(3, 0, 1, 9));
    }

    #[test]
    fn every_box_is_chosen_equally_often_and_never_twice() {
        let mut counts = [0; 50];
        for step in 0..2000 {
            let mut chosen = drawn(step, 0, 0, 10);
            chosen.iter().for_each(|&number| counts[number] += 1);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 10);
        }
        assert!(counts.iter().all(|n| (320..480).contains(n)), "{counts:?}");
    }

    #[test]
    fn negatives_fill_what_positives_leave() {
        let labels = [1, 0, -1, 0, 1, 0, 1, 0];
        let sampling = Sampling {
            total: 5,
            positive: 2,
        };
        let mut all = Drawn {
            seed: 0,
            step: 0,
            first: 0,
        };
        let chosen = sampling.sample(&labels, Stage::Proposals, 0, &mut all);
        assert_eq!((chosen.positive.len(), chosen.negative.len()), (2, 3));
        assert!(chosen.positive.iter().all(|&i| labels[i as usize] == 1));
        assert!(chosen.negative.iter().all(|&i| labels[i as usize] == 0));
        let few = sampling.sample(&[0, -1, 1], Stage::Proposals, 0, &mut all);
        assert_eq!((few.positive, few.negative), (vec![2], vec![0]));
    }
}
