//! Recipes: everything that defines a run, typed, with the paper's COCO run as defaults.
//!
//! A recipe is built from the defaults, then a published or own TOML file, then `section.key=value` settings
//! ([`Recipe::load`]); what comes out is checked ([`Recipe::check`]) and written to the run directory.

mod check;
mod parse;
mod published;

use serde::{Deserialize, Serialize};
use slotcon_data::{AugmentConfig, Layout};
use slotcon_nn::Arch;
use tch::Kind;

use crate::method::ModelConfig;
use crate::method::group_loss::Temperatures;
use crate::optim::{Algorithm, OptimizerConfig};

pub use parse::RecipeError;
pub use published::{PUBLISHED, Published};

/// A whole run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// Which pictures, and how they become views.
    pub data: DataRecipe,
    /// The network and the losses.
    pub model: ModelRecipe,
    /// How it is trained.
    pub optim: OptimRecipe,
    /// How long, how precisely, and what is kept.
    pub run: RunRecipe,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataRecipe {
    /// Where in the data folder the pictures are: `folder` takes all there are.
    pub layout: Layout,
    /// Threads that decode and augment. 0: as many as the machine has cores; half of them where the
    /// network runs on the CPU.
    pub threads: usize,
    /// Batches made ahead. Each takes batch x 2 x image_size² x 3 bytes.
    pub prefetch: usize,
    /// The part of the pictures that may be unusable before the run stops.
    pub max_bad: f64,
    /// Seconds after which a picture that the file system does not deliver counts as unusable; 0 waits for ever. Raise it
    /// for slow archives.
    pub read_timeout: f64,
    /// Crops, flips and colours.
    #[serde(flatten)]
    pub augment: AugmentConfig,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            layout: Layout::Folder,
            threads: 0,
            prefetch: 3,
            max_bad: 0.1,
            read_timeout: 60.0,
            augment: AugmentConfig::default(),
        }
    }
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelRecipe {
    /// Backbone. `resnet50` to compare with the literature, `resnet18` for small machines, `resnet50_16s` for finer
    /// masks at four times the positions.
    pub arch: String,
    /// Pixels per position of the backbone's output: 32, 16 or 8; 0: the architecture's own. Half of it makes masks
    /// twice as fine, at 1.75 (16) and 5.5 (8) times the cost; the weights fit every stride.
    pub output_stride: i64,
    /// Hidden features of projector and predictor. Lower it (512) to save memory on small data.
    pub dim_hidden: i64,
    /// Features of a position and of a slot.
    pub dim_out: i64,
    /// K, the number of groups over the whole data set. Far more than the kinds of things expected; 256 for COCO,
    /// 2048 for ImageNet.
    pub prototypes: i64,
    /// Momentum of the teacher at the start; it rises to 1. Lower it (0.97) for short runs.
    pub teacher_momentum: f64,
    /// τ_t. Lower is sharper; above `student_temp` the groups dissolve.
    pub teacher_temp: f64,
    /// τ_s.
    pub student_temp: f64,
    /// Momentum of the centre, which keeps one group from taking everything.
    pub center_momentum: f64,
    /// λ_g: share of the group loss; the slot loss has the rest.
    pub group_loss_weight: f64,
}

impl Default for ModelRecipe {
    fn default() -> Self {
        Self {
            arch: Arch::ResNet50.name().into(),
            output_stride: 0,
            dim_hidden: 4096,
            dim_out: 256,
            prototypes: 256,
            teacher_momentum: 0.99,
            teacher_temp: 0.07,
            student_temp: 0.1,
            center_momentum: 0.9,
            group_loss_weight: 0.5,
        }
    }
}

/// The optimizers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Layer-wise adaptive rates: for large batches; wants base_lr around 1.
    Lars,
    /// Plain momentum SGD: for small batches; wants base_lr around 0.05.
    Sgd,
}

