//! Instance segmentation: every `maskrcnn_*` case, the network in float64. Anchors, proposals, regions, losses, gradients,
//! weights after each step, precise batch norm, detections and their masks.

use std::collections::HashMap;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_data::rle::Runs;
use slotcon_golden as golden;
use slotcon_nn::{Arch, BatchNormMode, ResNetConfig, Role, Store};
use slotcon_torch::multi_tensor::{OptimizerStep, Rule, TensorGroup};
use slotcon_transfer::instances::{
    Candidates, Choose, DetectionLimits, Detections, DetectorConfig, MULTIPLE, MaskRcnn, Pictures,
    PreciseNorm, Sampling, Shape, Stage, Training, Truth,
};
use tch::{Device, Kind, Tensor};

use crate::compare::{Comparison, fill};
use crate::processor::as_recorded;

/// Relative differences that are allowed; those of tensors are relative to the largest value.
const LOSS: f64 = 1e-6;
const TENSOR: f64 = 1e-5;
/// Boxes are f32.
const BOX: f64 = 1e-6;

#[derive(Debug, Deserialize)]
struct Case {
    config: Config,
    names: Vec<(String, Vec<i64>)>,
    losses: Vec<HashMap<String, f64>>,
    pictures: Vec<Recorded>,
    detections: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Config {
    depth: u32,
    classes: i64,
    lr: f64,
    steps: usize,
    #[serde(default = "usual_batch")]
    rpn_batch: usize,
}

fn usual_batch() -> usize {
    256
}

/// A picture's objects.
#[derive(Debug, Deserialize)]
struct Recorded {
    boxes: Vec<[f64; 4]>,
    classes: Vec<i64>,
    #[serde(default)]
    polygons: Vec<Vec<Vec<f64>>>,
    #[serde(default)]
    masks: Vec<Mask>,
    output_size: (u32, u32),
}

#[derive(Debug, Deserialize)]
struct Mask {
    size: (u32, u32),
    counts: String,
}

#[derive(Debug, Deserialize)]
struct Found {
    count: usize,
    kept: usize,
    boxes_out: Vec<[f64; 4]>,
    rle: Vec<String>,
    area: Vec<u64>,
}

/// One trial, whose boxes depend on the processor.
pub fn trials(case: &golden::Case) -> Vec<Trial> {
    let (name, path) = (case.name(), case.file.clone());
    vec![Trial::test(name.clone(), move || {
        as_recorded(&name, || check(&path, &name))
    })]
}

/// Takes what the case says: the recorded choice of a step, else the lowest numbers.
struct AsRecorded {
    choices: HashMap<(&'static str, usize, bool), Vec<usize>>,
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Anchors => "anchors",
        Stage::Proposals => "proposals",
    }
}

impl AsRecorded {
    fn lowest() -> Self {
        Self {
            choices: HashMap::new(),
        }
    }

