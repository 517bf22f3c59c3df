//! The centre c: moving average of the teacher's mean scores (section 3.2, after DINO).

use slotcon_torch::Error;
use slotcon_torch::distributed::{Ranks, Traffic};
use tch::Tensor;

/// Moves `center` `[1, K]` towards the mean over all positions of all `scores` `[B, N, K]` of all ranks, in place.
///
/// A mean that is not finite leaves the centre as it was: one bad batch must not poison every later one.
///
/// # Errors
/// A rank that is gone.
pub fn update_center(
    center: &mut Tensor,
    scores: &[&Tensor],
    momentum: f64,
    ranks: &Ranks,
) -> Result<(), Error> {
    let _guard = tch::no_grad_guard();
    let prototypes = center.size()[1];
    let sums: Vec<Tensor> = scores
        .iter()
        .map(|s| {
            s.reshape([-1, prototypes])
                .mean_dim(Some([0i64].as_slice()), true, None)
        })
        .collect();
    let own = Tensor::stack(&sums, 0).mean_dim(Some([0i64].as_slice()), false, None);
    let mean = ranks.mean(&own, Traffic::Center)?;
    let moved = &*center * momentum + mean * (1.0 - momentum);
    let kept = moved.where_self(&moved.isfinite().all(), center);
    center.copy_(&kept);
    Ok(())
}