/// `[optim]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptimRecipe {
    /// `lars` or `sgd`.
    pub optimizer: OptimizerName,
    /// Pictures a step, over all ranks. Learning rates scale with it by themselves.
    pub batch: usize,
    /// Learning rate at batch 256; the one used is base_lr * batch / 256.
    pub base_lr: f64,
    /// Momentum of the optimizer.
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// η of LARS: size of a step over the size of the weights. 0.001 in the paper.
    pub trust: f64,
    /// Epochs of linear warm-up; fractions are fine.
    pub warmup_epochs: f64,
    /// The warm-up starts at the learning rate divided by this.
    pub warmup_multiplier: f64,
}

impl Default for OptimRecipe {
    fn default() -> Self {
        Self {
            optimizer: OptimizerName::Lars,
            batch: 512,
            base_lr: 1.0,
            momentum: 0.9,
            weight_decay: 1e-5,
            trust: 0.001,
            warmup_epochs: 5.0,
            warmup_multiplier: 100.0,
        }
    }
}

/// Number format of convolutions and matrix products; everything else is f32 at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit throughout.
    F32,
    /// bfloat16: no loss scaling needed; GPUs since 2020 and recent CPUs.
    Bf16,
    /// float16 with dynamic loss scaling.
    F16,
}

/// `[run]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecipe {
    /// Passes over the data.
    pub epochs: f64,
    /// Length of the whole run in steps, schedules included; 0: as `epochs` says.
    pub steps: u64,
    /// Of initialisation, order and augmentation.
    pub seed: u64,
    /// `f32`, `bf16` or `f16`.
    pub precision: Precision,
    /// Threads of the network on a CPU. 0: as many as the machine has cores. Results are the same bit for bit only for
    /// the same number.
    pub threads: usize,
    /// Steps between two lines of metrics.
    pub log_every: u64,
    /// Steps between two checkpoints; 0: at the end only (and when the run is stopped).
    pub save_every: u64,
    /// Epochs between two checkpoints, besides those by steps; 0: none.
    pub save_every_epochs: u64,
    /// Numbered checkpoints kept; the newest is also `last.safetensors`.
    pub keep: usize,
    /// Steps in a row with a loss or gradient that is not finite, after which the run stops.
    pub max_bad_steps: u64,
}

impl Default for RunRecipe {
    fn default() -> Self {
        Self {
            epochs: 800.0,
            steps: 0,
            seed: 0,
            precision: Precision::F32,
            threads: 0,
            log_every: 10,
            save_every: 1000,
            save_every_epochs: 0,
            keep: 2,
            max_bad_steps: 20,
        }
    }
}

impl Recipe {
    /// The model's part, for [`crate::method::SlotCon`].
    ///
    /// # Errors
    /// An unknown architecture.
    pub fn model_config(&self) -> Result<ModelConfig, RecipeError> {
        let m = &self.model;
        Ok(ModelConfig {
            arch: self.arch()?,
            output_stride: self.output_stride()?,
            dim_hidden: m.dim_hidden,
            dim_out: m.dim_out,
            prototypes: m.prototypes,
            temperatures: Temperatures {
                student: m.student_temp,
                teacher: m.teacher_temp,
            },
            center_momentum: m.center_momentum,
            group_loss_weight: m.group_loss_weight,
        })
    }

    /// The optimizer's part.
    pub fn optimizer_config(&self) -> OptimizerConfig {
        let algorithm = match self.optim.optimizer {
            OptimizerName::Lars => Algorithm::Lars {
                eta: self.optim.trust,
            },
            OptimizerName::Sgd => Algorithm::Sgd,
        };
        OptimizerConfig {
            algorithm,
            momentum: self.optim.momentum,
            weight_decay: self.optim.weight_decay,
        }
    }

    /// Number format of convolutions and matrix products; `None`: f32.
    pub fn half(&self) -> Option<Kind> {
        match self.run.precision {
            Precision::F32 => None,
            Precision::Bf16 => Some(Kind::BFloat16),
            Precision::F16 => Some(Kind::Half),
        }
    }
}
