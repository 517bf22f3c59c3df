//! SlotCon as a whole: one training step from two views to the loss (section 3, algorithm 1).

use std::collections::BTreeMap;
use std::rc::Rc;

use slotcon_nn::{
    Arch, BatchNormMode, Mlp, MlpConfig, OutputStride, Path, ResNet, ResNetConfig, Role, Store,
};
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use tch::{Device, Kind, Tensor};

use super::center::update_center;
use super::group_loss::{Temperatures, group_loss};
use super::grouping::{Grouping, Groups};
use super::inverse_augmentation::InverseAugmentation;
use super::network::{Mode, Network, projector};
use super::slot_loss::slot_loss;
use super::teacher::MovingAverage;

/// What defines the model; the recipe's `[model]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Backbone f.
    pub arch: Arch,
    /// Pixels per position of its output.
    pub output_stride: OutputStride,
    /// Hidden features of projector and predictor.
    pub dim_hidden: i64,
    /// D: features of a position and of a slot.
    pub dim_out: i64,
    /// K: number of prototypes.
    pub prototypes: i64,
    /// τ_s and τ_t.
    pub temperatures: Temperatures,
    /// Momentum of the centre.
    pub center_momentum: f64,
    /// λ_g: share of the group loss.
    pub group_loss_weight: f64,
}

/// One view of a batch.
#[derive(Debug)]
pub struct View {
    /// Normalised pictures `[B, 3, H, W]`.
    pub crops: Tensor,
    /// Box of the region shared with the other view, x1, y1, x2, y2 in units of the crop, after its flip.
    pub coords: Vec<[f64; 4]>,
    /// Whether the crop was mirrored.
    pub flips: Vec<bool>,
}

/// The parts of the loss, scalars on the device; nothing waits for them until they are read.
#[derive(Debug)]
pub struct Losses {
    /// λ_g (group\[0\] + group\[1\]) + (1 - λ_g) (slot\[0\] + slot\[1\]).
    pub total: Tensor,
    /// Group loss of student view 1 against teacher view 2, and of 2 against 1.
    pub group: [Tensor; 2],
    /// Slot loss of the same pairs.
    pub slot: [Tensor; 2],
}

/// What one forward pass leaves: the losses, and both networks' groups for whoever wants to look at them.
#[derive(Debug)]
pub struct Step {
    /// To be differentiated.
    pub losses: Losses,
    /// The student's groups of view 1 and 2.
    pub student: [Groups; 2],
    /// The teacher's.
    pub teacher: [Groups; 2],
    /// Scores on the shared region, `[B, N, K]`: student view 1, 2, teacher view 1, 2.
    pub aligned: [Tensor; 4],
}

/// Student, teacher, predictor and centre, with every tensor under its official name.
#[derive(Debug)]
pub struct SlotCon {
    config: ModelConfig,
    store: Store,
    student: Network,
    teacher: Network,
    predictor: Mlp,
    center: Tensor,
    average: MovingAverage,
    ranks: Ranks,
    /// Where the time of a step goes; off unless a benchmark replaces it.
    pub stopwatch: Rc<Stopwatch>,
}

impl SlotCon {
    /// A fresh model with the official initialisation. Its random numbers come from libtorch's CPU generator.
    pub fn new(config: ModelConfig, device: Device, kind: Kind) -> Self {
        Self::across(config, device, kind, &Ranks::alone())
    }