    fn of_step(all: &Comparison, step: usize, pictures: usize) -> Self {
        let mut choices = HashMap::new();
        for picture in 0..pictures {
            for stage in ["anchors", "proposals"] {
                for (positive, sign) in [(true, "positive"), (false, "negative")] {
                    let name = format!("step{step}.permutation.{stage}{picture}.{sign}");
                    if let Some(numbers) = all.recorded(&name) {
                        let numbers = Vec::<i64>::try_from(numbers).unwrap();
                        let numbers = numbers.into_iter().map(|n| n as usize).collect();
                        choices.insert((stage, picture, positive), numbers);
                    }
                }
            }
        }
        Self { choices }
    }
}

impl Choose for AsRecorded {
    fn choose(&mut self, of: Candidates, take: usize) -> Vec<usize> {
        let recorded = self.choices.get(&(stage_name(of.stage), of.picture, of.positive));
        match recorded {
            Some(numbers) => {
                assert_eq!(numbers.len(), take, "{of:?}: as many are recorded");
                numbers.clone()
            }
            None => (0..take).collect(),
        }
    }
}

fn detector(config: &Config) -> Result<DetectorConfig, Failed> {
    let arch: Arch = format!("resnet{}", config.depth).parse()?;
    Ok(DetectorConfig {
        backbone: ResNetConfig::detectron2(arch),
        freeze_norm: false,
        norm: true,
        box_convolutions: 4,
        box_layers: 1,
        channels: 256,
        features: 1024,
        classes: config.classes,
        anchor_sampling: Sampling {
            total: config.rpn_batch,
            positive: config.rpn_batch / 2,
        },
        region_sampling: Sampling {
            total: 512,
            positive: 128,
        },
    })
}

/// Bytes `[3, h, w]` normalised and padded to one size.
fn batch(pictures: &[&Tensor]) -> Pictures {
    let of_channel = |values: [f32; 3]| Tensor::from_slice(&values.map(f64::from)).reshape([3, 1, 1]);
    let (mean, std) = (
        of_channel([123.675, 116.28, 103.53]),
        of_channel([58.395, 57.12, 57.375]),
    );
    let sizes = Vec::from_iter(pictures.iter().map(|p| (p.size()[1], p.size()[2])));
    let side = |of: fn(&(i64, i64)) -> i64| {
        let largest = sizes.iter().map(of).max().unwrap();
        (largest + MULTIPLE - 1) / MULTIPLE * MULTIPLE
    };
    let (height, width) = (side(|s| s.0), side(|s| s.1));
    let shape = [pictures.len() as i64, 3, height, width];
    let pixels = Tensor::zeros(shape, (Kind::Double, Device::Cpu));
    for ((i, picture), &(h, w)) in pictures.iter().enumerate().zip(&sizes) {
        let normalised = (picture.to_kind(Kind::Double) - &mean) / &std;
        let place = pixels.get(i as i64).narrow(1, 0, h).narrow(2, 0, w);
        place.shallow_clone().copy_(&normalised);
    }
    Pictures {
        pixels: slotcon_torch::channels_last(&pixels),
        sizes,
    }
}

fn truth(recorded: &Recorded) -> Result<Truth, Failed> {
    let boxes = Vec::from_iter(recorded.boxes.iter().map(|b| b.map(|v| v as f32)));
    let shapes = if recorded.masks.is_empty() {
        recorded.polygons.iter().cloned().map(Shape::Polygons).collect()
    } else {
        let runs = recorded
            .masks
            .iter()
            .map(|m| Runs::from_text(m.size.1, m.size.0, &m.counts));
        runs.map(|runs| Ok(Shape::Pixels(runs?)))
            .collect::<Result<_, Failed>>()?
    };
    Ok(Truth::new(&boxes, recorded.classes.clone(), shapes)?)
}

fn check(path: &Path, name: &str) -> Result<(), Failed> {
    let case: Case = serde_json::from_slice(&std::fs::read(path)?)?;
    let bytes = std::fs::read(path.with_extension("safetensors"))?;
    let mut all = Comparison::new(SafeTensors::deserialize(&bytes)?);
    let config = &case.config;

    let store = Store::new(Device::Cpu, Kind::Double);
    let network = MaskRcnn::new(&store.root(), detector(config)?);
    let small = ["objectness_logits", "anchor_deltas", "bbox_pred"];
    fill(&store, |name| {
        if small.iter().any(|part| name.contains(part)) {
            0.1
        } else {
            1.0
        }
    });
    let entries = store.entries();
    let names = entries.iter().map(|e| (e.name.clone(), e.tensor.size()));
    if names.ne(case.names.iter().cloned()) {
        all.differs("names, shapes or order of the state dict".into());
    }

    let read = |i: usize| {
        all.recorded(&format!("picture{i}"))
            .ok_or_else(|| format!("picture{i} is missing"))
    };
    let bytes = (0..case.pictures.len())
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    let pictures = batch(&Vec::from_iter(&bytes));
    let truths = case.pictures.iter().map(truth).collect::<Result<Vec<_>, _>>()?;

    check_maps(&mut all, &network, &store, &pictures)?;
    let mut optimizer = Sgd::new(&store, config.lr);
    for step in 0..config.steps {
        let mut choose = AsRecorded::of_step(&all, step, truths.len());
        let training = network.forward_train(&pictures, &truths, &mut choose, BatchNormMode::Train)?;
        check_training(&mut all, step, &training, &case.losses[step]);
        training.losses.total.backward();
        for entry in entries.iter().filter(|e| e.role == Role::Parameter) {
            all.check_summary(
                &format!("step{step}.grad"),
                &entry.name,
                &entry.tensor.grad(),
                TENSOR,
            );
        }
        optimizer.step(&training.losses.total)?;
        for entry in &entries {
            if entry.role != Role::Counter {
                all.check_summary(&format!("step{step}"), &entry.name, &entry.tensor, TENSOR);
            }
            if entry.role == Role::Parameter {
                entry.tensor.shallow_clone().zero_grad();
            }
        }
    }

    let mut precise = PreciseNorm::default();
    for (picture, recorded) in bytes.iter().zip(&case.pictures) {
        if recorded.boxes.is_empty() {
            continue;
        }
        let _guard = tch::no_grad_guard();
        let (pictures, truths) = (batch(&[picture]), [truth(recorded)?]);
        network.forward_train(
            &pictures,
            &truths,
            &mut AsRecorded::lowest(),
            BatchNormMode::Measure,
        )?;
        precise.add(&store)?;
    }
    precise.finish(&store);
    for entry in entries.iter().filter(|e| e.role == Role::Buffer) {
        all.check_summary("precise", &entry.name, &entry.tensor, TENSOR);
    }

    let _guard = tch::no_grad_guard();
    let maps = network.maps(&pictures.pixels, BatchNormMode::Eval)?;
    let proposals = network.propose(&maps, &pictures.sizes)?;
    for (i, proposals) in proposals.iter().enumerate() {
        all.check(&format!("test.proposals{i}.boxes"), &proposals.boxes, BOX);
        all.check(&format!("test.proposals{i}.logits"), &proposals.logits, TENSOR);
    }
    let found = network.detect(&pictures, DetectionLimits::default())?;
    for (i, (found, recorded)) in found.iter().zip(&case.detections).enumerate() {
        let name = |what| format!("test.detections{i}.{what}");
        all.check(&name("boxes"), &found.boxes, BOX);
        all.check(&name("scores"), &found.scores, TENSOR);
        all.check_equal(&name("classes"), &found.classes);
        let drawn = found.masks.narrow(0, 0, found.masks.size()[0].min(20));
        all.check(&name("masks28"), &drawn, TENSOR);
        check_detections(
            &mut all,
            i,
            found,
            recorded,
            (pictures.sizes[i], case.pictures[i].output_size),
        )?;
    }
    all.finish(name)
}

/// SGD with momentum 0.9 and weight decay 1e-4, none on norms.
struct Sgd {
    parameters: Vec<(Tensor, Tensor, bool)>,
    lr: f64,
    found: Tensor,
}

impl Sgd {
    fn new(store: &Store, lr: f64) -> Self {
        let parameters = store.entries().into_iter().filter(|e| e.role == Role::Parameter);
        let parameters = parameters.map(|e| {
            let momentum = e.tensor.zeros_like().detach();
            (e.tensor, momentum, e.name.contains(".norm."))
        });
        Self {
            parameters: parameters.collect(),
            lr,
            found: Tensor::zeros([0i64; 0], (Kind::Float, Device::Cpu)),
        }
    }

