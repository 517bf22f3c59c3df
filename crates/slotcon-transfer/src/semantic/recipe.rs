//! The recipe of semantic segmentation: `[data]`, `[model]`, `[test]`, `[optim]` and `[run]`.

use serde::{Deserialize, Serialize};
use slotcon_data::augment::semantic::SemanticAugmentConfig;
use slotcon_nn::{Arch, FcnConfig, ResNetConfig};
use slotcon_train::normalise::{MEAN, STD};
use slotcon_train::recipe::check::{fraction, not_negative, positive, require, wrong};
use slotcon_train::recipe::{
    LoadingRecipe, OptimRecipe, OptimizerName, Published, RecipeError, RunRecipe, ScheduleName, TaskRecipe,
};

use super::inference::{Inference, Window};
use super::network::{AuxiliaryConfig, SegmentorConfig};

/// A whole run of fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SemanticRecipe {
    /// Which classes, and how labelled pictures become crops.
    pub data: DataRecipe,
    /// The network.
    pub model: SegmentorRecipe,
    /// How pictures are measured.
    pub test: TestRecipe,
    /// How the network is trained.
    pub optim: OptimRecipe,
    /// How long, how precisely, and what is kept.
    pub run: RunRecipe,
}

/// What is subtracted from pixels and what they are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// ImageNet's mean and deviation in units of 0..255: right for every backbone.
    Imagenet,
    /// ImageNet's mean and deviation of 0..1, applied to 0..255, as the published VOC and Cityscapes configurations of SlotCon
    /// do. Only to reproduce their numbers: the network then sees values up to 1111, and padding is nearly black.
    ImagenetUndivided,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataRecipe {
    /// Names of the classes, in their order; empty: those of the data set.
    pub classes: Vec<String>,
    /// Colours of the classes in pictures for people, red, green and blue; empty: some that differ.
    pub palette: Vec<[u8; 3]>,
    /// What pixels become before the network sees them: `imagenet` or `imagenet-undivided`.
    pub normalisation: Normalisation,
    /// How pictures are loaded.
    #[serde(flatten)]
    pub loading: LoadingRecipe,
    /// Sizes, crops, flips and colours.
    #[serde(flatten)]
    pub augment: SemanticAugmentConfig,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            classes: Vec::new(),
            palette: Vec::new(),
            normalisation: Normalisation::Imagenet,
            loading: LoadingRecipe::default(),
            augment: SemanticAugmentConfig {
                frame: [640, 480],
                crop: 240,
                ..SemanticAugmentConfig::default()
            },
        }
    }
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SegmentorRecipe {
    /// Backbone: that of the weights to start from.
    pub arch: String,
    /// Pixels per position of the backbone's output: 32, 16 or 8.
    pub output_stride: i64,
    /// Channels of the head's convolutions.
    pub head_channels: i64,
    /// 3x3 convolutions of the head. 0 leaves the classifier alone: with `freeze_backbone` a linear probe.
    pub head_convolutions: usize,
    /// Their dilation.
    pub head_dilation: i64,
    /// Whether one more convolution mixes the backbone's features with what the others made of them.
    pub concat_input: bool,
    /// Share of channels that training leaves out in front of the classifier.
    pub dropout: f64,
    /// Weight of a second head on the third stage; 0: none.
    pub auxiliary_weight: f64,
    /// Dilation of its one convolution.
    pub auxiliary_dilation: i64,
    /// Whether logits are resized corner to corner; needs sides of a multiple of the output stride plus 1.
    pub align_corners: bool,
    /// Leaves the backbone as it came: only the head learns.
    pub freeze_backbone: bool,
    /// The backbone's learning rate over the head's. Below 1 it stays nearer to what it learned before, while a head from random
    /// weights learns quickly.
    pub backbone_lr_scale: f64,
}

impl Default for SegmentorRecipe {
    fn default() -> Self {
        Self {
            arch: Arch::ResNet18.name().into(),
            output_stride: 16,
            head_channels: 128,
            head_convolutions: 2,
            head_dilation: 6,
            concat_input: false,
            dropout: 0.1,
            auxiliary_weight: 0.0,
            auxiliary_dilation: 1,
            align_corners: false,
            freeze_backbone: false,
            backbone_lr_scale: 1.0,
        }
    }
}

/// `[test]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestRecipe {
    /// Long and short side of the frame that a picture is fitted into, keeping its shape; its map is measured at its own size.
    pub test_frame: [u32; 2],
    /// Side of the windows that slide over it; 0: it is seen whole.
    pub window: u32,
    /// Distance between neighbouring windows.
    pub window_stride: u32,
}

