//! From the loader's bytes to what the network takes.

use std::ops::Range;

use slotcon_data::{PairedBatch, ViewBatch};
use tch::{Device, Kind, Tensor};

use crate::method::View;

/// ImageNet's mean and standard deviation of red, green and blue in \[0, 1\], as upstream normalises.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// See [`MEAN`].
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Copies the pictures `of` a batch to `device` as bytes and normalises them there.
pub fn views(batch: &PairedBatch, of: Range<usize>, size: usize, device: Device) -> [View; 2] {
    [
        view(&batch.views[0], of.clone(), size, device),
        view(&batch.views[1], of, size, device),
    ]
}

fn view(view: &ViewBatch, of: Range<usize>, size: usize, device: Device) -> View {
    let bytes = 3 * size * size;
    View {
        crops: normalise(&view.pixels[of.start * bytes..of.end * bytes], size, size, device),
        coords: view.coords[of.clone()].iter().map(|c| c.map(f64::from)).collect(),
        flips: view.flips[of].to_vec(),
    }
}

/// The pictures of part `part` of `parts` of a batch of `batch`.
pub fn part(batch: usize, part: usize, parts: usize) -> Range<usize> {
    part * batch / parts..(part + 1) * batch / parts
}

/// RGB bytes `[B, height, width, 3]` to normalised f32 `[B, 3, height, width]`, channels last in memory.
pub fn normalise(pixels: &[u8], height: usize, width: usize, device: Device) -> Tensor {
    let shape = [-1, height as i64, width as i64, 3];
    let bytes = Tensor::from_slice(pixels).to_device(device).reshape(shape);
    let mean = Tensor::from_slice(&MEAN.map(|m| m * 255.0)).to_device(device);
    let std = Tensor::from_slice(&STD.map(|s| s * 255.0)).to_device(device);
    ((bytes.to_kind(Kind::Float) - mean) / std).permute([0, 3, 1, 2])
}