    fn step(&mut self, loss: &Tensor) -> Result<(), Failed> {
        let rule = |weight_decay| Rule {
            lars: None,
            lr: self.lr,
            momentum: 0.9,
            weight_decay,
        };
        let mut groups = [TensorGroup::new(rule(1e-4)), TensorGroup::new(rule(0.0))];
        for (parameter, momentum, norm) in &self.parameters {
            groups[usize::from(*norm)].push(parameter, parameter.grad(), momentum);
        }
        OptimizerStep::inspect(&groups, loss, None, &mut self.found)?.take(&self.found)?;
        Ok(())
    }
}

fn check_training(all: &mut Comparison, step: usize, training: &Training, losses: &HashMap<String, f64>) {
    let got = &training.losses;
    for (name, got) in [
        ("total", &got.total),
        ("loss_cls", &got.class),
        ("loss_box_reg", &got.boxes),
        ("loss_mask", &got.mask),
        ("loss_rpn_cls", &got.objectness),
        ("loss_rpn_loc", &got.anchors),
    ] {
        match losses.get(name) {
            Some(&expected) => {
                all.check_against(
                    &format!("losses[{step}].{name}"),
                    got,
                    &Tensor::from(expected),
                    LOSS,
                );
            }
            None => all.differs(format!("losses[{step}].{name} is not recorded")),
        }
    }
    let pictures = training
        .anchors
        .iter()
        .zip(&training.proposals)
        .zip(&training.regions);
    let (mut first, mut with_objects) = (0, 0);
    for (i, ((anchors, proposals), regions)) in pictures.enumerate() {
        let name = |what: &str| format!("step{step}.{what}");
        if let Some(recorded) = all.recorded(&name(&format!("anchor_labels{i}"))) {
            let labels = Tensor::full(recorded.size(), -1, (Kind::Int64, Device::Cpu));
            let _ = labels.shallow_clone().index_fill_(0, &anchors.negative, 0);
            let _ = labels.shallow_clone().index_fill_(0, &anchors.positive, 1);
            all.check_equal(&name(&format!("anchor_labels{i}")), &labels);
        } else {
            all.differs(name(&format!("anchor_labels{i} is not recorded")));
        }
        all.check(&name(&format!("proposals{i}.boxes")), &proposals.boxes, BOX);
        all.check(&name(&format!("proposals{i}.logits")), &proposals.logits, TENSOR);
        all.check(&name(&format!("sampled{i}.boxes")), &regions.boxes, BOX);
        all.check_equal(&name(&format!("sampled{i}.classes")), &regions.classes);
        let count = regions.objects.len() as i64;
        if count > 0 {
            if step == 0 {
                let masks = training.masks.narrow(0, first, count);
                all.check_equal(&format!("step0.mask_targets{with_objects}"), &masks);
            }
            first += count;
            with_objects += 1;
        }
    }
}

/// The pyramid's maps; leaves the running statistics as they start.
fn check_maps(
    all: &mut Comparison,
    network: &MaskRcnn,
    store: &Store,
    pictures: &Pictures,
) -> Result<(), Failed> {
    let _guard = tch::no_grad_guard();
    let maps = network.maps(&pictures.pixels, BatchNormMode::Measure)?;
    for (map, level) in maps.iter().zip(2..) {
        all.check_summary("step0.feature", &format!("p{level}"), map, TENSOR);
    }
    for norm in store.norms() {
        let _ = norm.mean.shallow_clone().fill_(0);
        let _ = norm.var.shallow_clone().fill_(1);
    }
    Ok(())
}

fn check_detections(
    all: &mut Comparison,
    picture: usize,
    found: &Detections,
    recorded: &Found,
    (seen, output): ((i64, i64), (u32, u32)),
) -> Result<(), Failed> {
    let at = found.at(seen, output)?;
    if (found.boxes.size()[0] as usize, at.len()) != (recorded.count, recorded.kept) {
        all.differs(format!(
            "picture {picture}: {} detections, {} of them in it; recorded {} and {}",
            found.boxes.size()[0],
            at.len(),
            recorded.count,
            recorded.kept
        ));
        return Ok(());
    }
    // The first of them are recorded.
    let boxes = at.iter().take(recorded.boxes_out.len());
    let boxes = Vec::from_iter(boxes.flat_map(|d| d.bounds));
    let expected = Tensor::from_slice(recorded.boxes_out.as_flattened()).reshape([-1]);
    all.check_against(
        &format!("detections[{picture}].boxes_out"),
        &Tensor::from_slice(&boxes),
        &expected,
        BOX,
    );
    for (i, (rle, &area)) in recorded.rle.iter().zip(&recorded.area).enumerate() {
        let mask = &at[i].mask;
        if mask.text() != *rle || mask.area() != area {
            all.differs(format!(
                "detections[{picture}]: mask {i} has {} pixels, recorded {area}, or lies elsewhere",
                mask.area()
            ));
        }
    }
    Ok(())
}
