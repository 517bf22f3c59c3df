//! Arguments that several subcommands take: the same words and defaults in each.

use std::path::{Path, PathBuf};

use anyhow::Context;
use slotcon::method::Branch;
use slotcon_data::Layout;
use slotcon_data::picture::left_as_they_lie;
use slotcon_data::source::LeftOut;
use slotcon_eval::segment::Views;
use slotcon_eval::{FoundGroups, InputConfig, Pictures, Segmenter};
use slotcon_train::{RunDirectory, device};

use crate::status::Status;

/// Where the network computes.
#[derive(Debug, clap::Args)]
pub struct DeviceArg {
    /// auto, cpu, cuda or cuda:N.
    #[arg(id = "device", long, default_value = "auto", value_name = "DEVICE")]
    pub asked: String,
}

/// A checkpoint's network, and where it computes.
#[derive(Debug, clap::Args)]
pub struct NetworkArgs {
    /// Checkpoint of a run, or its run directory (its best checkpoint, else its last).
    #[arg(long, value_name = "FILE|RUN")]
    pub checkpoint: PathBuf,
    /// Use the network trained by gradient instead of its moving average.
    #[arg(long)]
    pub student: bool,
    #[command(flatten)]
    pub device: DeviceArg,
}

impl NetworkArgs {
    /// Opens the network.
    ///
    /// # Errors
    /// A device that is not there, a checkpoint that cannot be used.
    pub fn open(&self) -> anyhow::Result<Segmenter> {
        let device = device::parse(&self.device.asked)?;
        Ok(Segmenter::open(&self.file()?, branch(self.student), device)?)
    }

    /// The checkpoint's file.
    ///
    /// # Errors
    /// A folder that is no run directory.
    pub fn file(&self) -> anyhow::Result<PathBuf> {
        weights_of(&self.checkpoint)
    }
}

/// What a pretrained network cuts pictures into.
#[derive(Debug, clap::Args)]
pub struct GroupsArg {
    /// Groups that slotcon group found with this checkpoint, in place of its prototypes.
    #[arg(id = "groups", long = "groups", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl GroupsArg {
    /// The network with these groups, if any were given.
    ///
    /// # Errors
    /// A file that cannot be used or holds the groups of another checkpoint.
    pub fn of(&self, segmenter: Segmenter) -> anyhow::Result<Segmenter> {
        match &self.file {
            Some(file) => {
                let found = FoundGroups::open_for(file, &segmenter)?;
                Ok(segmenter.with_groups(found))
            }
            None => Ok(segmenter),
        }
    }
}

/// How often a pretrained network looks at a picture.
#[derive(Debug, clap::Args)]
pub struct ViewsArgs {
    /// Also look at the picture mirrored, and average the scores: twice the time.
    #[arg(long)]
    mirror: bool,
    /// Look at the picture at these short sides in place of one, and average the scores, e.g. --sides 256,320,400.
    #[arg(long, value_name = "PIXELS,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(33..=4096))]
    sides: Vec<u32>,
}

impl ViewsArgs {
    /// What they say.
    pub fn views(&self) -> Views {
        Views {
            sides: self.sides.clone(),
            mirror: self.mirror,
        }
    }

    /// Whether sizes are given.
    pub fn resizes(&self) -> bool {
        !self.sides.is_empty()
    }

    /// Those that are given, and whether: for commands that cannot use them.
    pub fn given(&self) -> [(&'static str, bool); 2] {
        [("--mirror", self.mirror), ("--sides", self.resizes())]
    }
}

/// A checkpoint's network, or a backbone of any origin.
#[derive(Debug, clap::Args)]
pub struct BackboneArgs {
    /// Checkpoint of a run, or its run directory (its best checkpoint, else its last).
    #[arg(long, value_name = "FILE|RUN", required_unless_present = "backbone")]
    checkpoint: Option<PathBuf>,
    /// Use the network trained by gradient instead of its moving average.
    #[arg(long, conflicts_with = "backbone")]
    student: bool,
    /// In place of a checkpoint, a backbone alone: whatever pretrain --init-backbone reads.
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    backbone: Option<PathBuf>,
    /// Which backbone of a file that holds several: what its names begin with, or the end of that.
    #[arg(long, value_name = "PREFIX", requires = "backbone")]
    backbone_prefix: Option<String>,
    /// Pixels per position of its output: 32, 16 or 8; 0: the architecture's own.
    #[arg(long, value_name = "PIXELS", default_value_t = 0, requires = "backbone")]
    output_stride: i64,
    #[command(flatten)]
    device: DeviceArg,
}

impl BackboneArgs {
    /// Opens the network.
    ///
    /// # Errors
    /// A device that is not there, a file that cannot be used.
    pub fn open(&self) -> anyhow::Result<Segmenter> {
        let device = device::parse(&self.device.asked)?;
        match (&self.checkpoint, &self.backbone) {
            (Some(checkpoint), _) => {
                let branch = branch(self.student);
                Ok(Segmenter::open(&weights_of(checkpoint)?, branch, device)?)
            }
            (None, Some(backbone)) => Ok(Segmenter::from_backbone(
                &weights_of(backbone)?,
                self.backbone_prefix.as_deref(),
                self.output_stride,
                device,
            )?),
            (None, None) => anyhow::bail!("give --checkpoint FILE|RUN or --backbone FILE"),
        }
    }

