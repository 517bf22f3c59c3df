//! The recipe of pretraining: everything that defines a run, typed, with the paper's COCO run as defaults.

mod check;
mod published;

use serde::{Deserialize, Serialize};
use slotcon_data::{AugmentConfig, Layout, Selection};
use slotcon_nn::Arch;
use slotcon_train::recipe::{LoadingRecipe, OptimRecipe, RunRecipe};

use crate::method::ModelConfig;
use crate::method::group_loss::Temperatures;

pub use published::PUBLISHED;
pub use slotcon_train::recipe::{OptimizerName, Precision, RecipeError, TaskRecipe};

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
    /// Pictures that are not taken: patterns of their names or of their paths below the data folder, as `["*.seg.png",
    /// "old/**"]`.
    pub exclude: Vec<String>,
    /// In tar files, the extensions of the members that are taken, as `["jpg"]`; with none, of several pictures of a sample
    /// (`x.jpg`, `x.seg.png`) those with a simple extension.
    pub members: Vec<String>,
    /// How they are loaded.
    #[serde(flatten)]
    pub loading: LoadingRecipe,
    /// Crops, flips and colours.
    #[serde(flatten)]
    pub augment: AugmentConfig,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            layout: Layout::Folder,
            exclude: Vec::new(),
            members: Vec::new(),
            loading: LoadingRecipe::default(),
            augment: AugmentConfig::default(),
        }
    }
}

impl DataRecipe {
    /// Which files of the data are taken.
    ///
    /// # Errors
    /// A pattern of `exclude` that is none.
    pub fn selection(&self) -> Result<Selection, slotcon_data::Error> {
        Selection::new(self.layout, &self.exclude, &self.members)
    }
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelRecipe {
    /// Backbone. `resnet50` to compare with the literature, `resnet18` for small machines, `resnet10` at half
    /// its cost, `resnet50_16s` for finer masks at four times the positions.
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
}
