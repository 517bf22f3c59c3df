//! The centre c: moving average of the teacher's mean scores (section 3.2, after DINO).

use tch::Tensor;

/// Moves `center` `[1, K]` towards the mean over all positions of all `scores` `[B, N, K]`, in place.
///
/// A mean that is not finite leaves the centre as it was: one bad batch must not poison every later one.
pub fn update_center(center: &mut Tensor, scores: &[&Tensor], momentum: f64) {
    let _guard = tch::no_grad_guard();
    let prototypes = center.size()[1];
    let sums: Vec<Tensor> = scores
        .iter()
        .map(|s| {
            s.reshape([-1, prototypes])
                .mean_dim(Some([0i64].as_slice()), true, None)
        })
        .collect();
    let mean = Tensor::stack(&sums, 0).mean_dim(Some([0i64].as_slice()), false, None);
    let moved = &*center * momentum + mean * (1.0 - momentum);
    let kept = moved.where_self(&moved.isfinite().all(), center);
    center.copy_(&kept);
}
