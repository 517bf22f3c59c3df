//! Slot loss (equation 4): a slot of one view should find the teacher's same slot of the other view among all
//! teacher slots of the batch, over all ranks.

use slotcon_nn::{BatchNormMode, Mlp};
use slotcon_torch::Error;
use slotcon_torch::distributed::{Ranks, Traffic};
use tch::{Kind, Reduction, Tensor};

use super::grouping::{Groups, normalize};
use super::network::Mode;

/// τ of the contrast; the loss is scaled by 2τ as in MoCo v3.
const TEMPERATURE: f64 = 0.2;

/// InfoNCE between the student's slots of one view, through `predictor`, and the teacher's of the other. A scalar.
///
/// A slot counts if it is the arg-max somewhere in its view. The positives are this rank's slots that count in both
/// views; the negatives are all teacher slots that count, in all pictures of all ranks. With fewer than two positives
/// over all ranks batch norm has nothing to normalise: the loss is zero then, as it is on a rank that has none.
///
/// # Errors
/// Whatever libtorch throws; a rank that is gone.
pub fn slot_loss(
    student: &Groups,
    teacher: &Groups,
    predictor: &Mlp,
    mode: Mode,
    ranks: &Ranks,
) -> Result<Tensor, Error> {
    if student.slots.device().is_cuda() {
        contrast_padded(student, teacher, predictor, mode, ranks)
    } else {
        contrast_selected(student, teacher, predictor, mode, ranks)
    }
}

/// Picks out the slots that count: the least work, but how many they are must be known, for which a GPU would have to
/// be waited for.
///
/// # Errors
/// As [`slot_loss`].
pub fn contrast_selected(
    student: &Groups,
    teacher: &Groups,
    predictor: &Mlp,
    mode: Mode,
    ranks: &Ranks,
) -> Result<Tensor, Error> {
    let dim = student.slots.size()[2];
    let counts_q = student.active().view([-1]);
    let counts_k = teacher.active().view([-1]);
    let positives = (counts_q * &counts_k).nonzero().squeeze_dim(-1);
    let own = positives.size()[0];
    let [total] = ranks.sum_numbers([own], Traffic::Slots)?;
    if total < 2 {
        return Ok(student.slots.sum(None) * 0.0);
    }
    let keys = counts_k.nonzero().squeeze_dim(-1);

    let q = student.slots.reshape([-1, dim]).index_select(0, &positives);
    let k = normalize(&teacher.slots.detach().reshape([-1, dim]).index_select(0, &keys));
    let (k, first) = ranks.gather_rows(&k, Traffic::Slots)?;
    let predicted = mode.run(q.device(), || predictor.forward(&q, &[own], BatchNormMode::Train))?;
    let logits = similarities(&normalize(&predicted), &k);
    let column = counts_k.cumsum(0, Kind::Int64) - 1 + first;
    let labels = column.index_select(0, &positives);
    let sum = logits.cross_entropy_loss(&labels, None::<Tensor>, Reduction::Sum, -100, 0.0);
    Ok(scaled(sum / own.max(1) as f64))
}

/// The same with shapes that do not depend on what counts: at most min(K, h w) slots of a picture can be an arg-max, so
/// as many are taken and those that do not count are masked. Nothing waits for the device.
///
/// # Errors
/// As [`slot_loss`].
pub fn contrast_padded(
    student: &Groups,
    teacher: &Groups,
    predictor: &Mlp,
    mode: Mode,
    ranks: &Ranks,
) -> Result<Tensor, Error> {
    let (_, prototypes, dim) = student.slots.size3()?;
    let (h, w) = student.grid;
    let capacity = prototypes.min(h * w);
    let counts_k = teacher.active();
    // Counting is 1 or 0, so the largest values are the slots that count.
    let pick = |counts: &Tensor| counts.topk(capacity, -1, true, false);
    let (positive, of_q) = pick(&(student.active() * &counts_k));
    let (negative, of_k) = pick(&counts_k);
    let rows = |slots: &Tensor, index: &Tensor| {
        slots
            .gather(1, &index.unsqueeze(-1).expand([-1, -1, dim], false), false)
            .reshape([-1, dim])
    };
    let targets = teacher.slots.detach();
    let (q, own) = (rows(&student.slots, &of_q), normalize(&rows(&targets, &of_q)));
    // One message: the slots, whether each counts, and this rank's positives.
    let flags = [&negative, &positive].map(|flags| flags.reshape([-1, 1]));
    let k = normalize(&rows(&targets, &of_k));
    let all = ranks.gather_equal(&Tensor::cat(&[&k, &flags[0], &flags[1]], 1), Traffic::Slots)?;
    let k = all.narrow(1, 0, dim);
    let masked = all.narrow(1, dim, 1).tr().eq(0.0);
    let total = all.narrow(1, dim + 1, 1).sum(None);

    let positive = positive.view([-1]);
    let predicted = normalize(&mode.run(q.device(), || predictor.forward_selected(&q, &positive))?);
    let logits = similarities(&predicted, &k).masked_fill(&masked, f64::NEG_INFINITY);
    let own = (predicted * own).sum_dim_intlist(-1, false, None) / TEMPERATURE;
    let losses = (logits.logsumexp([-1i64], false) - own) * &positive;
    let enough = total.ge(2.0).to_kind(total.kind());
    Ok(scaled(
        losses.sum(None) / positive.sum(None).clamp_min(1.0) * enough,
    ))
}

