//! Semantic grouping (section 3.2): positions are assigned to learnt prototypes and pooled into slots.
//!
//! Positions are rows throughout: what the paper writes `[B, K, h, w]` is `[B, N, K]` here with N = h w in
//! row-major order, so that every softmax runs along memory and every product is a plain matrix product.

use slotcon_nn::{Init, Path};
use tch::Tensor;

/// Added to every assignment, so that no slot is an average over nothing (upstream `eps`).
const EPS: f64 = 1e-6;

/// K learnt prototypes S `[K, D]` (upstream `slot_embed.weight`) and the temperature τ of the assignment.
#[derive(Debug)]
pub struct Grouping {
    prototypes: Tensor,
    temperature: f64,
}

/// The groups of a batch of views.
#[derive(Debug)]
pub struct Groups {
    /// z: dense features `[B, N, D]`.
    pub features: Tensor,
    /// Cosine similarity of every position to every prototype `[B, N, K]` (upstream `dots`).
    pub scores: Tensor,
    /// Mean of the features weighted by each prototype's assignment `[B, K, D]`.
    pub slots: Tensor,
    /// h and w, with h w = N.
    pub grid: (i64, i64),
}

impl Grouping {
    /// Prototypes start from a standard normal, as `nn.Embedding` does.
    pub fn new(path: &Path, prototypes: i64, dim: i64, temperature: f64) -> Self {
        let prototypes = path.parameter("slot_embed.weight", &[prototypes, dim], Init::Normal(1.0));
        Self {
            prototypes,
            temperature,
        }
    }

    /// S, `[K, D]`.
    pub(super) fn prototypes(&self) -> &Tensor {
        &self.prototypes
    }

    /// Scores, then slots, of features z `[B, N, D]` that lie on a `grid` of h x w positions (equations 1 and 3).
    pub fn forward(&self, features: Tensor, grid: (i64, i64)) -> Groups {
        let scores = normalize(&features).matmul(&normalize(&self.prototypes).tr());
        let assignment = (&scores / self.temperature).softmax(-1, None) + EPS;
        let mass = assignment.sum_dim_intlist(1, false, None).unsqueeze(-1);
        let slots = assignment.transpose(1, 2).matmul(&features) / mass;
        Groups {
            features,
            scores,
            slots,
            grid,
        }
    }
}

impl Groups {
    /// Which slots count `[B, K]` (1 or 0): those that are the arg-max of some position in the picture.
    pub fn active(&self) -> Tensor {
        let scores = self.scores.detach();
        let winners = scores.argmax(-1, false);
        let size = scores.size();
        let (batch, prototypes) = (size[0], size[2]);
        Tensor::zeros([batch, prototypes], (scores.kind(), scores.device())).scatter_value(1, &winners, 1.0)
    }
}

/// Rows of unit length (PyTorch's `F.normalize`).
pub fn normalize(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2.0, [-1], true).clamp_min(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.view([-1])).unwrap()
    }

    #[test]
    fn slots_are_means_weighted_by_the_assignment() {
        // Position 0 looks as prototype 0 does and position 1 as prototype 1: cosines of 1 and 0. With τ = 1 / ln 3 the
        // softmax of (ln 3, 0) is (3/4, 1/4).
        let grouping = Grouping {
            prototypes: Tensor::from_slice2(&[[5.0, 0.0], [0.0, 7.0]]),
            temperature: 1.0 / 3f64.ln(),
        };
        let features = Tensor::from_slice2(&[[3.0, 0.0], [0.0, 2.0]]).unsqueeze(0);
        let groups = grouping.forward(features, (1, 2));
        assert_eq!(numbers(&groups.scores), [1.0, 0.0, 0.0, 1.0]);
        let expected = [0.75 * 3.0, 0.25 * 2.0, 0.25 * 3.0, 0.75 * 2.0];
        for (slot, expected) in numbers(&groups.slots).into_iter().zip(expected) {
            // The 1e-6 that is added to every assignment moves a slot by no more than this.
            assert!((slot - expected).abs() < 1e-5, "{slot} for {expected}");
        }
    }

    #[test]
    fn a_slot_counts_if_it_wins_a_position() {
        let groups = Groups {
            features: Tensor::new(),
            // Two pictures, two positions, three prototypes: 1 and 1 win the first picture, 0 and 2 the second.
            scores: Tensor::from_slice(&[0.1, 0.9, 0.2, 0.3, 0.4, 0.1, 0.5, 0.2, 0.1, 0.1, 0.2, 0.3])
                .reshape([2, 2, 3]),
            slots: Tensor::new(),
            grid: (1, 2),
        };
        assert_eq!(numbers(&groups.active()), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    }
}
