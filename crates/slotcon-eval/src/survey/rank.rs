//! Branch pictures show a prototype best: the ranking of the official gallery, in memory that does not grow with the folder.

use tch::{Kind, Tensor};

use crate::error::Error;

/// What keeps positions that a prototype does not win from being left out altogether (official `masks_adder`).
const EPS: f64 = 1e-6;

/// A picture and how well it shows a prototype.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The picture's number.
    pub picture: usize,
    /// Mean cosine similarity of the positions that the prototype wins.
    pub score: f32,
}

/// The best pictures of every prototype so far, and how much each wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    top: usize,
    best: Vec<Vec<Hit>>,
    positions: Vec<u64>,
    pictures: Vec<u64>,
    looked_at: u64,
}

impl Ranking {
    /// Of `prototypes`, keeping `top` pictures for each.
    pub fn new(prototypes: usize, top: usize) -> Self {
        Self {
            top,
            best: vec![Vec::new(); prototypes],
            positions: vec![0; prototypes],
            pictures: vec![0; prototypes],
            looked_at: 0,
        }
    }

    /// Takes picture number `picture` into account, by its scores `[N, K]`.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn add(&mut self, picture: usize, scores: &Tensor) -> Result<(), Error> {
        self.looked_at += 1;
        let (means, counts) = picture_scores(scores)?;
        for (k, (score, count)) in means.into_iter().zip(counts).enumerate() {
            self.positions[k] += count as u64;
            self.pictures[k] += u64::from(count > 0);
            let best = &mut self.best[k];
            // Of equals the first stays in front.
            let place = best.partition_point(|hit| hit.score >= score);
            if place < self.top && score.is_finite() {
                best.insert(place, Hit { picture, score });
                best.truncate(self.top);
            }
        }
        Ok(())
    }

    /// The best pictures of prototype `k`, the best first.
    pub fn best(&self, k: usize) -> &[Hit] {
        &self.best[k]
    }

    /// Share of all positions that prototype `k` wins.
    pub fn share(&self, k: usize) -> f64 {
        let all: u64 = self.positions.iter().sum();
        self.positions[k] as f64 / all.max(1) as f64
    }

    /// Pictures in which prototype `k` wins somewhere.
    pub fn pictures(&self, k: usize) -> u64 {
        self.pictures[k]
    }

    /// Pictures looked at.
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Pictures kept for each prototype.
    pub fn top(&self) -> usize {
        self.top
    }

    /// K.
    pub fn prototypes(&self) -> usize {
        self.best.len()
    }

    /// Prototypes that win somewhere, the largest first.
    pub fn by_size(&self) -> Vec<usize> {
        let mut used: Vec<usize> = (0..self.prototypes())
            .filter(|&k| self.positions[k] > 0)
            .collect();
        used.sort_by_key(|&k| std::cmp::Reverse(self.positions[k]));
        used
    }
}

/// For every prototype its mean similarity, weighted by 1 where it wins and 1e-6 elsewhere, and the number of positions
/// that it wins. A prototype that wins nowhere gets its mean over the whole picture that way.
fn picture_scores(scores: &Tensor) -> Result<(Vec<f32>, Vec<i64>), Error> {
    let _guard = tch::no_grad_guard();
    let wins = scores
        .zeros_like()
        .f_scatter_value(1, &scores.argmax(1, true), 1.0)?;
    let weights = &wins + EPS;
    let sum = |t: Tensor| t.sum_dim_intlist(0, false, None::<Kind>);
    let means = sum(scores * &weights) / sum(weights);
    let counts = sum(wins);
    Ok((
        Vec::try_from(means.to_kind(Kind::Float))?,
        Vec::try_from(counts.to_kind(Kind::Int64))?,
    ))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn the_official_formula() {
        // Three positions, two prototypes; prototype 0 wins the first two.
        let scores = Tensor::from_slice(&[0.9f32, 0.1, 0.5, 0.3, -0.2, 0.4]).reshape([3, 2]);
        let (means, counts) = picture_scores(&scores).unwrap();
        assert_eq!(counts, [2, 1]);
        let of = |wins: [f64; 3], values: [f64; 3]| {
            let weights = wins.map(|w| w + 1e-6);
            let sum: f64 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
            sum / weights.iter().sum::<f64>()
        };
        assert!((f64::from(means[0]) - of([1.0, 1.0, 0.0], [0.9, 0.5, -0.2])).abs() < 1e-6);
        assert!((f64::from(means[1]) - of([0.0, 0.0, 1.0], [0.1, 0.3, 0.4])).abs() < 1e-6);
        // Who wins nowhere is ranked by the whole picture.
        let scores = Tensor::from_slice(&[0.9f32, 0.1, 0.5, 0.3]).reshape([2, 2]);
        let (means, counts) = picture_scores(&scores).unwrap();
        assert!(counts == [2, 0] && (means[1] - 0.2).abs() < 1e-6, "{means:?}");
    }

    #[test]
    fn keeping_the_best_is_sorting_all() {
        tch::manual_seed(3);
        let all: Vec<Tensor> = (0..40)
            .map(|_| Tensor::randn([6, 5], (Kind::Float, Device::Cpu)))
            .collect();
        let mut ranking = Ranking::new(5, 4);
        for (i, scores) in all.iter().enumerate() {
            ranking.add(i, scores).unwrap();
        }
        for k in 0..5 {
            let mut every: Vec<(usize, f32)> = all
                .iter()
                .enumerate()
                .map(|(i, s)| (i, picture_scores(s).unwrap().0[k]))
                .collect();
            every.sort_by(|a, b| b.1.total_cmp(&a.1));
            let kept: Vec<(usize, f32)> = ranking.best(k).iter().map(|h| (h.picture, h.score)).collect();
            assert_eq!(kept, every[..4]);
        }
        let shares: f64 = (0..5).map(|k| ranking.share(k)).sum();
        assert!((shares - 1.0).abs() < 1e-12 && ranking.looked_at() == 40);
        let sizes: Vec<f64> = ranking.by_size().into_iter().map(|k| ranking.share(k)).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn scores_that_are_not_numbers_are_ranked_nowhere() {
        let mut ranking = Ranking::new(2, 3);
        ranking
            .add(0, &Tensor::full([4, 2], f64::NAN, (Kind::Float, Device::Cpu)))
            .unwrap();
        assert!(ranking.best(0).is_empty() && ranking.best(1).is_empty());
    }
}
