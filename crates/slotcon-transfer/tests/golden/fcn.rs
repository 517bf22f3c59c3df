//! Semantic segmentation: every `fcn_*` case, in float64. Losses, gradients, weights after each step, whole and sliding
//! inference.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_golden as golden;
use slotcon_nn::{Arch, FcnConfig, ResNetConfig, Role, Store};
use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_torch::multi_tensor::{OptimizerStep, Rule, TensorGroup};
use slotcon_transfer::semantic::{AuxiliaryConfig, Inference, Segmentor, SegmentorConfig, Window};
use tch::{Device, Kind, Tensor};

use crate::compare::{Comparison, fill};
use crate::ranks;

/// Relative differences that are allowed; those of tensors are relative to the largest value.
const LOSS: f64 = 1e-7;
const TENSOR: f64 = 1e-6;
const LOGITS: f64 = 1e-5;
/// Logits of two classes closer than this part of the largest logit are a tie.
const TIE: f64 = 1e-6;

#[derive(Debug, Clone, Deserialize)]
struct Case {
    config: Config,
    names: Vec<(String, Vec<i64>)>,
    losses: Vec<Losses>,
}

#[derive(Debug, Clone, Deserialize)]
struct Config {
    depth: u32,
    classes: i64,
    head: String,
    channels: i64,
    aux: bool,
    concat_input: bool,
    align_corners: bool,
    pictures: Vec<serde_json::Value>,
    steps: usize,
    lr: f64,
    weight_decay: f64,
    mean: [f64; 3],
    std: [f64; 3],
    slide: Slide,
}

#[derive(Debug, Clone, Deserialize)]
struct Slide {
    crop: i64,
    stride: i64,
}

#[derive(Debug, Clone, Deserialize)]
struct Losses {
    #[serde(rename = "decode.loss_ce")]
    decode: f64,
    #[serde(rename = "aux.loss_ce")]
    auxiliary: Option<f64>,
    total: f64,
}

/// One trial alone; where the batch has two halves one more with a process for each.
pub fn trials(case: &golden::Case) -> Vec<Trial> {
    let (name, path) = (case.name(), case.file.clone());
    let pictures = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Case>(&bytes).ok())
        .map_or(0, |case| case.config.pictures.len());
    let sizes = [1, 2]
        .into_iter()
        .filter(|size| pictures >= *size && pictures.is_multiple_of(*size));
    sizes
        .map(|size| {
            let path = path.clone();
            let name = match size {
                1 => name.clone(),
                size => format!("{name} over {size} ranks"),
            };
            Trial::test(name.clone(), move || {
                ranks::run(&name, size, |ranks| check(&path, &name, ranks))
            })
        })
        .collect()
}

fn segmentor(config: &Config) -> Result<SegmentorConfig, Failed> {
    let arch: Arch = format!("resnet{}", config.depth).parse()?;
    let (strides, dilations, dilation) = match config.head.as_str() {
        "d6" => ([1, 2, 2, 1], [1, 1, 1, 2], 6),
        "d8" => ([1, 2, 1, 1], [1, 1, 2, 4], 1),
        other => return Err(format!("unknown head {other}").into()),
    };
    let [.., third, fourth] = arch.spec().channels();
    let decode = FcnConfig {
        input: fourth,
        channels: config.channels,
        convolutions: 2,
        dilation,
        concat_input: config.concat_input,
        dropout: 0.0,
        classes: config.classes,
    };
    Ok(SegmentorConfig {
        backbone: ResNetConfig::mmsegmentation(arch, strides, dilations),
        decode,
        auxiliary: config.aux.then_some(AuxiliaryConfig {
            stage: 2,
            head: FcnConfig {
                input: third,
                channels: config.channels / 2,
                convolutions: 1,
                dilation: 1,
                concat_input: false,
                ..decode
            },
            weight: 0.4,
        }),
        freeze_backbone: false,
        align_corners: config.align_corners,
    })
}

/// Bytes `[3, h, w]` as the network takes them, `[1, 3, h, w]`.
fn normalised(picture: &Tensor, config: &Config) -> Tensor {
    let of_channel = |values: [f64; 3]| Tensor::from_slice(&values).reshape([1, 3, 1, 1]);
    let x = (picture.unsqueeze(0).to_kind(Kind::Double) - of_channel(config.mean)) / of_channel(config.std);
    slotcon_torch::channels_last(&x)
}

