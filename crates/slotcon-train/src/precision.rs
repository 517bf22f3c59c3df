//! Which number format is quickest on a device, found by trying: whether bf16 pays depends on the processor's units, not on its name.

use std::time::{Duration, Instant};

use slotcon_torch::channels_last;
use tch::{Device, Kind, Tensor};

use crate::device;
use crate::error::Error;
use crate::recipe::Precision;
use crate::training_step::scalar;

/// What `auto` is on `device`: bf16 where a convolution like a ResNet's, forward and backward, takes less time in it than in f32 (the
/// fastest of three tries each, in turn), else f32. Another `precision` stays what it is.
///
/// # Errors
/// What libtorch refuses.
pub fn resolve(precision: Precision, device: Device) -> Result<Precision, Error> {
    if precision != Precision::Auto {
        return Ok(precision);
    }
    if device == Device::Cpu && !device::has_bf16() {
        return Ok(Precision::F32);
    }
    let mut fastest = [Duration::MAX; 2];
    // The first round is not counted: kernels are made in it.
    for round in 0..4 {
        for (kind, fastest) in [Kind::Float, Kind::BFloat16].into_iter().zip(&mut fastest) {
            let took = convolution(kind, device)?;
            if round > 0 {
                *fastest = took.min(*fastest);
            }
        }
    }
    Ok(if fastest[1] < fastest[0] {
        Precision::Bf16
    } else {
        Precision::F32
    })
}

/// Time of a 3x3 convolution of 8 maps of 128 channels at 24x24, forward and backward.
fn convolution(kind: Kind, device: Device) -> Result<Duration, Error> {
    let tensor = |shape: [i64; 4]| -> Result<Tensor, Error> {
        let ones = channels_last(&Tensor::f_ones(shape, (kind, device))?);
        Ok(ones.set_requires_grad(true))
    };
    let (maps, weight) = (tensor([8, 128, 24, 24])?, tensor([128, 128, 3, 3])?);
    let start = Instant::now();
    let sum = maps
        .f_conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)?
        .f_sum(Kind::Float)?;
    sum.f_backward()?;
    // Reading a value waits for everything before it.
    let _ = scalar(&weight.grad().f_sum(Kind::Float)?);
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken_and_auto_is_one_that_can_be_computed() {
        for asked in [Precision::F32, Precision::Bf16, Precision::F16] {
            assert_eq!(resolve(asked, Device::Cpu).unwrap(), asked);
        }
        let found = resolve(Precision::Auto, Device::Cpu).unwrap();
        assert!(
            matches!(found, Precision::F32) || (found == Precision::Bf16 && device::has_bf16()),
            "{found:?}"
        );
    }
}
