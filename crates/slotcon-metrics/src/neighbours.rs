//! What nearest neighbours say: their votes, the classes of a picture's places, and k-nearest-neighbour accuracy.
//!
//! The neighbours themselves come from the caller, the nearest first. A vote's weight is w_i = exp(s_i/τ) / Σ_j exp(s_j/τ), with
//! s the cosine similarity and τ the temperature, or 1/k.

use crate::error::Error;

/// How much each neighbour counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Vote {
    /// Every one the same.
    Equal,
    /// By the softmax of similarity over this temperature.
    Softmax(f64),
}

impl Vote {
    /// Weights of neighbours of these similarities; they sum to 1.
    pub fn weights(self, similarities: &[f32]) -> Vec<f64> {
        let scaled: Vec<f64> = match self {
            Self::Equal => vec![0.0; similarities.len()],
            Self::Softmax(temperature) => similarities
                .iter()
                .map(|&similarity| f64::from(similarity) / temperature)
                .collect(),
        };
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = scaled.iter().map(|s| (s - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }
}

/// The mean of the neighbours' histograms, weighted by `vote`: class probabilities, `[C]`. `histograms` is `[N, C]`, row by row;
/// `neighbours` are rows of it, `similarities` theirs.
///
/// # Panics
/// When a neighbour is no row, or there are not as many similarities.
pub fn blend(
    vote: Vote,
    neighbours: &[usize],
    similarities: &[f32],
    histograms: &[f32],
    classes: usize,
) -> Vec<f32> {
    assert_eq!(neighbours.len(), similarities.len(), "one similarity a neighbour");
    let mut sums = vec![0f64; classes];
    for (&row, weight) in neighbours.iter().zip(vote.weights(similarities)) {
        for (sum, &share) in sums.iter_mut().zip(&histograms[row * classes..][..classes]) {
            *sum += weight * f64::from(share);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// Class histograms of the places of a grid of `rows` x `columns` over a label map, `[rows, columns, C]`: the share of each class
/// in the labelled pixels of the place. Pixels that are `ignore` count for nothing; a place without labelled pixels is all
/// zeros. A pixel belongs to the place that its centre lies in.
///
/// # Errors
/// A label that is no class; a map that has not `width` x `height` labels.
pub fn place_histograms(
    labels: &[u16],
    (width, height): (usize, usize),
    (rows, columns): (usize, usize),
    classes: usize,
    ignore: u16,
) -> Result<Vec<f32>, Error> {
    if labels.len() != width * height {
        return Err(Error::Length {
            labels: labels.len(),
            predictions: width * height,
        });
    }
    let place = |pixel: usize, pixels: usize, places: usize| (2 * pixel + 1) * places / (2 * pixels);
    let mut counts = vec![0f32; rows * columns * classes];
    for (pixel, &label) in labels.iter().enumerate().filter(|(_, label)| **label != ignore) {
        if usize::from(label) >= classes {
            return Err(Error::Label {
                pixel,
                label,
                classes,
                ignore,
            });
        }
        let (row, column) = (
            place(pixel / width, height, rows),
            place(pixel % width, width, columns),
        );
        counts[(row * columns + column) * classes + usize::from(label)] += 1.0;
    }
    for place in counts.chunks_exact_mut(classes.max(1)) {
        let all: f32 = place.iter().sum();
        if all > 0.0 {
            place.iter_mut().for_each(|count| *count /= all);
        }
    }
    Ok(counts)
}

/// Whether the right class is the first, and whether it is among the first five, counted for several numbers of neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct KnnCount {
    vote: Vote,
    classes: usize,
    ks: Vec<usize>,
    first: Vec<u64>,
    among_five: Vec<u64>,
    queries: u64,
}

/// Accuracy by k nearest neighbours, both in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnnAccuracy {
    /// Neighbours that vote.
    pub k: usize,
    /// Share of the queries whose class has most votes.
    pub top1: f64,
    /// Share of the queries whose class is among the five with most votes.
    pub top5: f64,
}

impl KnnCount {
    /// Nothing counted yet, for each of `ks` neighbours.
    pub fn new(vote: Vote, classes: usize, mut ks: Vec<usize>) -> Self {
        ks.sort_unstable();
        ks.dedup();
        Self {
            vote,
            classes,
            first: vec![0; ks.len()],
            among_five: vec![0; ks.len()],
            ks,
            queries: 0,
        }
    }

    /// The largest k: so many neighbours [`KnnCount::add`] wants.
    pub fn most(&self) -> usize {
        self.ks.last().copied().unwrap_or(0)
    }

    /// Counts a query of class `class` whose neighbours, the nearest first, have these classes and similarities. Of two classes
    /// with the same votes the one with the lower number is first.
    ///
    /// # Panics
    /// When there are fewer neighbours than the largest k, or a class is out of range.
    pub fn add(&mut self, class: usize, neighbours: &[usize], similarities: &[f32]) {
        let most = self.most();
        let weights = self.vote.weights(&similarities[..most]);
        let mut votes = vec![0f64; self.classes];
        let mut voted = 0;
        for (i, &k) in self.ks.iter().enumerate() {
            for (&neighbour, weight) in neighbours[voted..k].iter().zip(&weights[voted..k]) {
                votes[neighbour] += weight;
            }
            voted = k;
            let before =
                |other: usize| votes[other] > votes[class] || (votes[other] == votes[class] && other < class);
            // A class without a vote is not predicted.
            let place = (votes[class] > 0.0).then(|| (0..self.classes).filter(|&c| before(c)).count());
            self.first[i] += u64::from(place == Some(0));
            self.among_five[i] += u64::from(place.is_some_and(|place| place < 5));
        }
        self.queries += 1;
    }

    /// What was counted, by k, ascending.
    ///
    /// # Errors
    /// [`Error::NothingCounted`] without queries.
    pub fn accuracy(&self) -> Result<Vec<KnnAccuracy>, Error> {
        if self.queries == 0 {
            return Err(Error::NothingCounted);
        }
        let share = |count: u64| count as f64 / self.queries as f64;
        let counts = self.ks.iter().zip(self.first.iter().zip(&self.among_five));
        Ok(counts
            .map(|(&k, (&first, &five))| KnnAccuracy {
                k,
                top1: share(first),
                top5: share(five),
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_by_hand() {
        // Differences of τ ln 2 halve the weight.
        let step = (0.5 * std::f64::consts::LN_2) as f32;
        let weights = Vote::Softmax(0.5).weights(&[0.9, 0.9 - step, 0.9 - 2.0 * step]);
        for (weight, expected) in weights.iter().zip([4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0]) {
            assert!((weight - expected).abs() < 1e-6, "{weights:?}");
        }
        assert_eq!(Vote::Equal.weights(&[0.9, -3.0]), [0.5, 0.5]);
    }

    #[test]
    fn a_blend_is_the_mean_histogram() {
        let histograms = [1.0, 0.0, 0.5, 0.5, 0.0, 1.0];
        assert_eq!(
            blend(Vote::Equal, &[2, 1], &[0.0, 0.0], &histograms, 2),
            [0.25, 0.75]
        );
        let near = blend(Vote::Softmax(0.02), &[0, 2], &[1.0, -1.0], &histograms, 2);
        assert!(near[0] > 0.999_999, "{near:?}");
    }

    #[test]
    fn histograms_of_places_by_hand() {
        // Three columns of pixels on two of places: the middle one's centre is the beginning of the right place.
        let labels = [0, 1, 1, 255, 255, 0];
        let found = place_histograms(&labels, (3, 2), (1, 2), 2, 255).unwrap();
        assert_eq!(found, [1.0, 0.0, 1.0 / 3.0, 2.0 / 3.0]);
        let found = place_histograms(&labels, (3, 2), (2, 2), 2, 255).unwrap();
        assert_eq!(found, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
        let error = place_histograms(&[0, 9], (2, 1), (1, 1), 2, 255).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Label {
                    pixel: 1,
                    label: 9,
                    ..
                }
            ),
            "{error}"
        );
        assert!(place_histograms(&[0], (2, 1), (1, 1), 2, 255).is_err());
    }

    #[test]
    fn accuracy_by_hand() {
        let mut count = KnnCount::new(Vote::Equal, 7, vec![3, 1, 3]);
        assert_eq!(count.accuracy(), Err(Error::NothingCounted));
        assert_eq!(count.most(), 3);
        // The nearest is right; of three the two of class 1 win, and class 0 comes second.
        count.add(0, &[0, 1, 1], &[0.9, 0.8, 0.7]);
        // The nearest is wrong; of three the two of class 2 win.
        count.add(2, &[4, 2, 2], &[0.9, 0.8, 0.7]);
        // Never voted for.
        count.add(6, &[4, 2, 2], &[0.9, 0.8, 0.7]);
        let [one, three] = count.accuracy().unwrap()[..] else {
            panic!("two numbers of neighbours");
        };
        assert_eq!((one.k, one.top1, one.top5), (1, 1.0 / 3.0, 1.0 / 3.0));
        assert_eq!((three.k, three.top1, three.top5), (3, 1.0 / 3.0, 2.0 / 3.0));
    }

    #[test]
    fn near_neighbours_weigh_more_than_many() {
        let mut count = KnnCount::new(Vote::Softmax(0.07), 2, vec![3]);
        count.add(0, &[0, 1, 1], &[0.9, 0.5, 0.5]);
        assert_eq!(count.accuracy().unwrap()[0].top1, 1.0);
    }
}
