//! What a training step sends between ranks, computed from the model (`tests/over_ranks.rs` proves it against what is
//! sent; docs/distributed.md says what it means).

use std::fmt;

use slotcon_nn::Role;

use crate::method::SlotCon;

/// All values are float32.
const BYTES: u64 = 4;

/// Bytes that one rank puts into the operations of one step, by purpose. What then crosses the network depends on the
/// operation: of an all-reduce about twice as much in and out of every rank, of an all-gather as much as all other ranks
/// put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTraffic {
    /// All-reduced, in buckets, during the backward pass; once a step.
    pub gradients: u64,
    /// Of batch norm, all-gathered: a small message for every layer, view and network in the forward pass.
    pub batch_norm_gathered: u64,
    /// Of batch norm, all-reduced: a small message for every layer and view of the student in the backward pass.
    pub batch_norm_reduced: u64,
    /// All-reduced.
    pub center: u64,
    /// All-gathered: the teacher's slots. On a CPU the most that it can be.
    pub slots: u64,
}

impl StepTraffic {
    /// Of a rank that takes `parts` parts of `batch` pictures with `positions` positions each. `gpu`: in the form that does
    /// not wait for the device.
    pub fn of(model: &SlotCon, batch: usize, positions: usize, parts: usize, gpu: bool) -> Self {
        let config = model.config();
        let (mut gradients, mut gathered, mut reduced) = (0, 0, 0);
        for entry in model.store().entries() {
            let count = entry.tensor.numel() as u64;
            match entry.role {
                Role::Parameter if entry.tensor.requires_grad() => gradients += count,
                Role::Buffer if entry.name.ends_with("running_mean") => {
                    let (forward, backward) = of_batch_norm(&entry.name, count, gpu);
                    gathered += 2 * forward;
                    reduced += 2 * backward;
                }
                _ => {}
            }
        }
        let (dim, prototypes) = (config.dim_out as u64, config.prototypes as u64);
        let rows = batch as u64 * prototypes.min(positions as u64);
        // Two losses, one a direction: the slots, and as two more columns or numbers what counts.
        let slots = if gpu {
            2 * rows * (dim + 2) * BYTES
        } else {
            2 * (rows * dim * BYTES + 16)
        };
        let parts = parts as u64;
        Self {
            gradients: gradients * BYTES,
            batch_norm_gathered: parts * gathered * BYTES,
            batch_norm_reduced: parts * reduced * BYTES,
            center: parts * prototypes * BYTES,
            slots: parts * slots,
        }
    }
}

/// Values that one pass (of two: views, or directions of the slot loss) of a batch norm over `channels` has gathered and
/// reduced.
fn of_batch_norm(name: &str, channels: u64, gpu: bool) -> (u64, u64) {
    // Mean, variance and the number of rows; sums of gradients.
    let (forward, backward) = (2 * channels + 1, 2 * channels);
    match name.split('.').next() {
        // Rows that do not count are masked: sums, forward and backward.
        Some("predictor_slot") if gpu => (0, 2 * forward),
        Some("encoder_k" | "projector_k") => (forward, 0),
        _ => (forward, backward),
    }
}

impl fmt::Display for StepTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "a step sends, from each rank: gradients {:.1} MB, batch norm {:.2} MB, slots {:.2} MB, centre {:.3} MB",
            mb(self.gradients),
            mb(self.batch_norm_gathered + self.batch_norm_reduced),
            mb(self.slots),
            mb(self.center)
        )
    }
}
