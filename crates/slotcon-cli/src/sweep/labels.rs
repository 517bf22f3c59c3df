//! What the runs of a sweep are worth against labels: `slotcon evaluate clusters` on each, remembered beside the run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::bail;
use serde_json::{Value, json};
use slotcon_data::labelled::{Classes, LabelLayout, pairs};
use slotcon_train::{RunDirectory, Stop};
use slotcon_weights::atomic_file::write_bytes;

use super::children::{Ended, Job, run_all};

/// Labelled pictures, if there are any.
#[derive(Debug, clap::Args)]
pub struct LabelArgs {
    /// Folder of labelled pictures on which every finished run is measured, as by evaluate clusters; with --labels.
    #[arg(long, value_name = "DIR", requires = "labels")]
    images: Option<PathBuf>,
    /// Folder of their label maps.
    #[arg(long, value_name = "DIR", requires = "images")]
    labels: Option<PathBuf>,
    /// As for evaluate clusters.
    #[arg(long, default_value_t, value_name = "NAME", requires = "images")]
    layout: LabelLayout,
    /// As for evaluate clusters; needed for the layout index.
    #[arg(long, value_name = "FILE", requires = "images")]
    classes: Option<PathBuf>,
    /// As for evaluate clusters.
    #[arg(long, value_name = "PIXELS", requires = "images", value_parser = clap::value_parser!(u32).range(33..=4096))]
    network_side: Option<u32>,
}

/// Measures that go into the table.
const MEASURES: [&str; 2] = ["miou", "pixel_accuracy"];

impl LabelArgs {
    /// Looks for the pictures and their labels before hours are spent on runs.
    ///
    /// # Errors
    /// A folder or file that cannot be used.
    pub fn check(&self) -> anyhow::Result<()> {
        let (Some(images), Some(labels)) = (&self.images, &self.labels) else {
            return Ok(());
        };
        match &self.classes {
            Some(file) => drop(Classes::open(file)?),
            None if self.layout.classes().is_none() => bail!(
                "--layout {} needs --classes FILE: {{\"classes\": [\"sky\", …], \"ignore_index\": 255}}",
                self.layout
            ),
            None => {}
        }
        pairs(images, labels, self.layout, None)?;
        Ok(())
    }

    /// The arguments after the checkpoint's; none without labels.
    fn arguments(&self, device: &str) -> Option<Vec<OsString>> {
        let (images, labels) = (self.images.as_ref()?, self.labels.as_ref()?);
        let mut arguments: Vec<OsString> = vec!["--images".into(), images.into(), "--labels".into()];
        arguments.extend([labels.into(), "--layout".into(), self.layout.name().into()]);
        if let Some(classes) = &self.classes {
            arguments.extend(["--classes".into(), classes.into()]);
        }
        if let Some(side) = self.network_side {
            arguments.extend(["--network-side".into(), side.to_string().into()]);
        }
        arguments.extend(["--device".into(), device.into(), "--json".into()]);
        Some(arguments)
    }

    /// Measures those of `runs` that have not been measured in this way since they ended, one after the other; how many could not
    /// be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn measure(&self, runs: &[&RunDirectory], device: &str, stop: &Stop) -> anyhow::Result<usize> {
        let Some(arguments) = self.arguments(device) else {
            return Ok(0);
        };
        let asked = json!(
            arguments
                .iter()
                .map(|word| word.to_string_lossy())
                .collect::<Vec<_>>()
        );
        let open: Vec<&&RunDirectory> = runs.iter().filter(|run| !is_measured(run, &asked)).collect();
        let jobs: Vec<Job> = open
            .iter()
            .map(|run| {
                let checkpoint: [OsString; 2] = ["--checkpoint".into(), run.root().into()];
                let mut all: Vec<OsString> = vec!["evaluate".into(), "clusters".into()];
                all.extend(checkpoint);
                all.extend(arguments.iter().cloned());
                Job {
                    name: format!("measuring {}", run.root().display()),
                    arguments: all,
                    log: run.root().with_extension("clusters.txt"),
                }
            })
            .collect();
        let mut failed = 0;
        run_all(&jobs, 1, stop, |number, how, _| {
            let said = std::fs::read_to_string(&jobs[number].log).unwrap_or_default();
            // Its last line; a log of a command that did well ends so.
            let last = said
                .lines()
                .rev()
                .find_map(|line| serde_json::from_str::<Value>(line).ok());
            match (how, last) {
                (Ended::Done, Some(result)) => {
                    let kept = json!({"asked": asked, "result": result});
                    write_bytes(&result_of(open[number]), kept.to_string().as_bytes())?;
                }
                (Ended::Stopped, _) => {}
                (Ended::Failed(reason), _) => {
                    failed += 1;
                    eprintln!("{}: FAILED: {reason}", jobs[number].name);
                }
                (Ended::Done, None) => {
                    failed += 1;
                    eprintln!("{}: FAILED: it gave no numbers", jobs[number].name);
                }
            }
            Ok(())
        })?;
        Ok(failed)
    }

    /// What was measured of a run, by name.
    pub fn measured(&self, run: &RunDirectory) -> Vec<(String, f64)> {
        if self.images.is_none() {
            return Vec::new();
        }
        let kept = kept(run).unwrap_or_default();
        let value = |name: &str| Some((name.to_owned(), kept["result"][name].as_f64()?));
        MEASURES.into_iter().filter_map(value).collect()
    }
}

/// Where the numbers of a run are kept: beside it, since the folder is the run's own.
fn result_of(run: &RunDirectory) -> PathBuf {
    run.root().with_extension("clusters.json")
}

fn kept(run: &RunDirectory) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(result_of(run)).ok()?).ok()
}

/// Whether the run was measured with these arguments after its last checkpoint was written.
fn is_measured(run: &RunDirectory, asked: &Value) -> bool {
    let written = |path: PathBuf| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
    let newer = written(result_of(run)) >= written(run.last());
    newer && kept(run).is_some_and(|kept| kept["asked"] == *asked)
}
