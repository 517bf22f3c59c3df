//! From pictures to detections (detectron2's `fast_rcnn_inference`, `mask_rcnn_inference` and `detector_postprocess`).

use slotcon_data::rle::Runs;
use slotcon_nn::BatchNormMode;
use slotcon_torch::{Error, nms};
use tch::{Device, Kind, Tensor};

use super::boxes::{OF_PROPOSALS as CODING, clipped, not_empty};
use super::network::{MaskRcnn, Pictures};
use super::paste::paste;
use super::proposals::Proposals;
use super::regions::of_class;
use super::rpn::full_precision;

/// What counts as a detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionLimits {
    /// A score above this,
    pub score: f64,
    /// of two of one class that overlap more than this the better one,
    pub overlap: f64,
    /// and so many of a picture.
    pub count: i64,
}

impl Default for DetectionLimits {
    fn default() -> Self {
        Self {
            score: 0.05,
            overlap: 0.5,
            count: 100,
        }
    }
}

/// The detections of a picture, best first, on the CPU.
#[derive(Debug)]
pub struct Detections {
    /// In pixels of the picture as the network saw it, `[N, 4]`, f32.
    pub boxes: Tensor,
    /// `[N]`.
    pub scores: Tensor,
    /// `[N]`, from 0.
    pub classes: Tensor,
    /// Probability that a part of a box is its object's, `[N, 28, 28]`.
    pub masks: Tensor,
}

/// An object in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The class, from 0.
    pub class: usize,
    /// How sure the detector is, up to 1.
    pub score: f64,
    /// Box in pixels, x1, y1, x2, y2.
    pub bounds: [f32; 4],
    /// Its pixels.
    pub mask: Runs,
}

impl MaskRcnn {
    /// The detections in pictures, by the running statistics.
    ///
    /// # Errors
    /// Pictures of another shape.
    pub fn detect(&self, pictures: &Pictures, limits: DetectionLimits) -> Result<Vec<Detections>, Error> {
        let _guard = tch::no_grad_guard();
        let maps = self.maps(&pictures.pixels, BatchNormMode::Eval)?;
        let proposals = self.propose(&maps, &pictures.sizes)?;
        self.detect_in(&maps, &proposals, &pictures.sizes, limits)
    }

    /// The same from the maps and proposals of pictures of these (height, width).
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn detect_in(
        &self,
        maps: &[Tensor],
        proposals: &[Proposals],
        sizes: &[(i64, i64)],
        limits: DetectionLimits,
    ) -> Result<Vec<Detections>, Error> {
        let _guard = tch::no_grad_guard();
        let mode = BatchNormMode::Eval;
        let (boxes, pictures) = joined(proposals.iter().map(|p| &p.boxes))?;
        let [logits, deltas] = self.classify(maps, &boxes, &pictures, mode)?;
        let scores = full_precision(&logits)?
            .f_softmax(-1, None::<Kind>)?
            .f_to_device(Device::Cpu)?;
        let deltas = deltas.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?;
        let (mut first, mut found) = (0, Vec::new());
        for (proposals, &size) in proposals.iter().zip(sizes) {
            let count = proposals.boxes.size()[0];
            let of = |x: &Tensor| x.f_narrow(0, first, count);
            found.push(best(
                &proposals.boxes,
                &of(&scores)?,
                &of(&deltas)?,
                size,
                limits,
            )?);
            first += count;
        }
        let (boxes, pictures) = joined(found.iter().map(|f| &f.boxes))?;
        if boxes.size()[0] == 0 {
            return Ok(found);
        }
        let classes = Tensor::f_cat(&Vec::from_iter(found.iter().map(|f| &f.classes)), 0)?;
        let drawn = self.draw(maps, &boxes, &pictures, mode)?;
        let masks = of_class(&full_precision(&drawn)?, &classes)?
            .f_sigmoid()?
            .f_to_device(Device::Cpu)?;
        let mut first = 0;
        for detections in &mut found {
            let count = detections.boxes.size()[0];
            detections.masks = masks.f_narrow(0, first, count)?;
            first += count;
        }
        Ok(found)
    }
}

