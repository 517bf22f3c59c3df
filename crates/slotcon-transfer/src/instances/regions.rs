//! What the heads learn: classes, boxes and masks of sampled proposals (detectron2's `StandardROIHeads`).

use slotcon_torch::Error;
use tch::{Device, Kind, Reduction, Tensor};

use super::boxes::{OF_PROPOSALS as CODING, overlaps};
use super::mask_targets::mask_targets;
use super::matcher::OF_PROPOSALS as MATCHER;
use super::proposals::Proposals;
use super::rpn::full_precision;
use super::sampling::{Choose, Sampling, Stage};
use super::truth::Truth;

/// The proposals of a picture that the heads are trained on, those of objects first. On the CPU.
#[derive(Debug)]
pub struct Regions {
    /// `[R, 4]`, f32.
    pub boxes: Tensor,
    /// The class of each, `[R]`; the number of classes: none.
    pub classes: Tensor,
    /// The object of each of the first regions, by its number in the picture's truth.
    pub objects: Vec<usize>,
}

/// Chooses among a picture's proposals and its true boxes. Where there is neither, the whole picture of (height, width) is
/// taken, for nothing.
///
/// # Errors
/// What libtorch refuses.
pub fn sample_regions(
    proposals: &Proposals,
    truth: &Truth,
    (picture, size): (usize, (i64, i64)),
    (classes, sampling): (i64, Sampling),
    choose: &mut dyn Choose,
) -> Result<Regions, Error> {
    let mut boxes = Tensor::f_cat(&[&proposals.boxes, &truth.boxes], 0)?;
    if boxes.size()[0] == 0 {
        boxes = Tensor::from_slice(&[0.0, 0.0, size.1 as f32, size.0 as f32]).f_view([1, 4])?;
    }
    let matches = MATCHER.matches(&overlaps(&truth.boxes, &boxes)?)?;
    let labels = Vec::<i8>::try_from(&matches.label)?;
    let chosen = sampling.sample(&labels, Stage::Proposals, picture, choose);
    let index = Vec::from_iter(chosen.positive.iter().chain(&chosen.negative).copied());
    let objects = Vec::<i64>::try_from(&matches.object)?;
    let objects = Vec::from_iter(chosen.positive.iter().map(|&i| objects[i as usize] as usize));
    let of_objects = objects.iter().map(|&object| truth.classes[object]);
    let of_nothing = std::iter::repeat_n(classes, chosen.negative.len());
    Ok(Regions {
        boxes: boxes.f_index_select(0, &Tensor::f_from_slice(&index)?)?,
        classes: Tensor::f_from_slice(&Vec::from_iter(of_objects.chain(of_nothing)))?,
        objects,
    })
}

/// The regions of a whole batch, picture by picture, on the CPU.
#[derive(Debug)]
pub struct RegionBatch {
    /// `[R, 4]`, f32.
    pub boxes: Tensor,
    /// The picture of each, `[R]`.
    pub pictures: Tensor,
    /// The class of each, `[R]`.
    pub classes: Tensor,
    /// Positions of those with an object, `[F]`.
    pub foreground: Tensor,
    /// How those become the boxes of their objects, `[F, 4]`, f32.
    pub deltas: Tensor,
}

impl RegionBatch {
    /// Of the regions of every picture.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn of(regions: &[Regions], truths: &[Truth]) -> Result<Self, Error> {
        let mut pictures = Vec::new();
        let mut foreground = Vec::new();
        let mut targets = Vec::new();
        for (picture, (regions, truth)) in regions.iter().zip(truths).enumerate() {
            let first = pictures.len() as i64;
            foreground.extend((0..regions.objects.len() as i64).map(|i| first + i));
            pictures.extend(vec![picture as i64; regions.boxes.size()[0] as usize]);
            let objects = Vec::from_iter(regions.objects.iter().map(|&object| object as i64));
            targets.push(truth.boxes.f_index_select(0, &index(&objects))?);
        }
        let all = |of: fn(&Regions) -> &Tensor| Tensor::f_cat(&Vec::from_iter(regions.iter().map(of)), 0);
        let boxes = all(|r| &r.boxes)?;
        let foreground = index(&foreground);
        let from = boxes.f_index_select(0, &foreground)?;
        let deltas = CODING.encode(&from, &Tensor::f_cat(&targets, 0)?)?;
        Ok(Self {
            boxes,
            pictures: index(&pictures),
            classes: all(|r| &r.classes)?,
            foreground,
            deltas,
        })
    }
}

