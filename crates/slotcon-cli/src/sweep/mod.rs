//! `slotcon sweep`: one recipe with some keys varied, from several seeds.

mod children;
mod combinations;
mod labels;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use slotcon::recipe::Recipe;
use slotcon_report::sweep::{Sweep, SweepRun};
use slotcon_train::{RunDirectory, Stop, TaskRecipe};
use slotcon_weights::atomic_file::{WriteError, write_bytes};

use crate::run_arguments::{published, set_length};
use crate::status::Status;
use children::{Ended, Job, run_all};
use combinations::{Combination, Vary, combinations};
use labels::LabelArgs;

/// Train a recipe with some keys varied, each combination from several seeds, and compare: one table, one page with curves.
///
/// Leaves in OUT: COMBINATION/seed-S, the run directory of each run, with what it said in seed-S.txt beside it; sweep.csv, a line
/// a run; sweep.html, mean ± standard deviation over seeds and curves. The same command again repeats no run that is
/// finished and goes on with those that are not. A run that fails is told and counted, and the others go on.
#[derive(Debug, clap::Args)]
#[command(after_help = published::<Recipe>())]
pub struct Args {
    /// A published recipe by name, or a TOML file with any part of one.
    #[arg(value_name = "RECIPE")]
    recipe: String,
    /// Folder of pictures, searched with all its subfolders; several are taken together.
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// Folder of the sweep.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A key of the recipe and its values, e.g. --vary model.prototypes=16,24,48. Several keys: every value of one with every value
    /// of the others.
    #[arg(long, value_name = "SECTION.KEY=VALUE,...", value_parser = Vary::parse)]
    vary: Vec<Vary>,
    /// Change one key of the recipe for all runs.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Length of every run in steps. Short for --set run.steps=… --set run.stop_at=0.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Runs of each combination, with the seeds 0 to N-1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    /// Runs at a time. They share the processor's cores evenly, unless run.threads says otherwise.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N: of every run.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Say which runs there would be, and begin none.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    labels: LabelArgs,
}

/// A run to be.
struct Planned<'a> {
    combination: &'a Combination,
    seed: u64,
    recipe: Recipe,
    settings: Vec<String>,
    directory: RunDirectory,
    /// What is known of it once it is finished.
    mark: PathBuf,
}

/// What a finished run was made of: another one must be run again.
#[derive(PartialEq, Serialize, Deserialize)]
struct Mark {
    data: Vec<PathBuf>,
    recipe: String,
}

/// Runs the subcommand.
///
/// # Errors
/// A key or value that no recipe has, a folder that cannot be used: before the first run. What the file system says.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let combinations = combinations(&args.vary)?;
    let planned = args.plan(&combinations)?;
    args.labels.check()?;
    let (finished, open): (Vec<&Planned>, Vec<&Planned>) =
        planned.iter().partition(|run| args.is_finished(run));
    if args.dry_run {
        for run in &planned {
            let state = match finished.iter().any(|done| std::ptr::eq(*done, run)) {
                true => "finished",
                false if run.directory.last().exists() => "to go on with",
                false => "to begin",
            };
            out!("{}  {state}", run.directory.root().display());
        }
        eprintln!("{} runs, {} of them finished", planned.len(), finished.len());
        return Ok(Status::DONE);
    }
    eprintln!(
        "{} combinations x {} seeds: {} runs, {} of them finished",
        combinations.len(),
        args.seeds,
        planned.len(),
        finished.len()
    );

    let stop = Stop::on_signals()?;
    let failed = args.train(&open, &stop)?;
    let (results, unmeasured) = args.results(&planned, &stop)?;
    let sweep = Sweep::read(results)?;
    let (csv, html) = (args.out.join("sweep.csv"), args.out.join("sweep.html"));
    write_bytes(&csv, sweep.csv().as_bytes())?;
    sweep.write_page(&html, &format!("Sweep of {}", args.recipe))?;
    out!("{}", sweep.text().trim_start());
    eprintln!("table: {}; page: {}", csv.display(), html.display());
    if failed + unmeasured > 0 {
        eprintln!(
            "{failed} of {} runs failed, {unmeasured} could not be measured; the same command goes on with them",
            planned.len()
        );
        return Ok(Status::FAILED);
    }
    Ok(match stop.requested() {
        true => Status::STOPPED,
        false => Status::DONE,
    })
}

