//! Precise batch norm: statistics of many batches in place of a moving average (arXiv 2105.07576, section 3), as fvcore's
//! `update_bn_stats` computes them.

use slotcon_nn::Store;
use slotcon_torch::Error;
use slotcon_torch::distributed::Traffic;
use tch::Tensor;

/// Mean and mean square of every norm while batches come.
#[derive(Debug, Default)]
pub struct PreciseNorm {
    /// By norm: values a channel so far, the mean and the mean square, `[C]`.
    sums: Vec<Option<(f64, Tensor, Tensor)>>,
}

impl PreciseNorm {
    /// Takes up the statistics that a forward pass in [`slotcon_nn::BatchNormMode::Measure`] has just left in `store`. A batch
    /// counts by its values a channel, over all ranks.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn add(&mut self, store: &Store) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        let norms = store.norms();
        let values = Vec::from_iter(norms.iter().map(|norm| norm.take_values() as f64));
        let values = Tensor::f_from_slice(&values)?.f_to_device(store.device())?;
        let values = Vec::<f64>::try_from(store.ranks().sum(&values, Traffic::Metrics)?)?;
        self.sums.resize_with(norms.len(), || None);
        for ((norm, count), sum) in norms.iter().zip(values).zip(&mut self.sums) {
            if count == 0.0 {
                continue;
            }
            let mean = norm.mean.copy();
            // The running variance is the unbiased one.
            let square = mean.square() + &norm.var * ((count - 1.0) / count);
            *sum = Some(match sum.take() {
                None => (count, mean, square),
                Some((before, old_mean, old_square)) => {
                    let total = before + count;
                    let share = count / total;
                    let mean = &old_mean + (mean - &old_mean) * share;
                    (total, mean, &old_square + (square - &old_square) * share)
                }
            });
        }
        Ok(())
    }

    /// Puts the statistics of all batches into `store`; a norm that saw none keeps what it has.
    pub fn finish(self, store: &Store) {
        let _guard = tch::no_grad_guard();
        for (norm, sum) in store.norms().iter().zip(self.sums) {
            if let Some((_, mean, square)) = sum {
                norm.mean.shallow_clone().copy_(&mean);
                norm.var.shallow_clone().copy_(&(square - mean.square()));
            }
        }
    }
}
