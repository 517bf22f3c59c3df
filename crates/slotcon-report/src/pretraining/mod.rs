//! The report of a pretraining run: segments, prototypes and the health of the groups, in the frame of [`crate::run`].

mod health;
mod samples;

use std::path::{Path, PathBuf};

use slotcon::health_limits::{AGREEMENT, BALANCE, UNCERTAINTY, group_loss_without_agreement, in_use};
use slotcon::method::Branch;
use slotcon::recipe::Recipe;
use slotcon_data::source::from_readable;
use slotcon_eval::Segmenter;
use slotcon_train::{RunDirectory, TaskRecipe};
use tch::Device;

use crate::curve::CurveSpec;
use crate::error::Error;
use crate::page::{escape, percent};
use crate::panel::{Figure, Panel, Section};
use crate::run::Run;
use crate::run::health_check::HealthCheck;
use crate::run::record::Record;
use samples::{Samples, samples};

/// The curves of a pretraining beside its loss: key of `metrics.jsonl` and title.
pub(crate) const CURVES: [(&str, &str); 10] = [
    ("group_loss", "Group loss"),
    ("slot_loss", "Slot loss"),
    ("groups.in_use", "Prototypes in use"),
    ("groups.balance", "Balance of the groups"),
    ("groups.uncertainty", "Uncertainty"),
    ("groups.agreement", "Student and teacher agree"),
    ("groups.slots_per_picture", "Slots a picture"),
    (
        "validation.mutual_information",
        "Information that two views share, nats",
    ),
    ("validation.border_contrast", "Colour contrast at borders"),
    ("teacher_momentum", "Teacher's momentum"),
];

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to look for pictures instead of the folders that the run used.
    pub data: Option<Vec<PathBuf>>,
    /// Where the network computes.
    pub device: Device,
}

/// Writes the report of the run in `directory` to `path`. Pictures or checkpoints that cannot be used are said in the page.
///
/// # Errors
/// A folder that holds no run; files of it that cannot be read; a page that cannot be written (nothing half-written stays).
pub fn write_report(directory: RunDirectory, path: &Path, options: &Options) -> Result<(), Error> {
    let run = Run::read(directory)?;
    let panel = Pretraining::of(&run, options)?;
    run.write_report(path, &panel)
}

/// The part of the report that knows of prototypes.
#[derive(Debug)]
struct Pretraining {
    recipe: Recipe,
    /// What the network makes of some pictures, or why there is nothing to show.
    samples: Result<Samples, String>,
}

impl Pretraining {
    fn of(run: &Run, options: &Options) -> Result<Self, Error> {
        let place = run.directory().recipe().display().to_string();
        let recipe = Recipe::from_toml(run.recipe_text(), &place)?;
        Ok(Self {
            samples: look(run, &recipe, options),
            recipe,
        })
    }
}

/// Segments and prototypes, or why there are none.
fn look(run: &Run, recipe: &Recipe, options: &Options) -> Result<Samples, String> {
    let data = options.data.clone().or_else(|| {
        run.sessions()
            .last()
            .map(|s| s.data.iter().map(|text| from_readable(text)).collect())
    });
    let data = data.ok_or(
        "the run does not say where its pictures are; name them with `slotcon report RUN --data DIR`.",
    )?;
    let checkpoint = run.directory().last();
    let segmenter =
        Segmenter::open(&checkpoint, Branch::Teacher, options.device).map_err(|e| e.to_string())?;
    // A folder named by hand is taken as it is.
    let layout = match options.data {
        Some(_) => slotcon_data::Layout::Folder,
        None => recipe.data.layout,
    };
    samples(&segmenter, &data, layout).map_err(|e| e.to_string())
}

impl Panel for Pretraining {
    fn facts(&self) -> Vec<String> {
        let model = &self.recipe.model;
        vec![
            format!("{}, {} prototypes", escape(&model.arch), model.prototypes),
            format!("batch {}", self.recipe.optim.batch),
        ]
    }

    fn curves(&self) -> Vec<CurveSpec> {
        let k = self.recipe.model.prototypes;
        let curve = |(key, title)| {
            let spec = CurveSpec::new(key, title);
            match key {
                "group_loss" => spec.with_reference(group_loss_without_agreement(k), "2 ln K"),
                "groups.in_use" => spec.with_normal(in_use(k)),
                "groups.balance" => spec.with_normal(BALANCE),
                "groups.uncertainty" => spec.with_normal(UNCERTAINTY),
                "groups.agreement" => spec.with_normal(AGREEMENT),
                _ => spec,
            }
        };
        CURVES.map(curve).into()
    }

    fn figures(&self, record: &Record) -> Vec<Figure> {
        let k = self.recipe.model.prototypes;
        let figure = |key: &str, name, shown: &dyn Fn(f64) -> String| {
            let value = record.curve(key).recent()?;
            Some(Figure {
                name,
                value: shown(value),
            })
        };
        let in_use = |share: f64| format!("{:.0} of {k}", share * k as f64);
        let all = [
            figure("groups.in_use", "Prototypes in use", &in_use),
            figure("groups.agreement", "Agreement", &percent),
        ];
        all.into_iter().flatten().collect()
    }

    fn health(&self, record: &Record) -> Vec<HealthCheck> {
        health::checks(record, self.recipe.model.prototypes)
    }

    fn sections(&self) -> Vec<Section> {
        let (segments, prototypes) = match &self.samples {
            Ok(samples) => (samples.segments.clone(), samples.prototypes.clone()),
            Err(reason) => {
                let text = format!("<p class=\"card\">Nothing to show: {}</p>\n", escape(reason));
                (text.clone(), text)
            }
        };
        let part = |id, title, html| Section { id, title, html };
        vec![
            part("segments", "Segments", segments),
            part("prototypes", "Prototypes", prototypes),
        ]
    }
}
