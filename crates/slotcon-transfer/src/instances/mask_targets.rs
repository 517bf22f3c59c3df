//! What the mask head learns: the part of a region that is its object's.

use slotcon_data::annotations::Shape;
use slotcon_data::rle::Runs;
use slotcon_torch::{Error, RoiAlign};
use tch::{Device, Kind, Tensor};

/// Shortest side of a region, in pixels, by which polygons are stretched.
const SHORTEST: f64 = 0.1;

/// The masks of one object in regions `boxes` (x1, y1, x2, y2), `side` x `side` values of 0 or 1 each, row by row.
///
/// Polygons are moved and stretched to the region and filled there, as detectron2 does with polygons; pixels are averaged over
/// the cells of the region and cut at a half, as it does with bitmaps.
///
/// # Errors
/// What libtorch refuses.
pub fn mask_targets(shape: &Shape, boxes: &[[f32; 4]], side: u32) -> Result<Vec<u8>, Error> {
    match shape {
        Shape::Polygons(polygons) => Ok(boxes
            .iter()
            .flat_map(|region| in_region(polygons, region, side))
            .collect()),
        Shape::Pixels(pixels) => of_pixels(pixels, boxes, side),
    }
}

/// detectron2's `rasterize_polygons_within_box`. The region's sides are f32, all else f64.
fn in_region(polygons: &[Vec<f64>], [left, top, right, bottom]: &[f32; 4], side: u32) -> Vec<u8> {
    let across = f64::from(side) / f64::from(right - left).max(SHORTEST);
    let down = f64::from(side) / f64::from(bottom - top).max(SHORTEST);
    let moved = polygons.iter().map(|polygon| {
        let points = polygon.as_chunks::<2>().0.iter();
        let points =
            points.flat_map(|[x, y]| [(x - f64::from(*left)) * across, (y - f64::from(*top)) * down]);
        Vec::from_iter(points)
    });
    Runs::from_polygons(side, side, &Vec::from_iter(moved)).rows()
}

/// detectron2's `BitMasks.crop_and_resize`.
fn of_pixels(pixels: &Runs, boxes: &[[f32; 4]], side: u32) -> Result<Vec<u8>, Error> {
    let (height, width) = (i64::from(pixels.height()), i64::from(pixels.width()));
    let map = Tensor::f_from_slice(&pixels.rows())?.f_view([1, 1, height, width])?;
    let boxes = Tensor::f_from_slice(boxes.as_flattened())?.f_view([-1, 4])?;
    let pictures = Tensor::f_zeros([boxes.size()[0]], (Kind::Int64, Device::Cpu))?;
    let align = RoiAlign {
        bins: (side.into(), side.into()),
        scale: 1.0,
        sampling: 0,
        aligned: true,
    };
    let mean = align.apply(&map.f_to_kind(Kind::Float)?, &boxes, &pictures)?;
    Ok(Vec::try_from(
        mean.f_ge(0.5)?.f_to_kind(Kind::Uint8)?.f_reshape([-1])?,
    )?)
}
