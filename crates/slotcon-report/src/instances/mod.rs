//! The report of fine-tuning for instance segmentation: average precision by class, and detections beside the truth, in the frame of
//! [`crate::run`].

mod overlay;

use std::path::Path;

use slotcon_data::annotations::{AnnotatedPicture, Object, Shape};
use slotcon_data::augment::instances::{InstancePlan, shortest_edge};
use slotcon_data::picture::decode_rgb;
use slotcon_data::rle::Runs;
use slotcon_data::sampler::evenly;
use slotcon_train::{RunDirectory, TaskRecipe};
use slotcon_transfer::instances::{AnnotationFile, Detection, FineTuned, InstancesRecipe};
use tch::Device;

use crate::curve::CurveSpec;
use crate::error::Error;
use crate::page::{escape, image};
use crate::panel::{Figure, Panel, Section, or_why_not, shares, table_by_class};
use crate::run::Run;
use crate::run::health_check::HealthCheck;
use crate::run::record::Record;

pub use overlay::{Drawn, overlay};

/// Pictures shown.
const SHOWN: usize = 6;
/// Short side of pictures in the page, and the longest that their long side may be.
const SIDES: [u32; 2] = [260, 520];
/// Detections below this score are not drawn.
const SCORE: f64 = 0.5;

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Annotated pictures to show, if any, in the categories of their file.
    pub pictures: Option<AnnotationFile>,
    /// Where the network computes.
    pub device: Device,
}

/// Writes the report of the run in `directory` to `path`. Pictures or checkpoints that cannot be used are said in the page.
///
/// # Errors
/// A folder that holds no run; files of it that cannot be read; a page that cannot be written (nothing half-written stays).
pub fn write_report(directory: RunDirectory, path: &Path, options: &Options) -> Result<(), Error> {
    let run = Run::read(directory)?;
    let place = run.directory().recipe().display().to_string();
    let recipe = InstancesRecipe::from_toml(run.recipe_text(), &place)?;
    let panel = Instances {
        samples: samples(run.directory(), &recipe, options),
        classes: by_class(run.directory(), &recipe.data.classes),
        recipe,
    };
    run.write_report(path, &panel)
}

/// The part of the report that knows of objects.
#[derive(Debug)]
struct Instances {
    recipe: InstancesRecipe,
    /// Pictures beside truth and detections as HTML, or why there are none.
    samples: Result<String, String>,
    /// AP of boxes and masks by class of the last validation.
    classes: Vec<(String, [Option<f64>; 2])>,
}

/// AP by class of the last validation, in the order of `classes`; empty where nothing was measured.
fn by_class(directory: &RunDirectory, classes: &[String]) -> Vec<(String, [Option<f64>; 2])> {
    let text = std::fs::read_to_string(directory.validation()).unwrap_or_default();
    let Ok(found) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Vec::new();
    };
    let of = |kind: &str, name: &str| found[kind]["per_category"][name].as_f64();
    let named = classes
        .iter()
        .map(|name| (name.clone(), ["bbox", "segm"].map(|kind| of(kind, name))));
    named.collect()
}

fn samples(directory: &RunDirectory, recipe: &InstancesRecipe, options: &Options) -> Result<String, String> {
    let file = options
        .pictures
        .as_ref()
        .ok_or("the report that the run itself writes shows pictures; this one was made without them")?;
    let pictures = file
        .merged(&recipe.data.merge)
        .map_err(|e| e.to_string())?
        .annotations
        .pictures;
    let checkpoint = directory.best_or_last().ok_or("there is no checkpoint yet")?;
    let network = FineTuned::open(&checkpoint, options.device).map_err(|e| e.to_string())?;
    let mut html = String::from("<div class=\"samples\">\n");
    for i in evenly(pictures.len(), SHOWN) {
        let picture = &pictures[i];
        html += &sample(&network, picture).map_err(|e| format!("{}: {e}", picture.path.display()))?;
    }
    Ok(html + "</div>\n")
}

/// One picture: its true objects over it, the detections over it.
fn sample(network: &FineTuned, annotated: &AnnotatedPicture) -> Result<String, String> {
    let detector = network.detector();
    let picture = decode_rgb(&annotated.path, detector.decode_options()).map_err(|e| e.to_string())?;
    let found = detector.detect(&picture).map_err(|e| e.to_string())?;
    let [short, long] = SIDES;
    let plan = InstancePlan {
        size: shortest_edge((annotated.width, annotated.height), short, long),
        mirror: false,
    };
    let small = plan.picture(&picture);
    // Both are resized as objects of the picture.
    let drawn = |objects: Vec<Object>| {
        let of_picture = AnnotatedPicture {
            objects,
            ..annotated.clone()
        };
        let placed = plan.objects(&of_picture, true).into_iter();
        placed.filter_map(|object| match object.shape {
            Shape::Pixels(mask) => Some(Drawn {
                class: object.class,
                bounds: object.bounds,
                mask,
            }),
            Shape::Polygons(_) => None,
        })
    };
    let truth = Vec::from_iter(drawn(annotated.objects.clone()));
    let detections = found.iter().filter(|detection| detection.score >= SCORE);
    let detections = Vec::from_iter(drawn(detections.map(as_object).collect()));
    let name = annotated
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let shown = |objects: &[Drawn], what: &str| {
        image(&overlay(&small, objects), &format!("{what} {name}")).map_err(|e| e.to_string())
    };
    Ok(format!(
        "<figure class=\"card\"><div class=\"pair\">{}{}</div><figcaption class=\"quiet small\">{}: {} true objects; {} detected \
         with a score of at least {SCORE}</figcaption></figure>\n",
        shown(&truth, "The true objects in")?,
        shown(&detections, "The detections in")?,
        escape(&name),
        truth.len(),
        detections.len()
    ))
}

fn as_object(detection: &Detection) -> Object {
    Object {
        id: 0,
        class: detection.class,
        bounds: detection.bounds.map(f64::from),
        shape: Shape::Pixels(Runs::clone(&detection.mask)),
    }
}

impl Panel for Instances {
    fn facts(&self) -> Vec<String> {
        let model = &self.recipe.model;
        vec![
            format!("Mask R-CNN on {}", escape(&model.arch)),
            format!("{} classes", self.recipe.data.classes.len()),
            format!("batch {}", self.recipe.optim.batch),
        ]
    }

    fn curves(&self) -> Vec<CurveSpec> {
        vec![
            CurveSpec::new("class_loss", "Loss of classes"),
            CurveSpec::new("box_loss", "Loss of boxes"),
            CurveSpec::new("mask_loss", "Loss of masks"),
            CurveSpec::new("objectness_loss", "Loss of objectness (region proposals)"),
            CurveSpec::new("anchor_loss", "Loss of anchors (region proposals)"),
            CurveSpec::new("bbox.AP", "AP of boxes on pictures kept for measuring"),
            CurveSpec::new("segm.AP", "AP of masks on them"),
        ]
    }

    fn figures(&self, record: &Record) -> Vec<Figure> {
        shares(record, &[("bbox.AP", "AP of boxes"), ("segm.AP", "AP of masks")])
    }

    fn health(&self, _record: &Record) -> Vec<HealthCheck> {
        Vec::new()
    }

    fn sections(&self) -> Vec<Section> {
        let rows = self.classes.iter().map(|(name, found)| (name, found.as_slice()));
        let table = table_by_class(&["AP of boxes", "AP of masks"], rows);
        let part = |id, title, html| Section { id, title, html };
        vec![
            part("detections", "Truth and detections", or_why_not(&self.samples)),
            part("classes", "AP by class", table),
        ]
    }
}
