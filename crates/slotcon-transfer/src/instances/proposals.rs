//! Boxes that may hold an object, from what the region proposal network says (detectron2's `find_top_rpn_proposals`).

use slotcon_nn::detection::Proposed;
use slotcon_torch::{Error, nms};
use tch::{Device, Kind, Tensor};

use super::boxes::{OF_ANCHORS, clipped, not_empty};

/// How many are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProposalLimits {
    /// Of each map, before they compete.
    pub before: i64,
    /// Of a picture, after that.
    pub after: i64,
    /// Of two of the same map that overlap more the better one remains.
    pub overlap: f64,
}

/// The proposals of a picture, best first. They live on the CPU.
#[derive(Debug)]
pub struct Proposals {
    /// `[N, 4]`, f32, within the picture and not empty.
    pub boxes: Tensor,
    /// `[N]`.
    pub logits: Tensor,
}

/// Proposals of every picture. `anchors` and `proposed` are by map, `sizes` the (height, width) of each picture in the batch
/// without its padding. No gradient. Those that are not finite are left out.
///
/// The host waits for the device once, for the candidates of all pictures: boxes of one map that overlap compete on the CPU.
///
/// # Errors
/// Shapes that do not fit.
pub fn propose(
    anchors: &[Tensor],
    proposed: &[Proposed],
    sizes: &[(i64, i64)],
    limits: ProposalLimits,
) -> Result<Vec<Proposals>, Error> {
    let _guard = tch::no_grad_guard();
    let (mut all_boxes, mut all_logits, mut maps) = (Vec::new(), Vec::new(), Vec::new());
    for (map, (anchors, proposed)) in anchors.iter().zip(proposed).enumerate() {
        let (_, count) = proposed.logits.size2()?;
        let (logits, best) = proposed.logits.f_topk(limits.before.min(count), 1, true, true)?;
        let (batch, kept) = best.size2()?;
        let index = best.f_unsqueeze(-1)?.f_expand([batch, kept, 4], false)?;
        let deltas = proposed
            .deltas
            .f_gather(1, &index, false)?
            .f_to_kind(Kind::Float)?;
        let anchors = anchors
            .f_index_select(0, &best.f_view([-1])?)?
            .f_view([batch, kept, 4])?;
        all_boxes.push(OF_ANCHORS.decode(&anchors, &deltas)?);
        all_logits.push(logits);
        maps.push(Tensor::f_full([kept], map as i64, (Kind::Int64, Device::Cpu))?);
    }
    let boxes = Tensor::f_cat(&all_boxes, 1)?.f_to_device(Device::Cpu)?;
    let logits = Tensor::f_cat(&all_logits, 1)?.f_to_device(Device::Cpu)?;
    let maps = Tensor::f_cat(&maps, 0)?;
    let of_picture = |(picture, &size): (usize, &(i64, i64))| {
        let (boxes, logits) = (boxes.f_get(picture as i64)?, logits.f_get(picture as i64)?);
        let finite = boxes
            .f_isfinite()?
            .f_all_dim(1, false)?
            .f_logical_and(&logits.f_isfinite()?)?;
        let boxes = clipped(&boxes, size)?;
        let usable = finite
            .f_logical_and(&not_empty(&boxes)?)?
            .f_nonzero()?
            .f_view([-1])?;
        let of = |x: &Tensor| x.f_index_select(0, &usable);
        let (boxes, logits, maps) = (of(&boxes)?, of(&logits)?, of(&maps)?);
        let kept = nms(&boxes, &logits, Some(&maps), limits.overlap)?;
        let kept = kept.f_narrow(0, 0, limits.after.min(kept.numel() as i64))?;
        Ok(Proposals {
            boxes: boxes.f_index_select(0, &kept)?,
            logits: logits.f_index_select(0, &kept)?,
        })
    };
    sizes.iter().enumerate().map(of_picture).collect()
}
