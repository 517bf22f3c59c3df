//! A segmentor on whole pictures: their classes, and how well these match label maps.

use slotcon_data::augment::semantic::{IGNORED, fitted};
use slotcon_data::labelled::{ClassTable, LabelMap, Pair, fit_to_picture};
use slotcon_data::picture::{DecodeOptions, Picture, decode_rgb};
use slotcon_data::resize::opencv::{Region, resize_linear};
use slotcon_metrics::{Confusion, SemanticScore};
use slotcon_torch::autocast;
use slotcon_torch::distributed::{Ranks, Traffic};
use slotcon_train::normalise::Normaliser;
use tch::{Device, Kind, Tensor};

use super::inference::Inference;
use super::network::Segmentor;
use super::recipe::SemanticRecipe;
use crate::error::TransferError;

/// A segmentor with all that is done to a picture before and after it.
#[derive(Debug)]
pub struct Evaluator<'a> {
    network: &'a Segmentor,
    normaliser: Normaliser,
    inference: Inference,
    frame: [u32; 2],
    /// How pictures are decoded.
    pub decode: DecodeOptions,
    device: Device,
    half: Option<Kind>,
    /// Factors of the frame; probabilities are averaged over them.
    pub scales: Vec<f64>,
    /// Whether the mirrored picture is seen as well.
    pub mirror: bool,
}

impl<'a> Evaluator<'a> {
    /// As the recipe says: one scale, no mirror.
    pub fn of(network: &'a Segmentor, recipe: &SemanticRecipe, device: Device, half: Option<Kind>) -> Self {
        Self {
            network,
            normaliser: recipe.data.normalisation.on(device),
            inference: recipe.inference(),
            frame: recipe.test.test_frame,
            decode: recipe.data.augment.decode_options(),
            device,
            half,
            scales: vec![1.0],
            mirror: false,
        }
    }

    /// The protocol in words.
    pub fn protocol(&self) -> String {
        let seen = match self.inference {
            Inference::Whole => "whole".to_owned(),
            Inference::Sliding(window) => {
                format!("in windows of {} every {} pixels", window.side, window.stride)
            }
        };
        let [long, short] = self.frame;
        let scales = match &self.scales[..] {
            [1.0] => String::new(),
            scales => format!(", probabilities averaged over scales {scales:?}"),
        };
        let mirror = if self.mirror { ", mirrored as well" } else { "" };
        format!(
            "semantic segmentation: pictures fitted into {long} x {short}, seen {seen}{scales}{mirror}, measured at their own \
             size; mIoU over the classes that occur in labels or predictions"
        )
    }

    /// The class of every pixel of `picture`, at its own size.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn classes(&self, picture: &Picture) -> Result<LabelMap, TransferError> {
        let _guard = tch::no_grad_guard();
        let size = (picture.width(), picture.height());
        let mut sum: Option<Tensor> = None;
        let several = self.scales.len() > 1 || self.mirror;
        for &scale in &self.scales {
            let frame = self.frame.map(|side| (f64::from(side) * scale) as u32);
            let input = self.input(picture, fitted(size, frame));
            for mirrored in [false, true].into_iter().take(if self.mirror { 2 } else { 1 }) {
                let seen = if mirrored {
                    input.flip([3])
                } else {
                    input.shallow_clone()
                };
                let logits = autocast(self.device, self.half, || {
                    self.inference.logits(self.network, &seen)
                })??;
                let logits = if mirrored { logits.flip([3]) } else { logits };
                let logits = logits.to_kind(Kind::Float);
                let logits = self
                    .network
                    .resize(&logits, (i64::from(size.1), i64::from(size.0)))?;
                // One softmax changes no maximum; several pictures of one are averaged as probabilities.
                let scores = if several {
                    logits.softmax(1, Kind::Float)
                } else {
                    logits
                };
                sum = Some(match sum {
                    None => scores,
                    Some(sum) => sum + scores,
                });
            }
        }
        let Some(scores) = sum else {
            return Err(TransferError::NoScale);
        };
        let best = scores
            .f_argmax(1, false)?
            .f_to_kind(Kind::Int)?
            .to_device(Device::Cpu);
        let classes: Vec<i32> = Vec::try_from(best.reshape([-1])).map_err(slotcon_torch::Error::from)?;
        Ok(LabelMap::new(
            size.0,
            size.1,
            classes.into_iter().map(|c| c as u16).collect(),
        ))
    }

    fn input(&self, picture: &Picture, new: (u32, u32)) -> Tensor {
        let mut rgb = vec![0; new.0 as usize * new.1 as usize * 3];
        let old = (picture.width(), picture.height());
        let all = Region::all(new.0, new.1);
        resize_linear(picture.rgb(), old, new, all, false, &mut rgb, new.0 as usize);
        let bytes = Tensor::from_slice(&rgb).to_device(self.device);
        self.normaliser.apply(&bytes, new.1 as usize, new.0 as usize)
    }
}

