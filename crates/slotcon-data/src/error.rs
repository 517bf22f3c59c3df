//! What can go wrong, in two kinds: errors that end a run ([`Error`]) and errors that cost one picture ([`PictureError`]).

use std::path::PathBuf;

/// The result of whatever concerns a data set or a run as a whole.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that concerns the data set or the run as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given as data does not exist.
    #[error("{path}: no such file or folder; give the folder that holds the pictures", path = path.display())]
    Missing {
        /// The path as given.
        path: PathBuf,
    },
    /// A file that is neither a list of paths nor a tar file.
    #[error(
        "{path}: is neither a folder of pictures, nor a text file of their paths (.txt), nor a tar file of them (.tar, \
         not compressed)",
        path = path.display()
    )]
    NotASource {
        /// The path as given.
        path: PathBuf,
    },
    /// A pattern of names that cannot be expanded.
    #[error("{pattern}: cannot be expanded; a pattern is written as train-{{000..127}}.tar or {{a,b}}.tar")]
    Pattern {
        /// The pattern as given.
        pattern: String,
    },
    /// A tar file that is broken or cut short.
    #[error("{path}: is not a whole tar file: {source}", path = path.display())]
    Shard {
        /// The tar file.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// There is nothing to train on.
    #[error(
        "{path}: no picture found below it (looked for JPEG, PNG, WebP, TIFF, BMP, GIF and PNM, in all subfolders){}",
        left_out.iter().map(|line| format!("\n  {line}")).collect::<String>(),
        path = path.display()
    )]
    NoPictures {
        /// The folder searched.
        path: PathBuf,
        /// What was left out there, and why.
        left_out: Vec<String>,
    },
    /// A pattern of files to be excluded that is none.
    #[error("data.exclude: the pattern '{pattern}' cannot be used: {reason}; write e.g. *.seg.png or old/**")]
    Exclude {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tar file that is packed as a whole: pictures in it cannot be read where they lie.
    #[error("{path}: is packed by {kind}; pictures are read where they lie in a tar file, so unpack it first ({kind} -d)", path = path.display())]
    Packed {
        /// The tar file.
        path: PathBuf,
        /// The program that packed it.
        kind: &'static str,
    },
    /// Two pictures whose results would have one name.
    #[error("{a} and {b} would both make results called {name}: give the folder that holds both, or name them in two calls with an --out each", a = a.display(), b = b.display(), name = name.display())]
    SameName {
        /// One picture.
        a: PathBuf,
        /// The other one.
        b: PathBuf,
        /// The name of both's results.
        name: PathBuf,
    },
    /// A line of a list that is no path.
    #[error("{path}: line {line}: {text:?} names no file; a line holds one path (relative to the list's folder), in quotes or not, with a label behind it or not", path = path.display())]
    ListLine {
        /// The list.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A published layout was asked for and the folder is laid out in another way.
    #[error("{path}: the layout {layout} expects {expected} here; for pictures in any arrangement use the layout folder", path = path.display())]
    Layout {
        /// The folder that was searched.
        path: PathBuf,
        /// Name of the layout.
        layout: &'static str,
        /// What should have been there.
        expected: &'static str,
    },
    /// No data set was named at all.
    #[error("no data given: name at least one folder of pictures")]
    NoRoots,
    /// Reading or writing failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Fewer pictures than one batch needs.
    #[error(
        "the data set has {pictures} pictures, one batch takes {total} ({batch} for each of {world_size} ranks): {}",
        if *pictures >= 2 * *world_size {
            format!("set optim.batch to at most {} or add pictures", pictures / world_size * world_size)
        } else {
            format!("add pictures: a step needs at least {} of them", 2 * world_size)
        }
    )]
    TooFewPictures {
        /// Pictures found.
        pictures: usize,
        /// Pictures a batch takes over all ranks.
        total: usize,
        /// Pictures a batch takes on one rank.
        batch: usize,
        /// Number of ranks.
        world_size: usize,
    },
    /// A setting that cannot work.
    #[error("{name} = {value}: {expected}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Too many pictures could not be used.
    #[error(
        "{bad} of the {seen} pictures read so far could not be used, more than the {allowed:.0} % allowed; the last ones: {last}",
        allowed = allowed * 100.0
    )]
    TooManyBad {
        /// Pictures that could not be used.
        bad: u64,
        /// Pictures tried.
        seen: u64,
        /// The allowed fraction.
        allowed: f64,
        /// The last of them with their reasons.
        last: String,
    },
    /// The threads that load pictures have ended.
    #[error("the loader has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// A picture or label map that is needed and cannot be used.
    #[error("{path}: {source}", path = path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PictureError,
    },
    /// Labels, classes or pairs that do not fit.
    #[error("{path}: {reason}", path = path.display())]
    Labels {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn labels(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Labels {
            path: path.into(),
            reason: reason.into(),
        }
    }
}

/// Why one picture cannot be used. It costs that picture, not the run.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file could not be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The header announces no width or no height.
    #[error("announces {width} x {height} pixels: there is nothing in it")]
    NoPixels {
        /// Pixels.
        width: u64,
        /// Pixels.
        height: u64,
    },
    /// The file holds nothing.
    #[error("is empty (0 bytes)")]
    Empty,
    /// Reading has taken too long; the file system may have stalled.
    #[error("was not read within {0} seconds")]
    Stalled(f64),
    /// The first bytes are those of no picture format known here.
    #[error(
        "is not a picture (its first bytes are those of no known format: JPEG, PNG, WebP, TIFF, BMP, GIF, PNM)"
    )]
    UnknownFormat,
    /// A kind of a format that is not read.
    #[error("is a {format} {what}, which is not read: save it as PNG, or as {format} of plain 8-bit RGB")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// The kind, to be read after the format's name.
        what: String,
    },
    /// A picture in a format that is not read.
    #[error("is a {0} picture, which is not read: convert it to JPEG or PNG")]
    Unread(&'static str),
    /// The decoder refused the content.
    #[error("is not a whole {format}: {reason}")]
    Decode {
        /// Name of the format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// More pixels than allowed.
    #[error("has {width}x{height} pixels, more than the {max_pixels} allowed (max_pixels)")]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// The limit.
        max_pixels: u64,
    },
    /// A decoder broke down on the content.
    #[error("breaks the decoder: {0}")]
    Panic(String),
    /// A label map of a kind that holds no class ids.
    #[error("is not an index PNG: {0}; a label map is a PNG with a palette or in gray, one class id a pixel")]
    NotALabelMap(String),
    /// The label map of a picture cannot be used with it.
    #[error("{0}")]
    Labels(String),
}
