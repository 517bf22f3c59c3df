//! What the region proposal network learns: which anchors hold an object, and how they should move (detectron2's `RPN`).

use slotcon_nn::detection::Proposed;
use slotcon_torch::Error;
use tch::{Device, Kind, Reduction, Tensor};

use super::boxes::{OF_ANCHORS as CODING, overlaps};
use super::matcher::OF_ANCHORS as MATCHER;
use super::sampling::{Choose, Sampling, Stage};
use super::truth::Truth;

/// The anchors of a picture that the losses count.
#[derive(Debug)]
pub struct AnchorTargets {
    /// Those that hold an object, `[P]`, and those that hold none, `[N]`; on the anchors' device.
    pub positive: Tensor,
    /// See `positive`.
    pub negative: Tensor,
    /// How the positive ones should move, `[P, 4]`, f32.
    pub deltas: Tensor,
}

/// Numbers as a tensor on a device.
fn numbers(list: &[i64], device: Device) -> Result<Tensor, Error> {
    if list.is_empty() {
        return Ok(Tensor::f_zeros([0], (Kind::Int64, device))?);
    }
    Ok(Tensor::f_from_slice(list)?.f_to_device(device)?)
}

/// Targets of every picture, for `anchors` `[A, 4]` of all maps. The host waits for each picture's labels, to choose from them.
///
/// # Errors
/// What libtorch refuses.
pub fn anchor_targets(
    anchors: &Tensor,
    truths: &[Truth],
    sampling: Sampling,
    choose: &mut dyn Choose,
) -> Result<Vec<AnchorTargets>, Error> {
    let _guard = tch::no_grad_guard();
    let device = anchors.device();
    let mut targets = Vec::with_capacity(truths.len());
    for (picture, truth) in truths.iter().enumerate() {
        let boxes = truth.boxes.f_to_device(device)?;
        let matches = MATCHER.matches(&overlaps(&boxes, anchors)?)?;
        let labels = Vec::<i8>::try_from(matches.label.f_to_device(Device::Cpu)?)?;
        let chosen = sampling.sample(&labels, Stage::Anchors, picture, choose);
        let positive = numbers(&chosen.positive, device)?;
        let objects = matches.object.f_index_select(0, &positive)?;
        let from = anchors.f_index_select(0, &positive)?;
        let deltas = if chosen.positive.is_empty() {
            from.f_zeros_like()?
        } else {
            CODING.encode(&from, &boxes.f_index_select(0, &objects)?)?
        };
        targets.push(AnchorTargets {
            positive,
            negative: numbers(&chosen.negative, device)?,
            deltas,
        });
    }
    Ok(targets)
}

/// The losses of the region proposal network, scalars.
#[derive(Debug)]
pub struct RpnLosses {
    /// Binary cross-entropy of whether an anchor holds an object.
    pub objectness: Tensor,
    /// L1 distance of deltas.
    pub boxes: Tensor,
}

/// Losses of what is proposed (by map), both summed and divided by as many anchors as all pictures might have had,
/// `sampling.total` each.
///
/// # Errors
/// Shapes that do not fit.
pub fn rpn_losses(
    proposed: &[Proposed],
    targets: &[AnchorTargets],
    sampling: Sampling,
) -> Result<RpnLosses, Error> {
    let all = |of: fn(&Proposed) -> &Tensor| {
        let parts = proposed
            .iter()
            .map(|p| full_precision(of(p)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Error>(Tensor::f_cat(&parts, 1)?)
    };
    let (logits, deltas) = (all(|p| &p.logits)?, all(|p| &p.deltas)?);
    let (_, anchors) = logits.size2()?;
    let in_batch = |of: fn(&AnchorTargets) -> &Tensor| {
        let parts = targets.iter().enumerate();
        let parts = parts.map(|(picture, targets)| of(targets).f_add_scalar(picture as i64 * anchors));
        Ok::<_, Error>(Tensor::f_cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)?)
    };
    let (positive, negative) = (in_batch(|t| &t.positive)?, in_batch(|t| &t.negative)?);
    let chosen = logits
        .f_view([-1])?
        .f_index_select(0, &Tensor::f_cat(&[&positive, &negative], 0)?)?;
    let wanted = Tensor::f_zeros([chosen.numel() as i64], (chosen.kind(), chosen.device()))?;
    let _ = wanted.f_narrow(0, 0, positive.numel() as i64)?.f_fill_(1)?;
    let none = None::<Tensor>;
    let objectness =
        chosen.f_binary_cross_entropy_with_logits(&wanted, none.as_ref(), none.as_ref(), Reduction::Sum)?;
    let moved = deltas.f_view([-1, 4])?.f_index_select(0, &positive)?;
    let parts = Vec::from_iter(targets.iter().map(|t| &t.deltas));
    let wanted = Tensor::f_cat(&parts, 0)?.f_to_kind(moved.kind())?;
    let boxes = moved.f_l1_loss(&wanted, Reduction::Sum)?;
    let count = (sampling.total * targets.len()) as f64;
    Ok(RpnLosses {
        objectness: objectness / count,
        boxes: boxes / count,
    })
}

/// The same in f32, where it was computed in half precision.
pub(super) fn full_precision(x: &Tensor) -> Result<Tensor, Error> {
    Ok(match x.kind() {
        Kind::Half | Kind::BFloat16 => x.f_to_kind(Kind::Float)?,
        _ => x.shallow_clone(),
    })
}
