//! What is counted of pictures, picture by picture, and what follows from it.

use slotcon_torch::distributed::{Ranks, Traffic};
use tch::{Device, Kind, Tensor};

use super::GroupQuality;

/// Sums over pictures, in f64; those of several ranks add up.
#[derive(Debug)]
pub struct Tally {
    /// How often a place is of group i in one view and of group j in the other, each picture as 1 in all `[K, K]`.
    joint: Tensor,
    /// Colour differences between neighbours, and how many: across borders of groups, and everywhere `[4]`.
    neighbours: Tensor,
}

impl Tally {
    /// Of nothing, for `groups` groups.
    pub fn new(groups: i64, device: Device) -> Self {
        Self {
            joint: Tensor::zeros([groups, groups], (Kind::Double, device)),
            neighbours: Tensor::zeros([4], (Kind::Double, device)),
        }
    }

    /// Adds a picture: the group of each place in two views of it `[h, w]` each, and the place's mean colour `[C, h, w]`.
    pub fn add(&mut self, first: &Tensor, second: &Tensor, colours: &Tensor) {
        let groups = self.joint.size()[0];
        let pairs = (first * groups + second).flatten(0, -1);
        let places = pairs.size()[0];
        let share = Tensor::full([places], 1.0 / places as f64, (Kind::Double, pairs.device()));
        let _ = self.joint.view([-1]).index_add_(0, &pairs, &share);
        for along in [-2, -1] {
            let border = step(first, along, Tensor::ne_tensor).to_kind(Kind::Double);
            let difference =
                step(colours, along, |next, this| next - this).norm_scalaropt_dim(2.0, [0], false);
            let (difference, border) = (
                difference.flatten(0, -1).to_kind(Kind::Double),
                border.flatten(0, -1),
            );
            let rows = [
                &difference * &border,
                border.shallow_clone(),
                difference,
                border.ones_like(),
            ];
            self.neighbours += Tensor::stack(&rows, 0).sum_dim_intlist(1, false, Kind::Double);
        }
    }

    /// The figures over the pictures of all ranks.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn finish(&self, ranks: &Ranks) -> Result<GroupQuality, slotcon_torch::Error> {
        let all = Tensor::cat(&[self.joint.view([-1]), self.neighbours.shallow_clone()], 0);
        let all = ranks.mean(&all, Traffic::Metrics)?;
        let groups = self.joint.size()[0];
        let joint = all.narrow(0, 0, groups * groups).view([groups, groups]);
        let agreement = joint.trace().double_value(&[]) / joint.sum(Kind::Double).double_value(&[]);
        // Neither view comes first.
        let joint = &joint + joint.tr();
        let joint = &joint / joint.sum(Kind::Double);
        let entropy = nats(&joint.sum_dim_intlist(1, false, Kind::Double));
        let of = |place: i64| all.double_value(&[groups * groups + place]);
        Ok(GroupQuality {
            mutual_information: 2.0 * entropy - nats(&joint),
            entropy,
            agreement,
            border_contrast: (of(0) / of(1)) / (of(2) / of(3)),
        })
    }
}

/// Every place but the first along a dimension beside the one before it.
fn step(map: &Tensor, along: i64, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    let steps = map.size()[(map.dim() as i64 + along) as usize] - 1;
    f(&map.narrow(along, 1, steps), &map.narrow(along, 0, steps))
}

/// The entropy of a distribution, in nats.
fn nats(p: &Tensor) -> f64 {
    let sum = (p * p.clamp_min(1e-300).log()).sum(Kind::Double);
    // Not -0.
    0.0 - sum.double_value(&[])
}