    /// Whether the network has more than a backbone.
    pub fn has_heads(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// What the network is, for a protocol.
    pub fn words(&self, segmenter: &Segmenter) -> String {
        let of = if self.has_heads() {
            segmenter.branch().name()
        } else {
            "given backbone"
        };
        format!("{of} ({})", segmenter.recipe().model.arch)
    }
}

/// The branch that is looked through.
fn branch(student: bool) -> Branch {
    if student { Branch::Student } else { Branch::Teacher }
}

/// A file with weights: itself, or the best or last checkpoint of a run directory.
///
/// # Errors
/// A folder that is no run directory.
pub fn weights_of(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    RunDirectory::at(path).best_or_last().with_context(|| {
        format!(
            "{}: is a folder without checkpoints/last.safetensors",
            path.display()
        )
    })
}

/// How pictures are turned before anything else.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct OrientationArg {
    /// Turn pictures as their EXIF orientation says.
    #[arg(long)]
    pub exif_orientation: bool,
}

/// A folder of pictures, and how the network sees them.
#[derive(Debug, Clone, clap::Args)]
pub struct FolderArgs {
    /// Folder of pictures, searched with all its subfolders; several are taken together.
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// Look at no more than N pictures, evenly spread over the folder.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Short side at which the network sees a picture.
    #[arg(long, default_value_t = 320, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(33..=4096))]
    side: u32,
    #[command(flatten)]
    orientation: OrientationArg,
}

impl FolderArgs {
    /// Opens the folder; `square`: pictures are cut to their central square.
    ///
    /// # Errors
    /// A folder that is missing or holds no picture.
    pub fn open(&self, square: bool) -> anyhow::Result<Pictures> {
        let shape = match square {
            true => InputConfig::squares(self.side),
            false => InputConfig {
                side: self.side,
                ..InputConfig::default()
            },
        };
        let input = InputConfig {
            exif_orientation: self.orientation.exif_orientation,
            ..shape
        };
        let limit = self.limit.map(|n| n as usize);
        let pictures = Pictures::open(&self.data, Layout::Folder, input, limit)?;
        say_left_out([pictures.left_out()]);
        let (chosen, in_all) = (pictures.chosen().len(), pictures.in_all());
        if chosen < in_all {
            eprintln!("{chosen} of {in_all} pictures are looked at, evenly spread (--limit)");
        }
        Ok(pictures)
    }

    /// With this limit where none was asked for.
    pub fn or_at_most(&self, count: u32) -> Self {
        Self {
            limit: self.limit.or(Some(count)),
            ..self.clone()
        }
    }

    /// The folder of pictures in which `path`, a file to be written, would come to lie.
    pub fn folder_of(&self, path: &Path) -> Option<&Path> {
        folder_around(&self.data, path)
    }
}

/// The one of `folders` in which `path`, something to be written, would come to lie.
pub fn folder_around<'a>(folders: &'a [PathBuf], path: &Path) -> Option<&'a Path> {
    // What is not there yet is made below the nearest folder that is.
    let whole = std::path::absolute(path).ok()?;
    let parent = whole
        .ancestors()
        .skip(1)
        .find_map(|above| above.canonicalize().ok())?;
    let around = |folder: &&PathBuf| {
        folder
            .canonicalize()
            .is_ok_and(|folder| parent.starts_with(folder))
    };
    folders.iter().find(around).map(PathBuf::as_path)
}

/// How results are said.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct JsonArg {
    /// One JSON object as the last line of standard output.
    #[arg(long)]
    pub json: bool,
}

/// Says what lies beside the pictures and is not taken.
pub fn say_left_out<'a>(left_out: impl IntoIterator<Item = &'a LeftOut>) {
    for line in left_out.into_iter().flat_map(LeftOut::lines) {
        eprintln!("{line}");
    }
}

/// Says how many of the pictures looked at carry an orientation that was not applied.
pub fn say_orientation() {
    match left_as_they_lie() {
        0 => {}
        count => eprintln!(
            "{count} of these pictures carry an EXIF orientation that was not applied: --exif-orientation turns them"
        ),
    }
}

/// How a command ends that could not use `bad` of its pictures.
pub fn exit(bad: usize) -> Status {
    match bad {
        0 => Status::DONE,
        _ => Status::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        folder: FolderArgs,
    }

    #[test]
    fn what_was_asked_for_goes_before_a_command_s_own_limit() {
        let limit = |more: &[&str]| {
            let words = [&["program", "--data", "photos"], more].concat();
            Only::parse_from(words).folder.or_at_most(500).limit
        };
        assert_eq!(limit(&[]), Some(500));
        assert_eq!(limit(&["--limit", "7"]), Some(7));
        assert_eq!(limit(&["--limit", "900"]), Some(900));
    }
}
