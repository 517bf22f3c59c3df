//! A detector on whole pictures: what is in them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use slotcon_data::annotations::AnnotatedPicture;
use slotcon_data::augment::instances::{InstanceAugmentConfig, InstancePlan, shortest_edge};
use slotcon_data::picture::{DecodeOptions, Picture, decode_rgb};
use slotcon_torch::autocast;
use slotcon_torch::distributed::{Ranks, Traffic};
use tch::{Device, Kind, Tensor};

use super::batch::Preparation;
use super::inference::{Detection, DetectionLimits};
use super::network::MaskRcnn;
use super::recipe::{InstancesRecipe, TestRecipe};
use super::results::CocoResult;
use crate::error::TransferError;

/// A detector with all that is done to a picture before and after it.
#[derive(Debug)]
pub struct Detector<'a> {
    network: &'a MaskRcnn,
    preparation: Preparation,
    test: TestRecipe,
    decode: DecodeOptions,
    device: Device,
    half: Option<Kind>,
    /// What counts as a detection.
    pub limits: DetectionLimits,
}

impl<'a> Detector<'a> {
    /// As the recipe says.
    pub fn of(network: &'a MaskRcnn, recipe: &InstancesRecipe, device: Device, half: Option<Kind>) -> Self {
        Self {
            network,
            preparation: Preparation::new(recipe.data.pixels, device),
            decode: InstanceAugmentConfig::decode_options(&recipe.data.augment),
            limits: recipe.test.limits(),
            test: recipe.test.clone(),
            device,
            half,
        }
    }

    /// How pictures are decoded.
    pub fn decode_options(&self) -> &DecodeOptions {
        &self.decode
    }

    /// The protocol in words.
    pub fn protocol(&self) -> String {
        let DetectionLimits {
            score,
            overlap,
            count,
        } = self.limits;
        format!(
            "instance segmentation: pictures resized to a short side of {}, at most {}; detections with a score above {score}, \
             of one class overlapping by {overlap} at most, {count} a picture; masks at the picture's own size",
            self.test.short_side, self.test.long_side
        )
    }

    /// The objects in `picture`, best first, at its own size.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn detect(&self, picture: &Picture) -> Result<Vec<Detection>, TransferError> {
        let _guard = tch::no_grad_guard();
        let size = (picture.width(), picture.height());
        let plan = InstancePlan {
            size: shortest_edge(size, self.test.short_side, self.test.long_side),
            mirror: false,
        };
        let seen = plan.picture(picture);
        let batch = self.preparation.batch(std::iter::once(&seen))?;
        let found = autocast(self.device, self.half, || {
            self.network.detect(&batch, self.limits)
        })??;
        let (width, height) = size;
        match found.first() {
            Some(found) => Ok(found.at(batch.sizes[0], (height, width))?),
            None => Ok(Vec::new()),
        }
    }
}

/// The detections in a set of pictures.
#[derive(Debug, Default)]
pub struct Detected {
    /// Of all ranks, rank by rank.
    pub results: Vec<CocoResult>,
    /// Pictures that were left out, and why; also of all ranks.
    pub bad: Vec<String>,
}

/// Detects in every one of `pictures`, shared out over `ranks`. `done` hears of every picture of this rank. One that cannot be used
/// is left out and named.
///
/// # Errors
/// What libtorch refuses; a rank that is gone.
pub fn detect_all(
    detector: &Detector,
    pictures: &[AnnotatedPicture],
    category_ids: &[i64],
    ranks: &Ranks,
    mut done: impl FnMut(&AnnotatedPicture),
) -> Result<Detected, TransferError> {
    let mut detected = Detected::default();
    for annotated in pictures.iter().skip(ranks.rank()).step_by(ranks.size()) {
        match load(annotated, detector.decode_options()) {
            Ok(picture) => {
                let found = detector.detect(&picture)?;
                let results = found
                    .iter()
                    .map(|one| CocoResult::new(annotated.id, category_ids, one));
                detected.results.extend(results);
            }
            Err(reason) => detected.bad.push(reason),
        }
        done(annotated);
    }
    Ok(Detected {
        results: of_all_ranks(detected.results, ranks, detector.device)?,
        bad: of_all_ranks(detected.bad, ranks, detector.device)?,
    })
}

/// The picture, if it is what the annotation file says.
fn load(annotated: &AnnotatedPicture, options: &DecodeOptions) -> Result<Picture, String> {
    let path = annotated.path.display();
    let picture = decode_rgb(&annotated.path, options).map_err(|e| format!("{path}: {e}"))?;
    let (width, height) = (annotated.width, annotated.height);
    if (picture.width(), picture.height()) != (width, height) {
        return Err(format!(
            "{path}: has {}x{} pixels, the annotation file says {width}x{height}",
            picture.width(),
            picture.height()
        ));
    }
    Ok(picture)
}

/// What every rank has, on every rank, so that all come to the same numbers.
fn of_all_ranks<T: Serialize + DeserializeOwned>(
    own: Vec<T>,
    ranks: &Ranks,
    device: Device,
) -> Result<Vec<T>, TransferError> {
    if ranks.is_alone() {
        return Ok(own);
    }
    let mut text = Vec::new();
    for one in &own {
        serde_json::to_writer(&mut text, one)?;
        text.push(b'\n');
    }
    let bytes = Tensor::from_slice(&text).to_device(device);
    let (all, _) = ranks.gather_rows(&bytes, Traffic::Metrics)?;
    let all = Vec::<u8>::try_from(all.to_device(Device::Cpu)).map_err(slotcon_torch::Error::from)?;
    let lines = all.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}
