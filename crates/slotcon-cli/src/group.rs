//! `slotcon group`: as many groups as one asks for, found in photos after training.

use std::path::PathBuf;

use slotcon_eval::groups::{GroupConfig, find};

use crate::arguments::{FolderArgs, NetworkArgs, exit, say_orientation};
use crate::export::free;
use crate::progress_bar::PictureBar;
use crate::status::Status;
use crate::what_next::segment;

/// What k-means sees, some 20,000 places, does not grow with the pictures, and time does.
const UNLESS_TOLD: u32 = 500;

/// Find a number of groups in photos without labels, in what the backbone learned, and write them to a file that slots, segment and
/// evaluate clusters take (--groups FILE) in place of the prototypes.
///
/// The features of all places are whitened by how they change with the colours of a picture and between neighbouring places without an
/// edge, and parted finely by k-means; then parts are joined, the two with the smallest mean distance first, until
/// the number is reached. Parts are near where their features are alike and colours hardly change where they meet. Pictures are looked at
/// as they are and mirrored, twice each, and in two other colourings: a second or so a picture on one core. Of a folder of more than
/// 500 so many are looked at, evenly spread, unless --limit says another number.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    pictures: FolderArgs,
    /// FILE.safetensors for what was found.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace FILE if it exists.
    #[arg(long)]
    overwrite: bool,
    /// How many groups. Where there are labels to measure by: the number of classes.
    #[arg(long, value_name = "K", default_value_t = GroupConfig::default().groups as u16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    groups: u16,
    /// How many parts k-means makes first [default: four a group].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    parts: Option<u16>,
    /// The stage of the backbone whose features are compared, 1 to 4. Earlier ones know textures: for short runs.
    #[arg(long, value_name = "N", default_value_t = GroupConfig::default().stage, value_parser = clap::value_parser!(u8).range(1..=4))]
    stage: u8,
    /// What the height of a place in its picture weighs, its spread over that of the features; 0: nothing [default: 1.5 times the
    /// standard deviation of the features that heights explain: much where the sky is always above, little where any side may be up]
    #[arg(long, value_name = "W")]
    height: Option<f64>,
    /// What the place from left to right weighs, in the same way: something where a camera always looks the same way, little else [default:
    /// told by the pictures as the height is]
    #[arg(long, value_name = "W")]
    across: Option<f64>,
    /// Decides the places looked at and where k-means begins.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs the subcommand. A picture that cannot be used is named and left out; the exit status tells.
///
/// # Errors
/// A checkpoint, folder or output file that cannot be used; no picture that can; numbers that do not fit each other.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    free(&args.out, args.overwrite)?;
    let segmenter = args.network.open()?;
    let pictures = args.pictures.or_at_most(UNLESS_TOLD).open(false)?;
    let mut config = GroupConfig {
        stage: args.stage,
        height: args.height,
        across: args.across,
        seed: args.seed,
        ..GroupConfig::new(args.groups.into())
    };
    if let Some(parts) = args.parts {
        config.parts = parts.into();
    }
    let mut bar = PictureBar::default();
    let (found, bad) = find(&segmenter, &pictures, &config, &mut bar)?;
    bar.finish();
    found.save(&args.out)?;
    say_orientation();
    eprintln!(
        "{}\n{}: {} pictures could not be used\nnext, masks of them:\n  {}",
        found.protocol(),
        args.out.display(),
        bad.count,
        segment(
            &args.network.checkpoint.to_string_lossy(),
            &args.out.to_string_lossy(),
            "masks",
            &["PHOTOS"]
        )
    );
    Ok(exit(bad.count))
}
