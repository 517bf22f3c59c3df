//! Gram anchoring (DINOv3, arXiv 2508.10104): which places of a picture are alike should stay as an earlier teacher had it, while what
//! makes them alike goes on being learned. Not part of SlotCon; off unless the recipe gives it a weight.
//!
//! Long training makes the assignment sharper and splits what was one group, and with it the features of the places; the earlier teacher,
//! the anchor, does not know of the split.

use slotcon_nn::Store;
use slotcon_torch::Stopwatch;
use tch::Tensor;

use super::grouping::{Groups, normalize};
use super::model::{View, namesakes};
use super::network::{Mode, Network};

/// The teacher of an earlier step, which changes no more.
#[derive(Debug)]
pub(super) struct Anchor {
    network: Network,
    /// The anchor's tensors and the teacher's, parameters and buffers.
    pairs: Vec<(Tensor, Tensor)>,
    /// Whether it is the teacher of some step yet.
    holds: bool,
}

impl Anchor {
    /// Of a `network` whose tensors are in `store`, in modules that end in `_a`.
    pub fn new(network: Network, store: &Store) -> Self {
        let pairs = namesakes(store, "_a", "_k").into_iter();
        Self {
            network,
            pairs: pairs.map(|(anchor, teacher)| (anchor.tensor, teacher)).collect(),
            holds: false,
        }
    }

    /// Holds from here on: the teacher as it is `now`, else the one that was loaded.
    pub fn hold(&mut self, now: bool) {
        self.holds = true;
        if now {
            let _guard = tch::no_grad_guard();
            for (anchor, teacher) in &self.pairs {
                anchor.shallow_clone().copy_(teacher);
            }
        }
    }

    /// Gram losses of both views, `None` before it holds; batch norm as in the teacher.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn losses(
        &self,
        [a, b]: &[View; 2],
        student: &[Groups; 2],
        mode: Mode,
        stopwatch: &Stopwatch,
    ) -> Result<Option<[Tensor; 2]>, slotcon_torch::Error> {
        if !self.holds {
            return Ok(None);
        }
        let anchor = {
            let _guard = tch::no_grad_guard();
            let parts = ["anchor_forward", "heads", "grouping"];
            self.network
                .forward_timed([&a.crops, &b.crops], mode, stopwatch, parts)?
        };
        let of_view = |view: usize| gram_loss(&student[view].features, &anchor[view].features);
        Ok(Some([0, 1].map(of_view)))
    }
}

/// Mean squared difference of the cosines of all pairs of places of a picture, features `[B, N, D]`. Gradient to `student` only. A scalar
/// between 0 and 4.
fn gram_loss(student: &Tensor, anchor: &Tensor) -> Tensor {
    let cosines = |features: &Tensor| {
        let features = normalize(features);
        features.matmul(&features.transpose(1, 2))
    };
    (cosines(student) - cosines(&anchor.detach())).square().mean(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_should_be_alike_and_are_not_cost_by_hand() {
        // Two places: alike for the anchor (cosine 1), at right angles for the student (0). Two of four pairs differ, by 1.
        let student = Tensor::from_slice2(&[[2.0, 0.0], [0.0, 3.0]])
            .unsqueeze(0)
            .set_requires_grad(true);
        let anchor = Tensor::from_slice2(&[[0.0, 1.0], [0.0, 5.0]])
            .unsqueeze(0)
            .set_requires_grad(true);
        let loss = gram_loss(&student, &anchor);
        assert!((loss.double_value(&[]) - 0.5).abs() < 1e-12);
        loss.backward();
        assert!(student.grad().defined() && !anchor.grad().defined());
        // Turned and scaled, the same places are as alike as they were.
        let turned = Tensor::from_slice2(&[[0.0, -7.0], [1.0, 0.0]]).unsqueeze(0);
        assert!(gram_loss(&student, &turned).double_value(&[]) < 1e-12);
    }
}