impl Args {
    /// Every run with its recipe; all of them are checked. Seed by seed, so that all combinations can be compared early.
    fn plan<'a>(&self, combinations: &'a [Combination]) -> anyhow::Result<Vec<Planned<'a>>> {
        let mut common = self.set.clone();
        set_length(&mut common, self.steps);
        let load = |settings: &[String]| Recipe::load(&self.recipe, settings);
        let base = load(&common)?;
        if self.jobs > 1 && base.run.threads == 0 {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            common.push(format!("run.threads={}", (cores / usize::from(self.jobs)).max(1)));
        }
        // Each value alone first, so that an error names one key.
        for setting in self.vary.iter().flat_map(Vary::settings) {
            load(&[common.clone(), vec![setting.clone()]].concat())
                .with_context(|| format!("--vary {setting}"))?;
        }
        let mut planned = Vec::new();
        for seed in 0..u64::from(self.seeds) {
            for combination in combinations {
                let seeded = vec![format!("run.seed={seed}")];
                let settings = [common.clone(), combination.settings.clone(), seeded].concat();
                let folder = self.out.join(&combination.folder);
                planned.push(Planned {
                    combination,
                    seed,
                    recipe: load(&settings).with_context(|| combination.title.clone())?,
                    settings,
                    directory: RunDirectory::at(&folder.join(format!("seed-{seed}"))),
                    mark: folder.join(format!("seed-{seed}.finished.json")),
                });
            }
        }
        for folder in &self.data {
            if !folder.exists() {
                bail!("--data {}: is not there", folder.display());
            }
        }
        Ok(planned)
    }

    fn mark(&self, run: &Planned) -> anyhow::Result<Mark> {
        // How many cores it had changes nothing that is compared.
        let recipe = run.recipe.with(&["run.threads=0".into()])?;
        let absolute = |folder: &PathBuf| std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        Ok(Mark {
            data: self.data.iter().map(absolute).collect(),
            recipe: recipe.to_toml()?,
        })
    }

    fn is_finished(&self, run: &Planned) -> bool {
        let mark: Option<Mark> = std::fs::read(&run.mark)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let wanted = self.mark(run).ok();
        mark.is_some() && mark == wanted && run.directory.last().exists()
    }

    /// Trains what is open; how many runs failed.
    fn train(&self, open: &[&Planned], stop: &Stop) -> anyhow::Result<usize> {
        let jobs: Vec<Job> = open.iter().map(|run| self.job(run)).collect();
        for run in open {
            let folder = run.directory.root().parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder).map_err(|e| WriteError::new(folder, e))?;
        }
        let (mut ended, mut failed) = (0, 0);
        run_all(&jobs, self.jobs.into(), stop, |number, how, took| {
            ended += 1;
            let (run, name) = (open[number], &jobs[number].name);
            let said = match how {
                Ended::Done => {
                    write_bytes(&run.mark, &serde_json::to_vec_pretty(&self.mark(run)?)?)?;
                    "done".to_owned()
                }
                Ended::Stopped => "stopped; the same command goes on with it".into(),
                Ended::Failed(reason) => {
                    failed += 1;
                    format!("FAILED: {reason}")
                }
            };
            eprintln!("{ended} of {}: {name}: {said} ({})", jobs.len(), duration(took));
            Ok(())
        })?;
        Ok(failed)
    }

    fn job(&self, run: &Planned) -> Job {
        let mut arguments: Vec<OsString> = vec!["pretrain".into(), "--recipe".into(), (&self.recipe).into()];
        for folder in &self.data {
            arguments.extend(["--data".into(), folder.into()]);
        }
        arguments.extend(["--out".into(), run.directory.root().into()]);
        arguments.extend(["--device".into(), (&self.device).into(), "--resume-if-any".into()]);
        for setting in &run.settings {
            arguments.extend(["--set".into(), setting.into()]);
        }
        Job {
            name: format!("{}, seed {}", run.combination.title, run.seed),
            arguments,
            log: run.directory.root().with_extension("txt"),
        }
    }

    /// What all runs amount to, measured with labels where there are any; how many finished ones could not be measured.
    fn results(&self, planned: &[Planned], stop: &Stop) -> anyhow::Result<(Vec<SweepRun>, usize)> {
        let finished: Vec<bool> = planned.iter().map(|run| self.is_finished(run)).collect();
        let to_measure = planned.iter().zip(&finished).filter(|(_, finished)| **finished);
        let to_measure: Vec<&RunDirectory> = to_measure.map(|(run, _)| &run.directory).collect();
        let failed = self.labels.measure(&to_measure, &self.device, stop)?;
        let results = planned.iter().zip(finished).map(|(run, finished)| SweepRun {
            combination: run.combination.title.clone(),
            seed: run.seed,
            finished,
            measured: match finished {
                true => self.labels.measured(&run.directory),
                false => Vec::new(),
            },
            directory: run.directory.clone(),
        });
        Ok((results.collect(), failed))
    }
}

fn duration(took: Duration) -> String {
    match took.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}