/// Boxes of all pictures one after the other, and the picture of each.
fn joined<'a>(boxes: impl Iterator<Item = &'a Tensor>) -> Result<(Tensor, Tensor), Error> {
    let boxes = Vec::from_iter(boxes);
    let pictures = boxes.iter().enumerate().map(|(picture, boxes)| {
        let count = boxes.size()[0];
        Tensor::f_full([count], picture as i64, (Kind::Int64, Device::Cpu))
    });
    let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
    Ok((Tensor::f_cat(&boxes, 0)?, Tensor::f_cat(&pictures, 0)?))
}

/// The best of a picture's regions: scores `[R, classes + 1]`, deltas `[R, 4 * classes]`.
fn best(
    proposals: &Tensor,
    scores: &Tensor,
    deltas: &Tensor,
    size: (i64, i64),
    limits: DetectionLimits,
) -> Result<Detections, Error> {
    let (regions, columns) = scores.size2()?;
    let deltas = deltas.f_view([regions, columns - 1, 4])?;
    let boxes = CODING.decode(&proposals.f_unsqueeze(1)?, &deltas)?;
    let finite = boxes.f_isfinite()?.f_flatten(1, 2)?.f_all_dim(1, false)?;
    let finite = finite
        .f_logical_and(&scores.f_isfinite()?.f_all_dim(1, false)?)?
        .f_nonzero()?
        .f_view([-1])?;
    let boxes = clipped(&boxes.f_index_select(0, &finite)?, size)?;
    let scores = scores.f_index_select(0, &finite)?.f_narrow(1, 0, columns - 1)?;
    let above = scores.f_gt(limits.score)?.f_nonzero()?;
    let (region, class) = (above.f_select(1, 0)?, above.f_select(1, 1)?);
    let flat = region.f_mul_scalar(columns - 1)?.f_add(&class)?;
    let boxes = boxes.f_reshape([-1, 4])?.f_index_select(0, &flat)?;
    let scores = scores.f_reshape([-1])?.f_index_select(0, &flat)?;
    let kept = nms(&boxes, &scores, Some(&class), limits.overlap)?;
    let kept = kept.f_narrow(0, 0, limits.count.min(kept.numel() as i64))?;
    let of = |x: &Tensor| x.f_index_select(0, &kept);
    Ok(Detections {
        boxes: of(&boxes)?,
        masks: Tensor::f_zeros([0, 28, 28], (scores.kind(), Device::Cpu))?,
        scores: of(&scores)?,
        classes: of(&class)?,
    })
}

impl Detections {
    /// Boxes in a picture of (height, width) `output` that the network saw at `seen`, and which detections have one there.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn boxes_at(&self, seen: (i64, i64), output: (u32, u32)) -> Result<(Tensor, Vec<i64>), Error> {
        let [down, across] =
            [(output.0, seen.0), (output.1, seen.1)].map(|(to, from)| f64::from(to) / from as f64);
        let column = |i: i64, scale: f64| self.boxes.f_narrow(1, i, 1)?.f_mul_scalar(scale);
        let scaled = [
            column(0, across)?,
            column(1, down)?,
            column(2, across)?,
            column(3, down)?,
        ];
        let boxes = clipped(&Tensor::f_cat(&scaled, 1)?, (output.0.into(), output.1.into()))?;
        let kept = not_empty(&boxes)?.f_nonzero()?.f_view([-1])?;
        Ok((boxes.f_index_select(0, &kept)?, Vec::try_from(kept)?))
    }

    /// The objects in the picture at its own size; see [`Detections::boxes_at`].
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn at(&self, seen: (i64, i64), output: (u32, u32)) -> Result<Vec<Detection>, Error> {
        let (boxes, kept) = self.boxes_at(seen, output)?;
        let boxes = Vec::<f32>::try_from(boxes.f_reshape([-1])?)?;
        let boxes = boxes.as_chunks::<4>().0.iter();
        let detection = |(&bounds, number): (&[f32; 4], i64)| {
            Ok(Detection {
                class: self.classes.f_int64_value(&[number])? as usize,
                score: self.scores.f_double_value(&[number])?,
                bounds,
                mask: paste(&self.masks.f_get(number)?, bounds, output)?,
            })
        };
        boxes.zip(kept).map(detection).collect()
    }
}
