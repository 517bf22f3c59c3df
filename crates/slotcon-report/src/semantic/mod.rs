//! The report of fine-tuning for semantic segmentation: IoU by class, and pictures beside truth and prediction, in the frame of
//! [`crate::run`].

mod confusion;

use std::path::Path;

use slotcon_data::labelled::{ClassTable, Classes, LabelMap, Pair, Palette};
use slotcon_data::picture::{DecodeOptions, Picture, decode_rgb};
use slotcon_data::resize::{resize_labels, resize_short_side};
use slotcon_data::sampler::evenly;
use slotcon_eval::segment::masks::overlay;
use slotcon_train::{RunDirectory, TaskRecipe};
use slotcon_transfer::semantic::{FineTuned, SemanticRecipe};
use tch::Device;

use crate::curve::CurveSpec;
use crate::error::Error;
use crate::page::{escape, image};
use crate::panel::{Figure, Panel, Section, or_why_not, shares, table_by_class};
use crate::run::Run;
use crate::run::health_check::HealthCheck;
use crate::run::record::Record;

/// Pictures shown.
const SHOWN: usize = 6;
/// Short side of pictures in the page.
const SIDE: u32 = 220;

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Labelled pictures to show; empty: none.
    pub pairs: Vec<Pair>,
    /// What the numbers in their maps mean.
    pub classes: Option<Classes>,
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
    let panel = Semantic {
        recipe: SemanticRecipe::from_toml(run.recipe_text(), &place)?,
        samples: samples(run.directory(), options),
        last: last_validation(run.directory()),
        confusion: confusion::of(run.directory()),
    };
    run.write_report(path, &panel)
}

/// The part of the report that knows of classes.
#[derive(Debug)]
struct Semantic {
    recipe: SemanticRecipe,
    /// Pictures beside truth and prediction as HTML, or why there are none.
    samples: Result<String, String>,
    /// IoU by class of the last validation.
    last: Vec<(String, Option<f64>)>,
    /// What the last validation took for what, as HTML.
    confusion: Option<String>,
}

/// IoU by class in the last line of `metrics.jsonl` that has any.
fn last_validation(directory: &RunDirectory) -> Vec<(String, Option<f64>)> {
    let text = std::fs::read_to_string(directory.metrics()).unwrap_or_default();
    let lines = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str(line).ok());
    let found = lines
        .into_iter()
        .find_map(|line: serde_json::Value| line.get("iou")?.as_object().cloned());
    let named = found.into_iter().flatten();
    named.map(|(name, value)| (name, value.as_f64())).collect()
}

fn samples(directory: &RunDirectory, options: &Options) -> Result<String, String> {
    let (Some(classes), false) = (&options.classes, options.pairs.is_empty()) else {
        return Err("the report that the run itself writes shows pictures kept for measuring; this one was made without them".into());
    };
    let checkpoint = directory.best_or_last().ok_or("there is no checkpoint yet")?;
    let network = FineTuned::open(&checkpoint, options.device).map_err(|e| e.to_string())?;
    let table = ClassTable::new(classes)?;
    let mut html = String::from("<div class=\"samples\">\n");
    for i in evenly(options.pairs.len(), SHOWN) {
        let pair = &options.pairs[i];
        html += &sample(&network, pair, &table).map_err(|e| format!("{}: {e}", pair.picture.display()))?;
    }
    Ok(html + "</div>\n")
}

/// One picture: itself, the truth over it, the prediction over it.
fn sample(network: &FineTuned, pair: &Pair, table: &ClassTable) -> Result<String, String> {
    let picture = decode_rgb(&pair.picture, &DecodeOptions::default()).map_err(|e| e.to_string())?;
    let mut classes = Vec::new();
    let (width, height) = table
        .read(&pair.labels, &mut classes)
        .map_err(|e| e.to_string())?;
    let truth = LabelMap::new(width, height, classes.into_iter().map(u16::from).collect());
    let found = network.evaluator().classes(&picture).map_err(|e| e.to_string())?;
    let small = resize_short_side(&picture, SIDE);
    let palette = Palette(&network.recipe().data.palette);
    let over = |map: &LabelMap| {
        let ids = resize_labels(map, small.width(), small.height());
        overlay(&small, ids.ids(), palette)
    };
    let name = pair
        .picture
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let shown =
        |picture: &Picture, what: &str| image(picture, &format!("{what} {name}")).map_err(|e| e.to_string());
    Ok(format!(
        "<figure class=\"card\"><div class=\"pair\">{}{}{}</div><figcaption class=\"quiet small\">{}: picture, truth, prediction\
         </figcaption></figure>\n",
        shown(&small, "The picture")?,
        shown(&over(&truth), "The truth in")?,
        shown(&over(&found), "The prediction in")?,
        escape(&name)
    ))
}

impl Panel for Semantic {
    fn facts(&self) -> Vec<String> {
        let model = &self.recipe.model;
        let frozen = if model.freeze_backbone {
            ", backbone frozen"
        } else {
            ""
        };
        vec![
            format!(
                "{} at output stride {}{frozen}",
                escape(&model.arch),
                model.output_stride
            ),
            format!("{} classes", self.recipe.data.classes.len()),
            format!("batch {}", self.recipe.optim.batch),
        ]
    }

    fn curves(&self) -> Vec<CurveSpec> {
        vec![
            CurveSpec::new("decode_loss", "Loss of the head"),
            CurveSpec::new("auxiliary_loss", "Loss of the auxiliary head"),
            CurveSpec::new("validation.miou", "mIoU on pictures kept for measuring"),
            CurveSpec::new("validation.pixel_accuracy", "Pixel accuracy on them"),
        ]
    }

    fn figures(&self, record: &Record) -> Vec<Figure> {
        shares(
            record,
            &[
                ("validation.miou", "mIoU"),
                ("validation.pixel_accuracy", "Pixel accuracy"),
            ],
        )
    }

    fn health(&self, _record: &Record) -> Vec<HealthCheck> {
        Vec::new()
    }

    fn sections(&self) -> Vec<Section> {
        let rows = self
            .last
            .iter()
            .map(|(name, iou)| (name, std::slice::from_ref(iou)));
        let table = table_by_class(&["IoU"], rows);
        let part = |id, title, html| Section { id, title, html };
        let mut all = vec![
            part("segments", "Truth and prediction", or_why_not(&self.samples)),
            part("classes", "IoU by class", table),
        ];
        all.extend(
            self.confusion
                .clone()
                .map(|html| part("confusion", "Confusion", html)),
        );
        all
    }
}