/// Cosine similarities of every predicted slot `[P, D]` to every key `[N, D]`, both of unit norm, over τ: `[P, N]`.
fn similarities(predicted: &Tensor, keys: &Tensor) -> Tensor {
    predicted.matmul(&keys.tr()) / TEMPERATURE
}

/// The mean of InfoNCE, scaled as MoCo v3 does: times 2τ.
fn scaled(mean: Tensor) -> Tensor {
    mean * (2.0 * TEMPERATURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotcon_nn::{MlpConfig, Store};
    use tch::Device;

    /// A predictor that answers (1, 0) to whatever slot it is given.
    fn constant_predictor() -> (Store, Mlp) {
        let store = Store::new(Device::Cpu, Kind::Double);
        let config = MlpConfig {
            input: 2,
            hidden: 2,
            output: 2,
        };
        let predictor = Mlp::new(&store.root(), config);
        let _guard = tch::no_grad_guard();
        let entries = store.entries();
        let last = entries
            .iter()
            .rposition(|entry| entry.name.ends_with("weight"))
            .unwrap();
        let _ = entries[last].tensor.shallow_clone().zero_();
        let bias = entries[last].name.replace("weight", "bias");
        let bias = entries.iter().find(|entry| entry.name == bias).unwrap();
        bias.tensor
            .shallow_clone()
            .copy_(&Tensor::from_slice(&[1.0, 0.0]));
        (store, predictor)
    }

    /// One picture with two slots: (2, 0) and (0, 3). Position 0 is won by slot 0, position 1 by `second`.
    fn groups(second: usize) -> Groups {
        let row = |winner: usize| [0, 1].map(|k| f64::from(u8::from(k == winner)));
        Groups {
            features: Tensor::new(),
            scores: Tensor::from_slice2(&[row(0), row(second)]).unsqueeze(0),
            slots: Tensor::from_slice2(&[[2.0, 0.0], [0.0, 3.0]]).unsqueeze(0),
            grid: (1, 2),
        }
    }

    fn losses(student: &Groups, teacher: &Groups) -> [f64; 2] {
        let (_store, predictor) = constant_predictor();
        [contrast_selected, contrast_padded].map(|loss| {
            let loss = loss(student, teacher, &predictor, Mode::default(), &Ranks::alone()).unwrap();
            f64::try_from(loss).unwrap()
        })
    }

    #[test]
    fn two_slots_that_are_each_others_negatives() {
        // The teacher's slots are (1, 0) and (0, 1) at unit length, the prediction is (1, 0): logits 1 / 0.2 and 0, once with
        // the larger as the target and once with the other. The mean is scaled by 2τ = 0.4.
        let expected = 0.4 * ((1.0 + (-5f64).exp()).ln() + (1.0 + 5f64.exp()).ln()) / 2.0;
        for loss in losses(&groups(1), &groups(1)) {
            assert!((loss - expected).abs() < 1e-9, "{loss} for {expected}");
        }
    }

    #[test]
    fn a_single_positive_costs_nothing() {
        // Slot 1 wins nothing in the student's view: one positive is left, which batch norm could not normalise.
        assert_eq!(losses(&groups(0), &groups(1)), [0.0, 0.0]);
    }
}
