//! The recipe of instance segmentation: `[data]`, `[model]`, `[test]`, `[optim]` and `[run]`.

use serde::{Deserialize, Serialize};
use slotcon_data::annotations::Groups;
use slotcon_data::augment::instances::InstanceAugmentConfig;
use slotcon_nn::{Arch, ResNetConfig};
use slotcon_train::recipe::check::{fraction, require, wrong};
use slotcon_train::recipe::{
    LoadingRecipe, OptimRecipe, OptimizerName, Published, RecipeError, RunRecipe, ScheduleName, TaskRecipe,
};

use super::inference::DetectionLimits;
use super::network::DetectorConfig;
use super::sampling::Sampling;

/// A whole run of fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstancesRecipe {
    /// Which classes, and how pictures are resized.
    pub data: DataRecipe,
    /// The network.
    pub model: DetectorRecipe,
    /// What counts as a detection.
    pub test: TestRecipe,
    /// How the network is trained.
    pub optim: OptimRecipe,
    /// How long, how precisely, and what is kept.
    pub run: RunRecipe,
}

/// What pixels become before the network sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// Red, green, blue; ImageNet's mean and deviation in units of 0..255: right for every backbone of PyTorch.
    Imagenet,
    /// Blue, green, red; only the mean is subtracted: for the weights of detectron2's zoo that go back to Caffe2.
    Caffe2,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataRecipe {
    /// Names of the classes, in their order; empty: those of the annotation file.
    pub classes: Vec<String>,
    /// Number of each class in annotation files and results (`category_id`).
    pub category_ids: Vec<i64>,
    /// Several categories of the annotation files as one class: by the name of the class the names of its categories, e.g.
    /// `{ vehicle = ["car", "bus"], person = ["person"] }`. Objects of all other categories are not learnt, and not looked for when it
    /// is measured. Empty: every category is a class.
    pub merge: Groups,
    /// What pixels become before the network sees them: `imagenet` or `caffe2`.
    pub pixels: Pixels,
    /// How pictures are loaded.
    #[serde(flatten)]
    pub loading: LoadingRecipe,
    /// Sizes and flips.
    #[serde(flatten)]
    pub augment: InstanceAugmentConfig,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            classes: Vec::new(),
            category_ids: Vec::new(),
            merge: Groups::new(),
            pixels: Pixels::Imagenet,
            loading: LoadingRecipe::default(),
            augment: InstanceAugmentConfig {
                short_sides: vec![240, 288, 320],
                long_side: 533,
                ..InstanceAugmentConfig::default()
            },
        }
    }
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetectorRecipe {
    /// Backbone: that of the weights to start from.
    pub arch: String,
    /// Whether pyramid and heads have batch norms. Off: biases, as the oldest detectors of detectron2's zoo.
    pub norm: bool,
    /// Leaves the backbone's batch norms as they came, statistics included: for batches of one or two pictures.
    pub freeze_norm: bool,
    /// Whether a bottleneck strides in its first convolution: for weights that go back to Caffe2.
    pub stride_first: bool,
    /// 3x3 convolutions of the box head. 4 with one fully connected layer is the published head; 0 with two is faster.
    pub box_convolutions: usize,
    /// Fully connected layers of the box head.
    pub box_layers: usize,
    /// Channels of the pyramid and the heads.
    pub channels: i64,
    /// Features of a fully connected layer.
    pub features: i64,
    /// Anchors of a picture on which the region proposal network is trained, half of them on objects at most.
    pub anchors: usize,
    /// Proposals of a picture on which the heads are trained, a quarter of them on objects at most. Most of a step's time on a CPU.
    pub regions: usize,
    /// Batches after the last step over which batch norm's statistics are measured again (precise batch norm); 0: none. Where there are
    /// few pictures they are seen several times, resized anew.
    pub precise_batches: u64,
}

impl Default for DetectorRecipe {
    fn default() -> Self {
        Self {
            arch: Arch::ResNet18.name().into(),
            norm: true,
            freeze_norm: false,
            stride_first: false,
            box_convolutions: 4,
            box_layers: 1,
            channels: 256,
            features: 1024,
            anchors: 256,
            regions: 512,
            precise_batches: 200,
        }
    }
}

