//! Which network a command looks through: the same words in every subcommand.

use std::path::PathBuf;
use std::process::ExitCode;

use slotcon::method::Branch;
use slotcon_eval::Segmenter;
use slotcon_train::device;

/// A checkpoint's network, and where it computes.
#[derive(Debug, clap::Args)]
pub struct NetworkArgs {
    /// Checkpoint of a run.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Use the network trained by gradient instead of its moving average.
    #[arg(long)]
    student: bool,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
}

impl NetworkArgs {
    /// Opens it.
    ///
    /// # Errors
    /// A device that is not there, a checkpoint that cannot be used.
    pub fn open(&self) -> anyhow::Result<Segmenter> {
        let branch = if self.student {
            Branch::Student
        } else {
            Branch::Teacher
        };
        let device = device::parse(&self.device)?;
        Ok(Segmenter::open(&self.checkpoint, branch, device)?)
    }
}

/// How a command ends that could not use `bad` of its pictures.
pub fn exit(bad: usize) -> ExitCode {
    match bad {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
