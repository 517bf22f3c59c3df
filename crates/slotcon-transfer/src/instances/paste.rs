//! Masks of regions, drawn into their picture (detectron2's `paste_masks_in_image`).

use slotcon_data::rle::Runs;
use slotcon_torch::Error;
use tch::{Kind, Tensor};

/// The pixels of a picture of (height, width) that belong to the object of `region` (x1, y1, x2, y2): those where its mask
/// `[h, w]` of probabilities, stretched over the region (bilinear, nothing outside), is at least a half.
///
/// # Errors
/// What libtorch refuses.
pub fn paste(mask: &Tensor, region: [f32; 4], (height, width): (u32, u32)) -> Result<Runs, Error> {
    let [left, top, right, bottom] = region;
    let first = |start: f32| (start.floor() - 1.0).max(0.0) as u32;
    let end = |stop: f32, limit: u32| ((stop.ceil() + 1.0).max(0.0) as u32).min(limit);
    let (x0, x1) = (first(left).min(width), end(right, width));
    let (y0, y1) = (first(top).min(height), end(bottom, height));
    if x1 <= x0 || y1 <= y0 {
        return Ok(Runs::empty(width, height));
    }
    let device = mask.device();
    // -1 and 1 are the edges of the region; pixels are seen at their centres.
    let along = |first: u32, end: u32, start: f32, stop: f32| -> Result<Tensor, Error> {
        let at = Tensor::f_arange_start(i64::from(first), i64::from(end), (Kind::Float, device))?;
        let at = at.f_add_scalar(0.5)?.f_sub_scalar(f64::from(start))?;
        let at = at.f_div_scalar(f64::from(stop - start))?;
        Ok(at.f_mul_scalar(2)?.f_sub_scalar(1)?.f_to_kind(mask.kind())?)
    };
    let (across, down) = (i64::from(x1 - x0), i64::from(y1 - y0));
    // Columns first: the order of runs.
    let x = along(x0, x1, left, right)?
        .f_view([-1, 1])?
        .f_expand([across, down], false)?;
    let y = along(y0, y1, top, bottom)?
        .f_view([1, -1])?
        .f_expand([across, down], false)?;
    let grid = Tensor::f_stack(&[&x, &y], 2)?.f_unsqueeze(0)?;
    let mask = mask.f_unsqueeze(0)?.f_unsqueeze(0)?;
    let (bilinear, zeros) = (0, 0);
    let drawn = mask.f_grid_sampler_2d(&grid, bilinear, zeros, false)?;
    let inside = drawn.f_ge(0.5)?.f_to_kind(Kind::Uint8)?.f_reshape([-1])?;
    let inside = Vec::<u8>::try_from(inside.f_to_device(tch::Device::Cpu)?)?;
    let column = inside.chunks_exact(down as usize);
    let none = |count: u32| std::iter::repeat_n(false, count as usize);
    let middle = column.flat_map(|column| {
        let column = column.iter().map(|&inside| inside != 0);
        none(y0).chain(column).chain(none(height - y1))
    });
    let pixels = none(x0 * height).chain(middle).chain(none((width - x1) * height));
    Ok(Runs::from_columns(width, height, pixels))
}
