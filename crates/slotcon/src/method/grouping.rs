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
    pub fn counting(&self) -> Tensor {
        let scores = self.scores.detach();
        let winners = scores.argmax(-1, false);
        let (batch, _, prototypes) = scores.size3().unwrap_or_default();
        Tensor::zeros([batch, prototypes], (scores.kind(), scores.device())).scatter_value(1, &winners, 1.0)
    }
}

/// Rows of unit length (PyTorch's `F.normalize`).
pub fn normalize(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2.0, [-1], true).clamp_min(1e-12)
}
