//! The loss of semantic segmentation.

use slotcon_torch::Error;
use tch::{Kind, Reduction, Tensor};

/// The label of pixels that no loss and no metric counts.
pub const IGNORED: i64 = 255;

/// Bilinear resizing without antialiasing, `[B, C, h, w]` to `[B, C, height, width]`.
pub(super) fn resize(x: &Tensor, (height, width): (i64, i64), align_corners: bool) -> Result<Tensor, Error> {
    Ok(x.f_upsample_bilinear2d([height, width], align_corners, None, None)?)
}

/// Cross-entropy of logits `[B, C, h, w]`, resized to the labels, and labels `[B, H, W]`, summed over the labelled pixels and
/// divided by all of them, [`IGNORED`] ones included (MMSegmentation's `avg_non_ignore=False`): a mean over crops of equal
/// size, so that the mean of several ranks' losses is the loss of all of their crops.
///
/// # Errors
/// Labels of another batch size, or that are neither a class nor [`IGNORED`].
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, align_corners: bool) -> Result<Tensor, Error> {
    let (_, height, width) = labels.size3()?;
    let logits = resize(logits, (height, width), align_corners)?;
    let labels = labels.f_to_kind(Kind::Int64)?;
    let sum = logits.f_cross_entropy_loss(&labels, None::<Tensor>, Reduction::Sum, IGNORED, 0.0)?;
    // MMSegmentation guards every divisor so.
    let pixels = labels.numel() as f64 + f64::from(f32::EPSILON);
    Ok(sum / pixels)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn unlabelled_pixels_count_in_the_divisor_alone() {
        let logits = Tensor::zeros([1, 4, 1, 2], (Kind::Double, Device::Cpu));
        let labels = Tensor::from_slice(&[3u8, 255]).reshape([1, 1, 2]);
        let loss = cross_entropy(&logits, &labels, false).unwrap();
        let expected = 4f64.ln() / 2.0;
        assert!((loss.double_value(&[]) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_batch_without_labels_has_a_loss_of_zero_and_no_gradient() {
        let logits = Tensor::randn([1, 4, 2, 2], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let labels = Tensor::full([1, 5, 5], IGNORED, (Kind::Uint8, Device::Cpu));
        let loss = cross_entropy(&logits, &labels, true).unwrap();
        loss.backward();
        assert_eq!(loss.double_value(&[]), 0.0);
        assert_eq!(logits.grad().abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn a_label_that_is_no_class_is_an_error() {
        let logits = Tensor::zeros([1, 4, 1, 1], (Kind::Double, Device::Cpu));
        let labels = Tensor::from_slice(&[4u8]).reshape([1, 1, 1]);
        let said = cross_entropy(&logits, &labels, false).unwrap_err().to_string();
        assert!(said.contains('4'), "{said}");
    }
}