/// What was counted on a set of pictures.
#[derive(Debug)]
pub struct Measured {
    confusion: Confusion,
    /// Pictures that this rank left out, and why.
    pub bad: Vec<String>,
}

impl Measured {
    /// Labels against predictions.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// The figures.
    ///
    /// # Errors
    /// No labelled pixel.
    pub fn score(&self) -> Result<SemanticScore, TransferError> {
        Ok(SemanticScore::of(&self.confusion)?)
    }
}

/// A picture, and the class of each of its pixels, 255 where none counts.
fn load(
    pair: &Pair,
    table: &ClassTable,
    options: &DecodeOptions,
) -> Result<(Picture, Vec<u16>), TransferError> {
    let picture = decode_rgb(&pair.picture, options).map_err(|source| slotcon_data::Error::Picture {
        path: pair.picture.clone(),
        source,
    })?;
    let wrong = |reason: String| TransferError::Labels {
        path: pair.labels.clone(),
        reason,
    };
    let mut classes = Vec::new();
    let map = table.read(&pair.labels, &mut classes)?;
    let size = (picture.width(), picture.height());
    if !fit_to_picture(&mut classes, map, size) {
        return Err(wrong(format!(
            "has {}x{} pixels, its picture {}x{}: other proportions",
            map.0, map.1, size.0, size.1
        )));
    }
    Ok((picture, classes.into_iter().map(u16::from).collect()))
}

/// Predicts every picture of `pairs`, shared out over `ranks`, and counts. `done` hears of every picture. One that cannot be
/// used is left out and named.
///
/// # Errors
/// What libtorch refuses; a rank that is gone.
pub fn measure(
    evaluator: &Evaluator,
    pairs: &[Pair],
    table: &ClassTable,
    ranks: &Ranks,
    mut done: impl FnMut(&Pair),
) -> Result<Measured, TransferError> {
    let classes = table.len();
    let mut confusion = Confusion::new(classes, classes, u16::from(IGNORED));
    let mut bad = Vec::new();
    for pair in pairs.iter().skip(ranks.rank()).step_by(ranks.size()) {
        match load(pair, table, &evaluator.decode) {
            Ok((picture, truth)) => confusion.add(&truth, evaluator.classes(&picture)?.ids())?,
            Err(reason) => bad.push(reason.to_string()),
        }
        done(pair);
    }
    if !ranks.is_alone() {
        // Sums of f64 are exact up to 2^53 pixels.
        let counts = Vec::from_iter(confusion.counts().iter().map(|&n| n as f64));
        let counts = Tensor::from_slice(&counts).to_device(evaluator.device);
        let all = ranks.sum(&counts, Traffic::Metrics)?;
        let all: Vec<f64> = Vec::try_from(all.to_device(Device::Cpu)).map_err(slotcon_torch::Error::from)?;
        confusion.set_counts(all.into_iter().map(|n| n as u64).collect())?;
    }
    Ok(Measured { confusion, bad })
}