/// `[test]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestRecipe {
    /// Short side of a picture when it is measured.
    pub short_side: u32,
    /// Its long side is not longer than this.
    pub long_side: u32,
    /// Detections below this score are left out.
    pub score: f64,
    /// Of two detections of a class that overlap more than this, the better one is kept.
    pub overlap: f64,
    /// Detections of a picture at most.
    pub detections: i64,
}

impl Default for TestRecipe {
    fn default() -> Self {
        let limits = DetectionLimits::default();
        Self {
            short_side: 320,
            long_side: 533,
            score: limits.score,
            overlap: limits.overlap,
            detections: limits.count,
        }
    }
}

impl TestRecipe {
    /// What counts as a detection.
    pub fn limits(&self) -> DetectionLimits {
        DetectionLimits {
            score: self.score,
            overlap: self.overlap,
            count: self.detections,
        }
    }
}

impl Default for InstancesRecipe {
    fn default() -> Self {
        Self {
            data: DataRecipe::default(),
            model: DetectorRecipe::default(),
            test: TestRecipe::default(),
            optim: OptimRecipe {
                optimizer: OptimizerName::Sgd,
                batch: 4,
                base_lr: 0.01,
                lr_batch: 0,
                weight_decay: 1e-4,
                warmup_steps: 50,
                warmup_multiplier: 1000.0,
                schedule: ScheduleName::Cosine,
                ..OptimRecipe::default()
            },
            run: RunRecipe {
                steps: 1000,
                log_every: 20,
                save_every: 250,
                ..RunRecipe::default()
            },
        }
    }
}

impl InstancesRecipe {
    /// The network for so many classes.
    ///
    /// # Errors
    /// An unknown architecture.
    pub fn network(&self, classes: i64) -> Result<DetectorConfig, RecipeError> {
        let model = &self.model;
        let arch: Arch = model
            .arch
            .parse()
            .map_err(|e: slotcon_nn::Error| wrong("model.arch", &model.arch, e.to_string()))?;
        Ok(DetectorConfig {
            backbone: ResNetConfig {
                stride_first: model.stride_first,
                ..ResNetConfig::detectron2(arch)
            },
            freeze_norm: model.freeze_norm,
            norm: model.norm,
            box_convolutions: model.box_convolutions,
            box_layers: model.box_layers,
            channels: model.channels,
            features: model.features,
            classes,
            anchor_sampling: Sampling {
                total: model.anchors,
                positive: model.anchors / 2,
            },
            region_sampling: Sampling {
                total: model.regions,
                positive: model.regions / 4,
            },
        })
    }
}

