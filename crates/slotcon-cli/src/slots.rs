//! `slotcon slots`: what each prototype stands for.

use std::path::PathBuf;

use anyhow::bail;
use slotcon_eval::Names;
use slotcon_eval::survey::{Config, survey};
use slotcon_report::gallery;
use slotcon_weights::atomic_file::AtomicFile;

use crate::arguments::{FolderArgs, GroupsArg, NetworkArgs, exit, say_orientation};
use crate::progress_bar::PictureBar;
use crate::status::Status;

/// Show what was learned: for each prototype the pictures that show it best, with its mask. Best are those with the highest
/// mean cosine similarity of the places where the prototype wins, as in the official gallery. With --groups the same of the groups
/// that slotcon group found, by their probability. On the page one gives them names, joins several under one, and saves names.json for
/// segment and evaluate clusters.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    groups: GroupsArg,
    #[command(flatten)]
    pictures: FolderArgs,
    /// Where to put the gallery. FILE.html is one page that needs no network: search, zoom, and the most similar places
    /// elsewhere at a click. FILE.png is one picture.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Pictures a prototype.
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    top: u16,
    /// These prototypes (or groups) only, e.g. 3,17,40. Without it: all that win somewhere, at most 256, the largest first.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    prototypes: Option<Vec<usize>>,
    /// Begin with these names (the page saves them). Those of another checkpoint with as many prototypes are taken over with a warning:
    /// see whether they still fit, and save them again.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Cut out the central square first, as the official gallery does.
    #[arg(long)]
    square: bool,
}

/// Runs the subcommand. A picture that cannot be used is named and passed over; the exit status tells.
///
/// # Errors
/// A checkpoint, folder or output file that cannot be used; no picture that can.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let html = match args.out.extension().and_then(|e| e.to_str()) {
        Some("html" | "htm") => true,
        Some("png") => false,
        _ => bail!(
            "{}: name the gallery with the ending .html (a page) or .png (a picture)",
            args.out.display()
        ),
    };
    if !html && let Some(folder) = args.pictures.folder_of(&args.out) {
        bail!(
            "{}: lies in {}, where it would be taken for a photo the next time; choose another place, or a page (.html)",
            args.out.display(),
            folder.display()
        );
    }
    if !html && args.names.is_some() {
        bail!(
            "{}: names are for the page; name the gallery with the ending .html",
            args.out.display()
        );
    }
    let segmenter = args.groups.of(args.network.open()?)?;
    let names = match &args.names {
        Some(file) => {
            let (names, note) = Names::adopt(file, &segmenter)?;
            if let Some(note) = note {
                eprintln!("warning: {note}");
            }
            names
        }
        None => Names::none(&segmenter)?,
    };
    let pictures = args.pictures.open(args.square)?;
    let config = Config {
        top: usize::from(args.top),
        prototypes: args.prototypes.clone(),
        ..Config::default()
    };
    // A place that cannot be written is said now, not after all pictures have been looked at.
    drop(AtomicFile::begin(&args.out)?);
    let mut bar = PictureBar::default();
    let survey = survey(&segmenter, &pictures, &config, &mut bar)?;
    if html {
        let source = args.network.checkpoint.display().to_string();
        gallery::write_html(
            &args.out, &source, &segmenter, &pictures, &survey, &names, &mut bar,
        )?;
    } else {
        gallery::write_png(&args.out, &segmenter, &pictures, &survey, &mut bar)?;
    }
    bar.finish();
    say_orientation();
    eprintln!(
        "{} {}s, {} of them win somewhere in {} pictures; {} are shown in {}; {} pictures could not be used",
        survey.ranking.prototypes(),
        segmenter.cluster_word(),
        survey.ranking.by_size().len(),
        survey.ranking.looked_at(),
        survey.shown.len(),
        args.out.display(),
        survey.bad.count
    );
    Ok(exit(survey.bad.count))
}
