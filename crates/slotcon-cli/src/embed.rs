//! `slotcon embed`: features of a folder for other programs.

use std::path::PathBuf;

use slotcon_eval::embed::{self, Config, Number, What};

use crate::arguments::{FolderArgs, NetworkArgs, exit, say_orientation};
use crate::export::free;
use crate::progress_bar::PictureBar;
use crate::status::Status;

/// Write what the network makes of a folder of pictures to a file, one row a picture, in memory that does not grow with the
/// folder. Pictures are resized and cut to the central square.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    pictures: FolderArgs,
    /// FILE.safetensors, with the file names as JSON lines in its tensor `names`; or FILE.npy, with FILE.names.jsonl
    /// beside it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace FILE if it exists.
    #[arg(long)]
    overwrite: bool,
    /// dense: the projector's output at every place; slots: the mean feature of each prototype's group, and which of them
    /// count; global: the backbone's output averaged over the picture.
    #[arg(long, value_enum, default_value_t = Kind::Dense)]
    what: Kind,
    /// float32, or float16 for half the size.
    #[arg(long, value_enum, default_value_t = Dtype::Float32)]
    dtype: Dtype,
    /// Pictures that pass the network at a time.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Dense,
    Slots,
    Global,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Dtype {
    Float32,
    Float16,
}

/// Runs the subcommand. A picture that cannot be used is named and leaves no row; the exit status tells.
///
/// # Errors
/// A checkpoint, folder or output file that cannot be used; no picture that can.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    free(&args.out, args.overwrite)?;
    let segmenter = args.network.open()?;
    let pictures = args.pictures.open(true)?;
    let config = Config {
        what: match args.what {
            Kind::Dense => What::Dense,
            Kind::Slots => What::Slots,
            Kind::Global => What::Global,
        },
        number: match args.dtype {
            Dtype::Float32 => Number::F32,
            Dtype::Float16 => Number::F16,
        },
        batch: usize::from(args.batch),
        source: args.network.checkpoint.display().to_string(),
    };
    let mut bar = PictureBar::default();
    let written = embed::write(&args.out, &segmenter, &pictures, &config, &mut bar)?;
    bar.finish();
    say_orientation();
    eprintln!(
        "{} {:?} in {}; {} pictures could not be used",
        config.what.name(),
        written.shape,
        args.out.display(),
        written.bad
    );
    Ok(exit(written.bad))
}
