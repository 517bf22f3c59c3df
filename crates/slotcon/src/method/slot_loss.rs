//! Slot loss (equation 4): a slot of one view should find the teacher's same slot of the other view among all
//! teacher slots of the batch.

use slotcon_nn::Mlp;
use tch::{Reduction, Tensor};

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
pub fn slot_loss(
    student: &Groups,
    teacher: &Groups,
    predictor: &Mlp,
    mode: Mode,
) -> Result<Tensor, slotcon_torch::Error> {
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
    let predicted = mode.run(&q, |q| predictor.forward(q, mode.train))?;
    let logits = normalize(&predicted).matmul(&k.tr()) / TEMPERATURE;
    let column = counts_k.cumsum(0, tch::Kind::Int64) - 1;
    let labels = column.index_select(0, &positives);
    Ok(logits.cross_entropy_loss(&labels, None::<Tensor>, Reduction::Mean, -100, 0.0) * (2.0 * TEMPERATURE))
}
