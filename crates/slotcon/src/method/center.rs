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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_moves_a_tenth_of_the_way_to_the_mean_score() {
        let mut center = Tensor::from_slice2(&[[1.0, 3.0]]);
        // Mean (2, 0) in one view and (4, 1) in the other: (3, 1/2).
        let views = [
            Tensor::from_slice(&[1.0, 0.0, 3.0, 0.0]).reshape([1, 2, 2]),
            Tensor::from_slice(&[4.0, 2.0, 4.0, 0.0]).reshape([1, 2, 2]),
        ];
        update_center(&mut center, &[&views[0], &views[1]], 0.9, &Ranks::alone()).unwrap();
        let moved = Vec::<f64>::try_from(center.view([-1])).unwrap();
        for (moved, expected) in moved.iter().zip([0.9 + 0.3, 2.7 + 0.05]) {
            assert!((moved - expected).abs() < 1e-12, "{moved} for {expected}");
        }
    }

    #[test]
    fn scores_that_are_not_finite_leave_it_as_it_was() {
        let mut center = Tensor::from_slice2(&[[1.0, 3.0]]);
        let scores = Tensor::from_slice(&[1.0, f64::NAN]).reshape([1, 1, 2]);
        update_center(&mut center, &[&scores], 0.9, &Ranks::alone()).unwrap();
        assert_eq!(Vec::<f64>::try_from(center.view([-1])).unwrap(), [1.0, 3.0]);
    }
}
