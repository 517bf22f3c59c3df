//! From a picture to a score for every class at every pixel.

use slotcon_torch::Error;
use tch::Tensor;

use super::network::Segmentor;

/// Square windows that slide over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side in pixels.
    pub side: i64,
    /// Distance between neighbours, at least 1.
    pub stride: i64,
}

impl Window {
    /// First pixels of the windows along a side of `length` pixels. The last one ends where the picture ends; where the picture
    /// is smaller than a window there is one, as small as the picture.
    fn starts(self, length: i64) -> impl Iterator<Item = i64> {
        let count = (length - self.side + self.stride - 1).max(0) / self.stride + 1;
        let last = (length - self.side).max(0);
        (0..count).map(move |i| (i * self.stride).min(last))
    }
}

/// How much of a picture the network sees at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inference {
    /// All of it.
    Whole,
    /// Windows, whose logits are averaged where they overlap.
    Sliding(Window),
}

impl Inference {
    /// A normalised picture `[1, 3, H, W]` to logits `[1, classes, H, W]`.
    ///
    /// The logits of a window are resized to its pixels before they are averaged.
    ///
    /// # Errors
    /// Pictures of another shape.
    pub fn logits(self, network: &Segmentor, picture: &Tensor) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let Inference::Sliding(window) = self else {
            return network.forward(picture);
        };
        let (batch, _, height, width) = picture.size4()?;
        let options = (picture.kind(), picture.device());
        let sum = Tensor::zeros([batch, network.config().decode.classes, height, width], options);
        let count = Tensor::zeros([1, 1, height, width], options);
        let (tall, wide) = (window.side.min(height), window.side.min(width));
        for top in window.starts(height) {
            for left in window.starts(width) {
                let part = |x: &Tensor| x.f_narrow(2, top, tall)?.f_narrow(3, left, wide);
                let logits = network.forward(&part(picture)?)?;
                let _ = part(&sum)?.f_add_(&logits)?;
                let _ = part(&count)?.f_add_scalar_(1)?;
            }
        }
        Ok(sum.f_div(&count)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(side: i64, stride: i64, length: i64) -> Vec<i64> {
        Window { side, stride }.starts(length).collect()
    }

    #[test]
    fn the_last_window_ends_with_the_picture() {
        // Cityscapes at 1025 x 2049.
        assert_eq!(starts(769, 513, 1025), [0, 256]);
        assert_eq!(starts(769, 513, 2049), [0, 513, 1026, 1280]);
        assert_eq!(starts(4, 2, 8), [0, 2, 4]);
        assert_eq!(starts(4, 4, 5), [0, 1]);
    }

    #[test]
    fn a_picture_not_larger_than_a_window_is_seen_once() {
        assert_eq!(starts(4, 2, 4), [0]);
        assert_eq!(starts(4, 2, 3), [0]);
    }
}
