//! `slotcon report`: a run on one page; and the same after every run.

use std::path::{Path, PathBuf};

use anyhow::bail;
use slotcon_report::{instances, pretraining, semantic};
use slotcon_train::checkpoint::About;
use slotcon_train::{Outcome, RunDirectory, RunError, TaskRecipe, device};
use slotcon_transfer::instances::InstancesRecipe;
use slotcon_transfer::semantic::SemanticRecipe;
use tch::Device;

use crate::arguments::DeviceArg;
use crate::status::Status;

/// Write RUN/report.html: health with advice, segments, prototypes, curves, what went wrong, environment and recipe of a run,
/// on one page that needs no network. `slotcon pretrain` does so by itself when it ends; this does it again, of a run that
/// still goes on as well.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run directory.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where to put the page [default: RUN/report.html].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder of pictures to show, if not those that the run learns from; several are taken together.
    #[arg(long, value_name = "DIR")]
    data: Option<Vec<PathBuf>>,
    #[command(flatten)]
    device: DeviceArg,
}

/// Runs the subcommand.
///
/// # Errors
/// A folder that holds no run; a page that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let directory = RunDirectory::at(&args.run);
    if !directory.recipe().exists() {
        bail!(
            "{}: is no run directory, there is no recipe.toml in it",
            args.run.display()
        );
    }
    let device = device::parse(&args.device.asked)?;
    let path = args.out.clone().unwrap_or_else(|| directory.report());
    let task = About::open(&directory.last()).ok().map(|last| last.task);
    if task.as_deref() == Some(SemanticRecipe::TASK) {
        let options = semantic::Options {
            pairs: Vec::new(),
            classes: None,
            device,
        };
        semantic::write_report(directory, &path, &options)?;
    } else if task.as_deref() == Some(InstancesRecipe::TASK) {
        let options = instances::Options {
            pictures: None,
            device,
        };
        instances::write_report(directory, &path, &options)?;
    } else {
        let options = pretraining::Options {
            data: args.data.clone(),
            device,
        };
        pretraining::write_report(directory, &path, &options)?;
    }
    eprintln!("report: {}", path.display());
    Ok(Status::DONE)
}

/// Writes the report of a task's run: directory, place of the page, device.
pub type Write<'a> = &'a dyn Fn(RunDirectory, &Path, Device) -> Result<(), slotcon_report::Error>;

/// The report of pretraining.
///
/// # Errors
/// See [`pretraining::write_report`].
pub fn of_pretraining(
    directory: RunDirectory,
    path: &Path,
    device: Device,
) -> Result<(), slotcon_report::Error> {
    pretraining::write_report(directory, path, &pretraining::Options { data: None, device })
}

/// Leaves the report of a run that has begun, however it ended, and gives its exit status. Before it began, the directory may
/// hold another run, which is not touched.
///
/// # Errors
/// What ended the run.
pub fn of_run(
    outcome: Result<Outcome, RunError>,
    run: &slotcon_train::Options,
    write: Write,
) -> anyhow::Result<Status> {
    let began = outcome.as_ref().map_or_else(|error| error.began, |_| true);
    if began && run.launch.rank == 0 {
        after_run(&run.out, &run.device, write);
    }
    Ok(if outcome?.stopped() {
        Status::STOPPED
    } else {
        Status::DONE
    })
}

/// Writes the report of a run that has just ended. Whatever goes wrong is said and does not change how the run ended.
pub fn after_run(out: &Path, asked_device: &str, write: Write) {
    let directory = RunDirectory::at(out);
    eprintln!("writing the report ...");
    let path = directory.report();
    let written = slotcon_data::caught::catch(|| -> anyhow::Result<()> {
        Ok(write(directory, &path, device::parse(asked_device)?)?)
    });
    match written {
        Ok(Ok(())) => eprintln!("report: {}", path.display()),
        Ok(Err(error)) => eprintln!("warning: no report was written: {error:#}"),
        Err(text) => eprintln!("warning: no report was written: {text}"),
    }
}