/// Numbers as a tensor.
fn index(numbers: &[i64]) -> Tensor {
    match numbers {
        [] => Tensor::zeros([0], (Kind::Int64, Device::Cpu)),
        numbers => Tensor::from_slice(numbers),
    }
}

/// Losses of logits `[R, classes + 1]` and deltas `[R, 4 * classes]`: the mean cross-entropy over all regions, and the L1
/// distance of the deltas of the true class, over those with an object, divided by the number of all regions.
///
/// # Errors
/// Shapes that do not fit.
pub fn box_losses([logits, deltas]: [&Tensor; 2], batch: &RegionBatch) -> Result<[Tensor; 2], Error> {
    let (logits, deltas) = (full_precision(logits)?, full_precision(deltas)?);
    let device = logits.device();
    let (regions, _) = logits.size2()?;
    let classes = batch.classes.f_to_device(device)?;
    let class = logits.f_cross_entropy_loss(&classes, None::<Tensor>, Reduction::Mean, -100, 0.0)?;
    let foreground = batch.foreground.f_to_device(device)?;
    let of_class = deltas.f_view([regions, -1, 4])?.f_index_select(0, &foreground)?;
    let wanted_class = classes.f_index_select(0, &foreground)?;
    let wanted_class = wanted_class.f_view([-1, 1, 1])?.f_expand([-1, 1, 4], false)?;
    let moved = of_class.f_gather(1, &wanted_class, false)?.f_squeeze_dim(1)?;
    let wanted = batch.deltas.f_to_device(device)?.f_to_kind(moved.kind())?;
    let boxes = moved.f_l1_loss(&wanted, Reduction::Sum)? / regions as f64;
    Ok([class, boxes])
}

/// The masks that the mask head should draw into the regions with an object, picture by picture, bytes `[F, side, side]` of 0 or
/// 1, on the CPU.
///
/// # Errors
/// What libtorch refuses.
pub fn all_mask_targets(regions: &[Regions], truths: &[Truth], side: u32) -> Result<Tensor, Error> {
    let pixels = (side * side) as usize;
    let mut all = Vec::new();
    for (regions, truth) in regions.iter().zip(truths) {
        let count = regions.objects.len();
        let boxes = Vec::<f32>::try_from(regions.boxes.f_narrow(0, 0, count as i64)?.f_reshape([-1])?)?;
        let boxes = boxes.as_chunks::<4>().0;
        let first = all.len();
        all.resize(first + count * pixels, 0);
        for (object, shape) in truth.shapes.iter().enumerate() {
            let places = (0..count).filter(|&i| regions.objects[i] == object);
            let places = Vec::from_iter(places);
            let of_object = Vec::from_iter(places.iter().map(|&i| boxes[i]));
            let masks = mask_targets(shape, &of_object, side)?;
            for (place, mask) in places.iter().zip(masks.chunks_exact(pixels)) {
                all[first + place * pixels..][..pixels].copy_from_slice(mask);
            }
        }
    }
    Ok(Tensor::f_from_slice(&all)?.f_view([-1, i64::from(side), i64::from(side)])?)
}

/// Mean binary cross-entropy of logits `[F, classes, side, side]`, of each region's class `[F]`, against masks `[F, side, side]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn mask_loss(logits: &Tensor, classes: &Tensor, masks: &Tensor) -> Result<Tensor, Error> {
    let logits = of_class(&full_precision(logits)?, classes)?;
    let masks = masks.f_to_device(logits.device())?.f_to_kind(logits.kind())?;
    let none = None::<Tensor>;
    Ok(logits.f_binary_cross_entropy_with_logits(&masks, none.as_ref(), none.as_ref(), Reduction::Mean)?)
}

/// Of `[F, classes, h, w]` the map of each region's class `[F]`, `[F, h, w]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn of_class(maps: &Tensor, classes: &Tensor) -> Result<Tensor, Error> {
    let (_, _, height, width) = maps.size4()?;
    let class = classes.f_to_device(maps.device())?.f_view([-1, 1, 1, 1])?;
    let class = class.f_expand([-1, 1, height, width], false)?;
    Ok(maps.f_gather(1, &class, false)?.f_squeeze_dim(1)?)
}