fn check(path: &Path, name: &str, ranks: &Ranks) -> Result<(), Failed> {
    let case: Case = serde_json::from_slice(&std::fs::read(path)?)?;
    let bytes = std::fs::read(path.with_extension("safetensors"))?;
    let mut all = Comparison::new(SafeTensors::deserialize(&bytes)?);
    let config = &case.config;

    let store = Store::across(Device::Cpu, Kind::Double, ranks.clone());
    let network = Segmentor::new(&store.root(), segmentor(config)?);
    fill(&store, |_| 1.0);
    let entries = store.entries();
    let names = entries.iter().map(|e| (e.name.clone(), e.tensor.size()));
    if names.ne(case.names.iter().cloned()) {
        all.differs("names, shapes or order of the state dict".into());
    }

    let missing = |what: &str| format!("{what} is not recorded");
    let batch = |prefix: &str| -> Result<Vec<Tensor>, Failed> {
        let names = (0..config.pictures.len()).map(|i| format!("{prefix}{i}"));
        names
            .map(|name| Ok(all.recorded(&name).ok_or_else(|| missing(&name))?))
            .collect()
    };
    let pictures = batch("picture")?
        .iter()
        .map(|p| normalised(p, config))
        .collect::<Vec<_>>();
    let pictures = Tensor::cat(&pictures, 0);
    let labels = Tensor::stack(&batch("labels")?, 0);
    // This rank's share of both.
    let share = config.pictures.len() as i64 / ranks.size() as i64;
    let own = |all: &Tensor| all.narrow(0, share * ranks.rank() as i64, share);
    let (pictures, labels) = (own(&pictures), own(&labels));

    let rule = Rule {
        lars: None,
        lr: config.lr,
        momentum: 0.9,
        weight_decay: config.weight_decay,
    };
    let parameters = entries.iter().filter(|e| e.role == Role::Parameter);
    let momenta: Vec<Tensor> = parameters
        .clone()
        .map(|e| e.tensor.zeros_like().detach())
        .collect();
    let mut found = Tensor::zeros([0i64; 0], (Kind::Float, Device::Cpu));
    for (step, losses) in case.losses.iter().take(config.steps).enumerate() {
        let got = network.losses(&network.forward_train(&pictures)?, &labels)?;
        let mut check_loss = |name: &str, got: &Tensor, expected: f64| -> Result<(), Failed> {
            all.check_against(
                &format!("losses[{step}].{name}"),
                &ranks.mean(&got.detach(), Traffic::Metrics)?,
                &Tensor::from(expected),
                LOSS,
            );
            Ok(())
        };
        check_loss("total", &got.total, losses.total)?;
        check_loss("decode", &got.decode, losses.decode)?;
        match (&got.auxiliary, losses.auxiliary) {
            (Some(got), Some(expected)) => check_loss("auxiliary", got, expected)?,
            (None, None) => {}
            (got, expected) => all.differs(format!("auxiliary loss {got:?}, recorded {expected:?}")),
        }
        got.total.backward();
        let mut groups = [TensorGroup::new(rule)];
        for (entry, momentum) in parameters.clone().zip(&momenta) {
            let gradient = ranks.mean(&entry.tensor.grad(), Traffic::Gradients)?;
            all.check_summary(&format!("step{step}.grad"), &entry.name, &gradient, TENSOR);
            groups[0].push(&entry.tensor, gradient, momentum);
        }
        OptimizerStep::inspect(&groups, &got.total, None, &mut found)?.take(&found)?;
        for entry in &entries {
            if entry.role != Role::Counter {
                all.check_summary(&format!("step{step}"), &entry.name, &entry.tensor, TENSOR);
            }
            if entry.role == Role::Parameter {
                entry.tensor.shallow_clone().zero_grad();
            }
        }
    }

    if !ranks.is_alone() {
        return all.finish(name);
    }
    let picture = all
        .recorded("slide.picture")
        .ok_or_else(|| missing("slide.picture"))?;
    let picture = normalised(&picture, config);
    let window = Window {
        side: config.slide.crop,
        stride: config.slide.stride,
    };
    let whole = Inference::Whole.logits(&network, &picture)?;
    let slide = Inference::Sliding(window).logits(&network, &picture)?;
    let (_, _, height, width) = picture.size4()?;
    let larger = network.resize(&whole, (height * 3 / 2, width * 3 / 2))?;
    all.check("whole.logits", &whole.squeeze_dim(0), LOGITS);
    all.check("slide.logits", &slide.squeeze_dim(0), LOGITS);
    check_labels(&mut all, "whole.labels", &whole);
    check_labels(&mut all, "slide.labels", &slide);
    check_labels(&mut all, "whole.labels_original_size", &larger);
    all.finish(name)
}

/// The class of the largest of `logits` `[1, C, h, w]` at every pixel against the recorded ones, which may differ only where
/// both classes' logits are equal but for rounding.
fn check_labels(all: &mut Comparison, name: &str, logits: &Tensor) {
    let Some(expected) = all.recorded(name) else {
        return all.differs(format!("{name}: not recorded"));
    };
    let logits = logits.squeeze_dim(0);
    let expected = expected.to_kind(Kind::Int64);
    if logits.size()[1..] != expected.size()[..] {
        return all.differs(format!(
            "{name}: {:?}, recorded {:?}",
            logits.size(),
            expected.size()
        ));
    }
    let largest = logits.amax([0], false);
    let of_recorded = logits.gather(0, &expected.unsqueeze(0), false).squeeze_dim(0);
    let tie = logits.abs().max() * TIE;
    let wrong = (largest - of_recorded)
        .gt_tensor(&tie)
        .sum(Kind::Int64)
        .int64_value(&[]);
    if wrong > 0 {
        all.differs(format!("{name}: {wrong} pixels of another class"));
    }
}