    /// The same, trained by all `ranks` together: batch norm, centre and negatives are over the pictures of all.
    pub fn across(config: ModelConfig, device: Device, kind: Kind, ranks: &Ranks) -> Self {
        let store = Store::across(device, kind, ranks.clone());
        let root = store.root();
        let frozen = root.frozen();
        let ModelConfig {
            arch,
            output_stride,
            dim_hidden,
            dim_out,
            prototypes,
            temperatures,
            ..
        } = config;
        let center = root.buffer("center", &[1, prototypes], 0.0);
        // The official order of the state dict: encoders, projectors, groupings, each student before teacher.
        let resnet = ResNetConfig::with_output_stride(arch, output_stride);
        let backbones = [(&root, "encoder_q"), (&frozen, "encoder_k")]
            .map(|(path, name): (&Path, _)| ResNet::new(&path.sub(name), resnet));
        let projectors = [(&root, "projector_q"), (&frozen, "projector_k")]
            .map(|(path, name)| projector(&path.sub(name), arch, dim_hidden, dim_out));
        // The assignment's temperature is τ_t in the student as well.
        let groupings = [(&root, "grouping_q"), (&frozen, "grouping_k")]
            .map(|(path, name)| Grouping::new(&path.sub(name), prototypes, dim_out, temperatures.teacher));
        let predictor = MlpConfig {
            input: dim_out,
            hidden: dim_hidden,
            output: dim_out,
        };
        let predictor = Mlp::new(&root.sub("predictor_slot"), predictor);

        let [backbone_q, backbone_k] = backbones;
        let [projector_q, projector_k] = projectors;
        let [grouping_q, grouping_k] = groupings;
        let average = MovingAverage::new(teacher_pairs(&store));
        Self {
            config,
            student: Network {
                backbone: backbone_q,
                projector: projector_q,
                grouping: grouping_q,
            },
            teacher: Network {
                backbone: backbone_k,
                projector: projector_k,
                grouping: grouping_k,
            },
            predictor,
            center,
            average,
            ranks: ranks.clone(),
            stopwatch: Rc::default(),
            store,
        }
    }

    /// What the model was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Every tensor by its official name.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The moving average, which export and downstream use take.
    pub fn teacher(&self) -> &Network {
        &self.teacher
    }

    /// The network that is trained by gradient.
    pub fn student(&self) -> &Network {
        &self.student
    }

    /// Moves the teacher towards the student, before the forward pass of a step: teacher = momentum * teacher +
    /// (1 - momentum) * student.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn move_teacher(&self, momentum: f64) -> Result<(), slotcon_torch::Error> {
        let _guard = tch::no_grad_guard();
        self.stopwatch
            .time("teacher_update", || self.average.update(momentum))
    }

    /// One forward pass in training mode, of a whole batch or a part of it; the centre is moved last. Batch statistics and
    /// negatives are those of the part. `half` is the number format of convolutions and heads, if not the weights' own.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn forward(&mut self, views: &[View; 2], half: Option<Kind>) -> Result<Step, slotcon_torch::Error> {
        let [a, b] = views;
        let mode = Mode {
            batch_norm: BatchNormMode::Train,
            half,
        };
        let stopwatch = Rc::clone(&self.stopwatch);
        // The teacher first: what it needs on its way is free again when the student begins to keep its graph.
        let teacher = {
            let _guard = tch::no_grad_guard();
            let parts = ["teacher_forward", "heads", "grouping"];
            self.teacher
                .forward_timed([&a.crops, &b.crops], mode, &stopwatch, parts)?
        };
        let parts = ["student_forward", "heads", "grouping"];
        let student = self
            .student
            .forward_timed([&a.crops, &b.crops], mode, &stopwatch, parts)?;
        stopwatch.time("losses", || self.compare(views, student, teacher, mode))
    }

    /// From both networks' groups to the losses.
    fn compare(
        &mut self,
        [a, b]: &[View; 2],
        student: [Groups; 2],
        teacher: [Groups; 2],
        mode: Mode,
    ) -> Result<Step, slotcon_torch::Error> {
        let back = [a, b].map(|view| {
            let scores = &teacher[0].scores;
            let grid = teacher[0].grid;
            InverseAugmentation::new(&view.coords, &view.flips, grid, scores.kind(), scores.device())
        });
        let q = [
            back[0].align(&student[0].scores),
            back[1].align(&student[1].scores),
        ];
        let k = [
            back[0].align(&teacher[0].scores),
            back[1].align(&teacher[1].scores),
        ];

        let temps = self.config.temperatures;
        let group = [
            group_loss(&q[0], &k[1], &self.center, temps),
            group_loss(&q[1], &k[0], &self.center, temps),
        ];
        update_center(
            &mut self.center,
            &[&teacher[0].scores, &teacher[1].scores],
            self.config.center_momentum,
            &self.ranks,
        )?;
        let slot = [
            slot_loss(&student[0], &teacher[1], &self.predictor, mode, &self.ranks)?,
            slot_loss(&student[1], &teacher[0], &self.predictor, mode, &self.ranks)?,
        ];

        let weight = self.config.group_loss_weight;
        let total = (&group[0] + &group[1]) * weight + (&slot[0] + &slot[1]) * (1.0 - weight);
        let ([q1, q2], [k1, k2]) = (q, k);
        Ok(Step {
            losses: Losses { total, group, slot },
            student,
            teacher,
            aligned: [q1, q2, k1, k2],
        })
    }
}