impl Default for TestRecipe {
    fn default() -> Self {
        Self {
            test_frame: [640, 480],
            window: 0,
            window_stride: 0,
        }
    }
}

impl Default for SemanticRecipe {
    fn default() -> Self {
        Self {
            data: DataRecipe::default(),
            model: SegmentorRecipe::default(),
            test: TestRecipe::default(),
            optim: OptimRecipe {
                optimizer: OptimizerName::Sgd,
                batch: 8,
                base_lr: 0.01,
                lr_batch: 0,
                weight_decay: 5e-4,
                warmup_epochs: 0.0,
                schedule: ScheduleName::Poly,
                final_lr: 1e-4,
                ..OptimRecipe::default()
            },
            run: RunRecipe {
                steps: 1000,
                log_every: 20,
                save_every: 250,
                validate_every: 250,
                ..RunRecipe::default()
            },
        }
    }
}

impl Normalisation {
    /// Its name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imagenet => "imagenet",
            Self::ImagenetUndivided => "imagenet-undivided",
        }
    }

    /// Mean and deviation of red, green and blue, applied to values of 0..255.
    pub fn mean_and_std(self) -> ([f64; 3], [f64; 3]) {
        let times = |factor: f64| {
            let widened = |values: [f32; 3]| values.map(|x| (f64::from(x) * 1e3).round() / 1e3 * factor);
            (widened(MEAN), widened(STD))
        };
        match self {
            Self::Imagenet => times(255.0),
            Self::ImagenetUndivided => times(1.0),
        }
    }
}

impl SemanticRecipe {
    /// The network for so many classes.
    ///
    /// # Errors
    /// An unknown architecture, or a stride that it cannot have.
    pub fn network(&self, classes: i64) -> Result<SegmentorConfig, RecipeError> {
        let model = &self.model;
        let arch: Arch = model
            .arch
            .parse()
            .map_err(|e: slotcon_nn::Error| wrong("model.arch", &model.arch, e.to_string()))?;
        // MMSegmentation's strides and dilations, by stage.
        let (strides, dilations) = match model.output_stride {
            32 => ([1, 2, 2, 2], [1, 1, 1, 1]),
            16 => ([1, 2, 2, 1], [1, 1, 1, 2]),
            8 => ([1, 2, 1, 1], [1, 1, 2, 4]),
            other => return Err(wrong("model.output_stride", other, "must be 8, 16 or 32")),
        };
        let channels = arch.spec().channels();
        let head = |input, channels, convolutions, dilation, concat_input| FcnConfig {
            input,
            channels,
            convolutions,
            dilation,
            concat_input,
            dropout: model.dropout,
            classes,
        };
        Ok(SegmentorConfig {
            backbone: ResNetConfig::mmsegmentation(arch, strides, dilations),
            decode: head(
                channels[3],
                model.head_channels,
                model.head_convolutions,
                model.head_dilation,
                model.concat_input,
            ),
            auxiliary: (model.auxiliary_weight > 0.0).then(|| AuxiliaryConfig {
                stage: 2,
                head: head(
                    channels[2],
                    model.head_channels / 2,
                    1,
                    model.auxiliary_dilation,
                    false,
                ),
                weight: model.auxiliary_weight,
            }),
            align_corners: model.align_corners,
            freeze_backbone: model.freeze_backbone,
        })
    }

    /// How much of a picture the network sees at once when it is measured.
    pub fn inference(&self) -> Inference {
        match self.test.window {
            0 => Inference::Whole,
            side => Inference::Sliding(Window {
                side: side.into(),
                stride: self.test.window_stride.max(1).into(),
            }),
        }
    }
}

