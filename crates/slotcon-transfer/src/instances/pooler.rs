//! The features of regions, each from the map that fits its size (detectron2's `ROIPooler`).

use slotcon_nn::detection::Anchors;
use slotcon_torch::{Error, RoiAlign};
use tch::{Device, Kind, Tensor};

use super::boxes::areas;

/// Maps that regions are pooled from: p2 to p5.
const MAPS: i64 = 4;

/// The map of each box, `[N]` (0: p2 … 3: p5): a box of 224 x 224 pixels is pooled from p4, one of half the side from p3.
///
/// # Errors
/// Other shapes.
pub fn map_of(boxes: &Tensor) -> Result<Tensor, Error> {
    let side = areas(boxes)?.f_sqrt()?;
    let level = side
        .f_div_scalar(224)?
        .f_add_scalar(1e-8)?
        .f_log2()?
        .f_add_scalar(4)?
        .f_floor()?;
    Ok(level
        .f_clamp(2, 1 + MAPS)?
        .f_to_kind(Kind::Int64)?
        .f_sub_scalar(2)?)
}

/// Features of boxes `[R, 4]` (on the CPU) of pictures `[R]` in a grid of `bins` x `bins`, `[R, channels, bins, bins]`, from
/// the maps p2, p3, …
///
/// # Errors
/// Other shapes, coordinates that are not finite.
pub fn pool(maps: &[Tensor], boxes: &Tensor, pictures: &Tensor, bins: i64) -> Result<Tensor, Error> {
    let level = map_of(boxes)?;
    let (mut parts, mut places) = (Vec::new(), Vec::new());
    for (map, features) in maps.iter().enumerate().take(MAPS as usize) {
        let here = level.f_eq(map as i64)?.f_nonzero()?.f_view([-1])?;
        let align = RoiAlign {
            bins: (bins, bins),
            scale: 1.0 / Anchors::STRIDES[map] as f64,
            sampling: 0,
            aligned: true,
        };
        let of = |x: &Tensor| x.f_index_select(0, &here);
        parts.push(align.apply(features, &of(boxes)?, &of(pictures)?)?);
        places.push(here);
    }
    let order = Tensor::f_cat(&places, 0)?.f_argsort(0, false)?;
    let device = maps.first().map_or(Device::Cpu, Tensor::device);
    Ok(Tensor::f_cat(&parts, 0)?.f_index_select(0, &order.f_to_device(device)?)?)
}