/// Parameters of encoder, projector and grouping, student beside teacher.
fn teacher_pairs(store: &Store) -> Vec<(Tensor, Tensor)> {
    let parameters: BTreeMap<String, Tensor> = store
        .entries()
        .into_iter()
        .filter(|entry| entry.role == Role::Parameter)
        .map(|entry| (entry.name, entry.tensor))
        .collect();
    let beside = |(name, student): (&String, &Tensor)| {
        let teacher = parameters.get(&teacher_name(name)?)?;
        Some((student.shallow_clone(), teacher.shallow_clone()))
    };
    parameters.iter().filter_map(beside).collect()
}

/// `encoder_q.x` to `encoder_k.x`; `None` for what the teacher does not have.
pub fn teacher_name(student: &str) -> Option<String> {
    let (module, rest) = student.split_once('.')?;
    Some(format!("{}_k.{rest}", module.strip_suffix("_q")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAMBDA: f64 = 0.25;

    fn model() -> SlotCon {
        tch::manual_seed(0);
        let config = ModelConfig {
            arch: Arch::ResNet18,
            output_stride: OutputStride::new(32).unwrap(),
            dim_hidden: 8,
            dim_out: 4,
            prototypes: 1,
            temperatures: Temperatures {
                student: 0.1,
                teacher: 0.07,
            },
            center_momentum: 0.9,
            group_loss_weight: LAMBDA,
        };
        SlotCon::new(config, Device::Cpu, Kind::Double)
    }

    /// `count` times the same picture, whole in both views.
    fn same_picture(count: usize) -> [View; 2] {
        let picture = Tensor::rand([1, 3, 64, 64], (Kind::Double, Device::Cpu));
        [0, 1].map(|_| View {
            crops: picture.repeat([count as i64, 1, 1, 1]),
            coords: vec![[0.0, 0.0, 1.0, 1.0]; count],
            flips: vec![false; count],
        })
    }

    #[test]
    fn losses_of_one_prototype_and_one_picture_can_be_told_by_hand() {
        let count = 4;
        let losses = model().forward(&same_picture(count), None).unwrap().losses;
        let value = |loss: &Tensor| loss.double_value(&[]);
        // The softmax over a single prototype is 1 for student and teacher.
        for group in &losses.group {
            assert!(value(group).abs() < 1e-12, "{}", value(group));
        }
        // Four slots that are all alike: the right one is as likely as each of the three others; times 2 τ = 0.4.
        let expected = 0.4 * (count as f64).ln();
        for slot in &losses.slot {
            assert!(
                (value(slot) - expected).abs() < 1e-9,
                "{} for {expected}",
                value(slot)
            );
        }
        let total = LAMBDA * 0.0 + (1.0 - LAMBDA) * 2.0 * expected;
        assert!((value(&losses.total) - total).abs() < 1e-9);
    }

    #[test]
    fn only_the_student_has_gradients_and_a_teacher_of_the_same_name() {
        let mut model = model();
        model
            .forward(&same_picture(2), None)
            .unwrap()
            .losses
            .total
            .backward();
        for entry in model.store().entries() {
            let of_teacher = entry
                .name
                .split('.')
                .next()
                .is_some_and(|module| module.ends_with("_k"));
            assert!(!(of_teacher && entry.tensor.grad().defined()), "{}", entry.name);
        }
        assert_eq!(
            teacher_name("encoder_q.conv1.weight").unwrap(),
            "encoder_k.conv1.weight"
        );
        assert_eq!(teacher_name("predictor_slot.0.weight"), None);
        let entries = model.store().entries();
        let teachers = entries
            .iter()
            .filter(|e| e.role == Role::Parameter && e.name.contains("_k."));
        assert_eq!(teacher_pairs(model.store()).len(), teachers.count());
    }
}
