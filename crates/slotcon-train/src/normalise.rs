//! From bytes to what the network takes.

use tch::{Device, Kind, Tensor};

/// ImageNet's mean and standard deviation of red, green and blue in \[0, 1\], as upstream normalises.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// See [`MEAN`].
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Mean and deviation on a device.
#[derive(Debug)]
pub struct Normaliser {
    mean: Tensor,
    std: Tensor,
}

impl Normaliser {
    /// ImageNet's, for pictures on `device`.
    pub fn new(device: Device) -> Self {
        Self::with(MEAN.map(|v| v * 255.0), STD.map(|v| v * 255.0), device)
    }

    /// This mean and deviation of red, green and blue in 0..255.
    pub fn with(mean: [f32; 3], std: [f32; 3], device: Device) -> Self {
        let to = |values: [f32; 3]| Tensor::from_slice(&values).to_device(device);
        Self {
            mean: to(mean),
            std: to(std),
        }
    }

    /// The same, sharing memory.
    pub fn share(&self) -> Self {
        Self {
            mean: self.mean.shallow_clone(),
            std: self.std.shallow_clone(),
        }
    }

    /// RGB bytes `[B height width 3]`, flat, to normalised f32 `[B, 3, height, width]`, channels last in memory.
    pub fn apply(&self, bytes: &Tensor, height: usize, width: usize) -> Tensor {
        let bytes = bytes.reshape([-1, height as i64, width as i64, 3]);
        ((bytes.to_kind(Kind::Float) - &self.mean) / &self.std).permute([0, 3, 1, 2])
    }
}

/// One picture or several of one size, RGB bytes `[B, height, width, 3]`, to normalised f32 `[B, 3, height, width]` on
/// `device`, channels last in memory.
pub fn normalise(pixels: &[u8], height: usize, width: usize, device: Device) -> Tensor {
    let bytes = Tensor::from_slice(pixels).to_device(device);
    Normaliser::new(device).apply(&bytes, height, width)
}
