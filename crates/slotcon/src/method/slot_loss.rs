//! Slot loss (equation 4): a slot of one view should find the teacher's same slot of the other view among all
//! teacher slots of the batch.

use slotcon_nn::Mlp;
use slotcon_torch::Error;
use tch::{Kind, Reduction, Tensor};

use super::grouping::{Groups, normalize};
use super::network::Mode;

/// τ of the contrast; the loss is scaled by 2τ as in MoCo v3.
const TEMPERATURE: f64 = 0.2;

/// InfoNCE between the student's slots of one view, through `predictor`, and the teacher's of the other. A scalar.
///
/// A slot counts if it is the arg-max somewhere in its view. The positives are the slots that count in both views;
/// the negatives are all teacher slots that count, in all pictures. With fewer than two positives batch norm has
/// nothing to normalise: the loss is zero then.
///
/// # Errors
/// Whatever libtorch throws.
pub fn slot_loss(student: &Groups, teacher: &Groups, predictor: &Mlp, mode: Mode) -> Result<Tensor, Error> {
    if student.slots.device().is_cuda() {
        contrast_padded(student, teacher, predictor, mode)
    } else {
        contrast_selected(student, teacher, predictor, mode)
    }
}

/// Picks out the slots that count: the least work, but how many they are must be known, for which a GPU would have to
/// be waited for.
pub fn contrast_selected(
    student: &Groups,
    teacher: &Groups,
    predictor: &Mlp,
    mode: Mode,
) -> Result<Tensor, Error> {
    let dim = student.slots.size()[2];
    let counts_q = student.counting().view([-1]);
    let counts_k = teacher.counting().view([-1]);
    let positives = (counts_q * &counts_k).nonzero().squeeze_dim(-1);
    if positives.size()[0] < 2 {
        return Ok(student.slots.sum(None) * 0.0);
    }
    let keys = counts_k.nonzero().squeeze_dim(-1);

    let q = student.slots.reshape([-1, dim]).index_select(0, &positives);
    let k = normalize(&teacher.slots.detach().reshape([-1, dim]).index_select(0, &keys));
    let predicted = mode.run(&q, |q| predictor.forward(q, true))?;
    let logits = normalize(&predicted).matmul(&k.tr()) / TEMPERATURE;
    let column = counts_k.cumsum(0, Kind::Int64) - 1;
    let labels = column.index_select(0, &positives);
    Ok(logits.cross_entropy_loss(&labels, None::<Tensor>, Reduction::Mean, -100, 0.0) * (2.0 * TEMPERATURE))
}

/// The same with shapes that do not depend on what counts: at most min(K, h w) slots of a picture can be an arg-max, so
/// as many are taken and those that do not count are masked. Nothing waits for the device.
pub fn contrast_padded(
    student: &Groups,
    teacher: &Groups,
    predictor: &Mlp,
    mode: Mode,
) -> Result<Tensor, Error> {
    let (_, prototypes, dim) = student.slots.size3().unwrap_or_default();
    let (h, w) = student.grid;
    let capacity = prototypes.min(h * w);
    let counts_k = teacher.counting();
    // Counting is 1 or 0, so the largest values are the slots that count.
    let pick = |counts: &Tensor| counts.topk(capacity, -1, true, false);
    let (positive, of_q) = pick(&(student.counting() * &counts_k));
    let (negative, of_k) = pick(&counts_k);
    let rows = |slots: &Tensor, index: &Tensor| {
        slots
            .gather(1, &index.unsqueeze(-1).expand([-1, -1, dim], false), false)
            .reshape([-1, dim])
    };
    let targets = teacher.slots.detach();
    let (q, own) = (rows(&student.slots, &of_q), normalize(&rows(&targets, &of_q)));
    let k = normalize(&rows(&targets, &of_k));

    let positive = positive.view([-1]);
    let predicted = normalize(&mode.run(&q, |q| predictor.forward_selected(q, &positive))?);
    let masked = negative.view([1, -1]).eq(0.0);
    let logits = (predicted.matmul(&k.tr()) / TEMPERATURE).masked_fill(&masked, f64::NEG_INFINITY);
    let own = (predicted * own).sum_dim_intlist(-1, false, None) / TEMPERATURE;
    let losses = (logits.logsumexp([-1i64], false) - own) * &positive;
    let count = positive.sum(None);
    let enough = count.ge(2.0).to_kind(count.kind());
    Ok(losses.sum(None) / count.clamp_min(1.0) * enough * (2.0 * TEMPERATURE))
}