impl TaskRecipe for InstancesRecipe {
    const TASK: &'static str = "instances";
    const PUBLISHED: &'static [Published] = &[
        Published {
            name: "instances-small",
            text: include_str!("../../../../recipes/instances-small.toml"),
        },
        Published {
            name: "coco-maskrcnn-r50-fpn-90k",
            text: include_str!("../../../../recipes/coco-maskrcnn-r50-fpn-90k.toml"),
        },
    ];
    const FREE: &'static [&'static str] = &["run.validate_every"];

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
        fraction("data.flip_prob", data.augment.flip_prob)?;
        require(
            data.category_ids.is_empty() || data.category_ids.len() == data.classes.len(),
            "data.category_ids",
            format!("{:?}", data.category_ids),
            format!("must be as many as data.classes, {}", data.classes.len()),
        )?;
        let mut members = Vec::from_iter(data.merge.values().flatten());
        members.sort();
        if let Some(pair) = members.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong("data.merge", pair[0], "must be in one class, once"));
        }
        if let Some((class, _)) = data.merge.iter().find(|(_, members)| members.is_empty()) {
            return Err(wrong("data.merge", class, "must have one category at least"));
        }
        require(
            model.box_layers >= 1,
            "model.box_layers",
            model.box_layers,
            "must be at least 1",
        )?;
        for (key, value) in [
            ("model.channels", model.channels),
            ("model.features", model.features),
        ] {
            require(value >= 1, key, value, "must be at least 1")?;
        }
        require(
            model.anchors >= 2,
            "model.anchors",
            model.anchors,
            "must be at least 2",
        )?;
        require(
            model.regions >= 4,
            "model.regions",
            model.regions,
            "must be at least 4",
        )?;
        require(
            test.short_side >= 1 && test.long_side >= test.short_side,
            "test.long_side",
            test.long_side,
            format!("must be at least test.short_side = {}", test.short_side),
        )?;
        fraction("test.score", test.score)?;
        fraction("test.overlap", test.overlap)?;
        require(
            test.detections >= 1,
            "test.detections",
            test.detections,
            "must be at least 1",
        )?;
        self.optim.check()?;
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
    use crate::instances::MaskRcnn;
    use slotcon_nn::{Role, Store};
    use tch::{Device, Kind};

    #[test]
    fn published_recipes_load_survive_writing_and_say_what_they_cost() {
        crate::published::hold::<InstancesRecipe>();
    }

    /// Facts of the configuration that the paper's code gives to detectron2.
    #[test]
    fn the_published_run_is_that_of_the_paper() {
        let coco = InstancesRecipe::load("coco-maskrcnn-r50-fpn-90k", &[]).unwrap();
        let rate = coco.optim.learning_rate(7329, coco.run.steps);
        for (step, expected) in [
            (0, 2e-5),
            (1, 2e-5 + 0.02 * 0.999 / 1000.0),
            (999, 0.019_980_02),
            (1000, 0.02),
            (59_999, 0.02),
            (60_000, 0.002),
            (79_999, 0.002),
            (80_000, 0.0002),
        ] {
            assert!(
                (rate.at(step) - expected).abs() < 1e-12,
                "{step}: {}",
                rate.at(step)
            );
        }
        assert_eq!(
            (coco.run.steps, coco.optim.batch, coco.optim.weight_decay),
            (90_000, 16, 1e-4)
        );
        assert_eq!(coco.data.augment, InstanceAugmentConfig::default());
        let network = coco.network(80).unwrap();
        assert!(network.norm && !network.freeze_norm && !network.backbone.stride_first);
        assert_eq!((network.box_convolutions, network.box_layers), (4, 1));
        assert_eq!(
            network.anchor_sampling,
            Sampling {
                total: 256,
                positive: 128
            }
        );
        assert_eq!(
            network.region_sampling,
            Sampling {
                total: 512,
                positive: 128
            }
        );
        assert_eq!((coco.test.short_side, coco.test.long_side), (800, 1333));
    }

    /// Trainable parameters of detectron2's Mask R-CNN R50-FPN with batch norm in every part and 80 classes, part by part.
    #[test]
    fn the_published_network_has_as_many_parameters() {
        let recipe = InstancesRecipe::load("coco-maskrcnn-r50-fpn-90k", &[]).unwrap();
        let store = Store::new(Device::Cpu, Kind::Float);
        MaskRcnn::new(&store.root(), recipe.network(80).unwrap());
        let entries = store.entries();
        let count = |parts: &[&str]| -> i64 {
            let parameters = entries.iter().filter(|entry| entry.role == Role::Parameter);
            parameters
                .filter(|entry| parts.iter().any(|part| entry.name.starts_with(part)))
                .map(|entry| entry.tensor.numel() as i64)
                .sum()
        };
        for (parts, expected) in [
            (&["backbone.bottom_up."][..], 23_508_032),
            (&["backbone.fpn_"], 3_346_432),
            (&["proposal_generator."], 593_935),
            (&["roi_heads.box_head.", "roi_heads.box_predictor."], 15_618_449),
            (&["roi_heads.mask_head."], 2_644_304),
            (&[""], 45_711_152),
        ] {
            assert_eq!(count(parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (setting, word) in [
            ("data.short_sides=[]", "data.short_sides"),
            ("data.short_sides=[9999]", "long_side"),
            ("model.regions=1", "at least 4"),
            ("data.merge={a = [\"x\"], b = [\"x\"]}", "data.merge = x"),
            ("data.merge={a = []}", "data.merge = a"),
            ("test.long_side=10", "test.short_side"),
            ("test.score=2.0", "test.score"),
            ("model.arch=resnet7", "resnet7"),
        ] {
            let error = InstancesRecipe::load("instances-small", &[setting.to_owned()])
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{setting}: {error}");
        }
    }
}
