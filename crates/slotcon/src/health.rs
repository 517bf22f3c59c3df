//! Group health: whether the groups are groups. Computed at logged steps only.

use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_train::{Metrics, Numbers, scalar};
use tch::{Kind, Tensor};

use crate::health_limits;
use crate::method::{Groups, Step};

/// What the groups of one batch look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupHealth {
    /// Share of the prototypes that are the arg-max of at least one position (teacher). Falls to 1/K in a collapse.
    pub in_use: f64,
    /// Entropy of the teacher's mean assignment over ln K: 1 where all groups are equally large, 0 in a collapse to one.
    pub balance: f64,
    /// Mean entropy of the teacher's assignments over ln K: 0 where every position is sure of its group, 1 where there
    /// is no grouping.
    pub uncertainty: f64,
    /// Slots a picture that are the arg-max somewhere (teacher).
    pub slots_per_picture: f64,
    /// Share of the shared positions where the student's group of one view is the teacher's of the other.
    pub agreement: f64,
}

impl GroupHealth {
    /// Of one step over all `ranks`; `temperature` is that of the assignment. Waits for the device.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn of(step: &Step, temperature: f64, ranks: &Ranks) -> Result<Self, slotcon_torch::Error> {
        let _guard = tch::no_grad_guard();
        let teacher: Vec<Tensor> = step.teacher.iter().map(|g| g.scores.flatten(0, 1)).collect();
        let scores = Tensor::cat(&teacher, 0);
        let prototypes = scores.size()[1];
        let log_k = (prototypes as f64).ln();
        let assignment = (&scores / temperature).softmax(-1, Kind::Float);
        let winners = scores.argmax(-1, false);
        let slots = |g: &Groups| g.active().sum_dim_intlist(-1, false, Kind::Float).mean(None);
        let [q1, q2, k1, k2] = &step.aligned;
        let agree = |q: &Tensor, k: &Tensor| {
            q.argmax(-1, false)
                .eq_tensor(&k.argmax(-1, false))
                .to_kind(Kind::Float)
                .mean(None)
        };
        let mean = |parts: &[Tensor]| -> Result<Tensor, slotcon_torch::Error> {
            ranks.mean(&Tensor::stack(parts, 0), Traffic::Metrics)
        };
        let used = Tensor::zeros([prototypes], (Kind::Float, scores.device())).index_fill(0, &winners, 1.0);
        let by_prototype = mean(&[
            used,
            assignment.mean_dim(Some([0i64].as_slice()), false, Kind::Float),
        ])?;
        let scalars = mean(&[
            entropy(&assignment).mean(None),
            (slots(&step.teacher[0]) + slots(&step.teacher[1])) / 2.0,
            (agree(q1, k2) + agree(q2, k1)) / 2.0,
        ])?;
        Ok(Self {
            in_use: scalar(&by_prototype.get(0).gt(0.0).to_kind(Kind::Float).mean(None)),
            balance: scalar(&entropy(&by_prototype.get(1))) / log_k,
            uncertainty: scalar(&scalars.get(0)) / log_k,
            slots_per_picture: scalar(&scalars.get(1)),
            agreement: scalar(&scalars.get(2)),
        })
    }

    /// Its figures by the names that metrics have for them.
    pub fn numbers(&self) -> Numbers {
        vec![
            ("groups/in_use".into(), self.in_use),
            ("groups/balance".into(), self.balance),
            ("groups/uncertainty".into(), self.uncertainty),
            ("groups/slots_per_picture".into(), self.slots_per_picture),
            ("groups/agreement".into(), self.agreement),
        ]
    }

    /// The way back from [`GroupHealth::numbers`].
    pub fn from_metrics(metrics: &Metrics) -> Option<Self> {
        Some(Self {
            in_use: metrics.number("groups/in_use")?,
            balance: metrics.number("groups/balance")?,
            uncertainty: metrics.number("groups/uncertainty")?,
            slots_per_picture: metrics.number("groups/slots_per_picture")?,
            agreement: metrics.number("groups/agreement")?,
        })
    }

    /// What is wrong, if anything, and what to change.
    pub fn warning(&self, prototypes: i64) -> Option<String> {
        if health_limits::one_prototype_takes_all(self.in_use, prototypes)
            || self.balance < health_limits::BALANCE_COLLAPSED
        {
            return Some(format!(
                "the groups collapse: {:.0} of {prototypes} prototypes in use, balance {:.2}. Raise model.teacher_temp, \
                 lower optim.base_lr, or give the centre more weight (lower model.center_momentum)",
                self.in_use * prototypes as f64,
                self.balance
            ));
        }
        health_limits::without_groups(self.uncertainty, self.balance).then(|| {
            format!(
                "there is no grouping yet: every position is spread over all prototypes (uncertainty {:.3}). Past the \
                 warm-up this means a model.teacher_temp that is too high or a learning rate that is too low",
                self.uncertainty
            )
        })
    }
}

/// Over the last dimension, in nats.
fn entropy(p: &Tensor) -> Tensor {
    -(p * p.clamp_min(1e-12).log()).sum_dim_intlist(-1, false, Kind::Float)
}