impl TaskRecipe for SemanticRecipe {
    const TASK: &'static str = "semantic";
    const PUBLISHED: &'static [Published] = &[
        Published {
            name: "semantic-small",
            text: include_str!("../../../../recipes/semantic-small.toml"),
        },
        Published {
            name: "voc-fcn-d6-30k",
            text: include_str!("../../../../recipes/voc-fcn-d6-30k.toml"),
        },
        Published {
            name: "cityscapes-fcn-d6-90k",
            text: include_str!("../../../../recipes/cityscapes-fcn-d6-90k.toml"),
        },
        Published {
            name: "ade20k-fcn-d8-80k",
            text: include_str!("../../../../recipes/ade20k-fcn-d8-80k.toml"),
        },
    ];
    const FREE: &'static [&'static str] = &["data.palette", "run.validate_every"];

    fn check(&self) -> Result<(), RecipeError> {
        let (data, model, test) = (&self.data, &self.model, &self.test);
        self.network(2)?;
        data.loading.check()?;
        data.augment.check().map_err(|e| match e {
            slotcon_data::Error::Setting {
                name,
                value,
                expected,
            } => wrong(&format!("data.{name}"), value, expected),
            other => wrong("data", "", other.to_string()),
        })?;
        require(
            model.head_channels >= 1,
            "model.head_channels",
            model.head_channels,
            "must be at least 1",
        )?;
        require(
            model.head_dilation >= 1,
            "model.head_dilation",
            model.head_dilation,
            "must be at least 1",
        )?;
        require(
            model.auxiliary_dilation >= 1,
            "model.auxiliary_dilation",
            model.auxiliary_dilation,
            "must be at least 1",
        )?;
        require(
            (0.0..1.0).contains(&model.dropout),
            "model.dropout",
            model.dropout,
            "must be at least 0 and below 1",
        )?;
        not_negative("model.auxiliary_weight", model.auxiliary_weight)?;
        positive("model.backbone_lr_scale", model.backbone_lr_scale)?;
        fraction("data.flip_prob", data.augment.flip_prob)?;
        let [long, short] = test.test_frame;
        require(
            short >= 1 && long >= short,
            "test.test_frame",
            format!("{:?}", test.test_frame),
            "must be the long and the short side in pixels",
        )?;
        require(
            test.window == 0 || (1..=test.window).contains(&test.window_stride),
            "test.window_stride",
            test.window_stride,
            format!("must be from 1 to test.window = {}", test.window),
        )?;
        self.optim.check()?;
        require(
            self.optim.batch >= 2,
            "optim.batch",
            self.optim.batch,
            "batch normalisation needs at least 2 pictures",
        )?;
        self.run.check(&self.optim)
    }

    fn optim(&self) -> &OptimRecipe {
        &self.optim
    }

    fn run(&self) -> &RunRecipe {
        &self.run
    }

    fn run_mut(&mut self) -> &mut RunRecipe {
        &mut self.run
    }

    fn loading(&self) -> &LoadingRecipe {
        &self.data.loading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_recipes_load_survive_writing_and_say_what_they_cost() {
        crate::published::hold::<SemanticRecipe>();
    }

    /// Facts of the configurations that the paper's code gives to MMSegmentation.
    #[test]
    fn the_published_runs_are_those_of_the_paper() {
        let load = |name| SemanticRecipe::load(name, &[]).unwrap();
        let voc = load("voc-fcn-d6-30k");
        let rate = voc.optim.learning_rate(661, voc.run.steps);
        assert_eq!((rate.at(0), rate.at(20_999)), (0.003, 0.003));
        assert!((rate.at(21_000) - 3e-4).abs() < 1e-12 && (rate.at(27_000) - 3e-5).abs() < 1e-12);
        assert_eq!(voc.data.normalisation, Normalisation::ImagenetUndivided);
        assert_eq!(voc.network(21).unwrap().backbone.dilations, [1, 1, 1, 2]);
        let city = load("cityscapes-fcn-d6-90k");
        assert_eq!(
            city.inference(),
            Inference::Sliding(Window {
                side: 769,
                stride: 513
            })
        );
        let ade = load("ade20k-fcn-d8-80k");
        let rate = ade.optim.learning_rate(1263, ade.run.steps);
        assert!(
            (rate.at(40_000) - 0.005_405_278_6).abs() < 1e-9,
            "{}",
            rate.at(40_000)
        );
        let network = ade.network(150).unwrap();
        let auxiliary = network.auxiliary.unwrap();
        assert_eq!(
            (auxiliary.stage, auxiliary.head.channels, auxiliary.weight),
            (2, 256, 0.4)
        );
        assert_eq!(network.backbone.dilations, [1, 1, 2, 4]);
        assert!(network.decode.concat_input && !network.align_corners);
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (setting, word) in [
            ("model.output_stride=4", "8, 16 or 32"),
            ("test.window=100", "test.window_stride"),
            ("data.crop=0", "at least 1"),
            ("optim.schedule=steps", "milestones"),
            ("model.arch=resnet7", "resnet7"),
        ] {
            let error = SemanticRecipe::load("semantic-small", &[setting.to_owned()])
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{setting}: {error}");
        }
    }
}
