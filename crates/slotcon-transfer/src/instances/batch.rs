//! From loaded pictures to what the network takes.

use slotcon_data::Picture;
use slotcon_torch::{Error, channels_last};
use slotcon_train::normalise::Normaliser;
use tch::{Device, Kind, Tensor};

use super::network::{MULTIPLE, Pictures};
use super::recipe::Pixels;

/// ImageNet's mean and deviation of red, green and blue in 0..255, as detectron2's configurations have them.
const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const STD: [f32; 3] = [58.395, 57.12, 57.375];

/// What is done to pixels, on a device.
#[derive(Debug)]
pub struct Preparation {
    normaliser: Normaliser,
    pixels: Pixels,
    device: Device,
}

impl Preparation {
    /// As the recipe says.
    pub fn new(pixels: Pixels, device: Device) -> Self {
        let std = match pixels {
            Pixels::Imagenet => STD,
            Pixels::Caffe2 => [1.0; 3],
        };
        Self {
            normaliser: Normaliser::with(MEAN, std, device),
            pixels,
            device,
        }
    }

    /// Normalises pictures and pads them, right and below, with zeros to one size whose sides are multiples of [`MULTIPLE`].
    ///
    /// # Errors
    /// A device without room.
    pub fn batch<'a>(&self, pictures: impl Iterator<Item = &'a Picture>) -> Result<Pictures, Error> {
        let pictures = Vec::from_iter(pictures);
        let sizes = pictures
            .iter()
            .map(|p| (i64::from(p.height()), i64::from(p.width())));
        let sizes = Vec::from_iter(sizes);
        let side = |of: fn(&(i64, i64)) -> i64| {
            let largest = sizes.iter().map(of).max().unwrap_or(1);
            (largest + MULTIPLE - 1) / MULTIPLE * MULTIPLE
        };
        let shape = [sizes.len() as i64, 3, side(|s| s.0), side(|s| s.1)];
        let pixels = channels_last(&Tensor::f_zeros(shape, (Kind::Float, self.device))?);
        for ((i, picture), &(height, width)) in pictures.iter().enumerate().zip(&sizes) {
            let bytes = Tensor::f_from_slice(picture.rgb())?.f_to_device(self.device)?;
            let mut seen = self.normaliser.apply(&bytes, height as usize, width as usize);
            if self.pixels == Pixels::Caffe2 {
                seen = seen.f_flip([1])?;
            }
            let place = pixels
                .f_get(i as i64)?
                .f_narrow(1, 0, height)?
                .f_narrow(2, 0, width)?;
            place.shallow_clone().f_copy_(&seen.f_squeeze_dim(0)?)?;
        }
        Ok(Pictures { pixels, sizes })
    }
}
