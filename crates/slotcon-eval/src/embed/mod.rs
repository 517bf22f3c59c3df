//! What a network makes of a folder, for other programs: dense features, slots or one vector a picture, streamed to a file.
//!
//! Pictures are resized and cut to the central square, so that every row of the file has one shape. How many rows there
//! will be is known only at the end, since a picture that cannot be used leaves no row: both formats get room for their
//! header first and the header last ([`npy`], [`tensors`]). Memory holds one batch, whatever the size of the folder.

pub mod npy;
pub mod tensors;

use std::path::Path;

use serde::Serialize;
use slotcon_data::source::readable;
use slotcon_weights::Dtype;
use slotcon_weights::atomic_file::WriteError;
use slotcon_weights::dtype::tensor_bytes;
use tch::Tensor;

use crate::error::Error;
use crate::pictures::{InputPicture, Pictures, ProgressSink};
use crate::segment::Segmenter;
use npy::NpyFiles;
use tensors::TensorsFile;

/// What is taken from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The projector's output `[D, h, w]`: what prototypes are compared with.
    Dense,
    /// `[K, D]`, with `counting` `[K]`: 1 for the slots that win somewhere in the picture, the only ones that mean something.
    Slots,
    /// The backbone's last feature map, averaged over all positions `[C]`: what a linear classifier takes.
    Global,
}

impl What {
    /// The name of its array.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Slots => "slots",
            Self::Global => "global",
        }
    }
}

/// Number format in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// 32 bits.
    F32,
    /// 16 bits: half the size, three digits.
    F16,
    /// A byte, for what is 0 or 1.
    U8,
}

impl Number {
    /// The type of the elements, with its names in file formats.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::U8 => Dtype::U8,
        }
    }
}

/// What is written, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is taken from the network.
    pub what: What,
    /// [`Number::F32`] or [`Number::F16`].
    pub number: Number,
    /// Pictures that pass the network at a time.
    pub batch: usize,
    /// The checkpoint's name, for the file to say where it comes from.
    pub source: String,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Pictures, one row each.
    pub rows: usize,
    /// Pictures that could not be used.
    pub bad: usize,
    /// Shape of the main array, rows first.
    pub shape: Vec<usize>,
}

/// An array that grows row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in the file.
    pub name: &'static str,
    /// Its number format.
    pub number: Number,
}

/// A file that takes rows of several arrays and a name for each row.
pub trait Sink {
    /// Adds the rows of `bytes` to array number `column`.
    ///
    /// # Errors
    /// What the system says.
    fn push(&mut self, column: usize, bytes: &[u8]) -> Result<(), WriteError>;

    /// Adds the line of one row, without its end.
    ///
    /// # Errors
    /// What the system says.
    fn name(&mut self, line: &str) -> Result<(), WriteError>;

    /// Writes the headers, now that `rows` are there, and gives the files their names. `shapes` are those of a row, by column;
    /// `about` is JSON.
    ///
    /// # Errors
    /// What the system says; nothing stays then.
    fn finish(self: Box<Self>, rows: usize, shapes: &[Vec<usize>], about: &str) -> Result<(), Error>;
}

/// A line of the list of names.
#[derive(Serialize)]
struct Name {
    name: String,
    /// Of the file, before it was cut to a square.
    width: u32,
    height: u32,
}

/// What a file says of itself.
#[derive(Serialize)]
struct About<'a> {
    what: What,
    checkpoint: &'a str,
    network: &'static str,
    arch: &'a str,
    /// Side of the square that the network saw, in pixels.
    side: u32,
    rows: usize,
}

/// Writes what `config` asks for of all `pictures` to `path`: `.safetensors`, or `.npy` with the names beside it.
///
/// # Errors
/// Another ending; pictures that are not cut to squares; none that can be used; what the file system says (nothing stays
/// then); a failure of libtorch.
pub fn write(
    path: &Path,
    segmenter: &Segmenter,
    pictures: &Pictures,
    config: &Config,
    progress: &mut dyn ProgressSink,
) -> Result<Written, Error> {
    if pictures.input().square.is_none() {
        return Err(Error::Argument(
            "rows of one shape need pictures of one shape: cut them to squares (InputConfig::squares)".into(),
        ));
    }
    let mut columns = vec![Column {
        name: config.what.name(),
        number: config.number,
    }];
    if config.what == What::Slots {
        columns.push(Column {
            name: "counting",
            number: Number::U8,
        });
    }
    let mut sink: Box<dyn Sink + '_> = match path.extension().and_then(|e| e.to_str()) {
        Some("safetensors") => Box::new(TensorsFile::begin(path, columns.clone(), config.source.len())?),
        Some("npy") => Box::new(NpyFiles::begin(path, columns.clone())?),
        _ => {
            return Err(Error::Argument(format!(
                "{}: name the file with the ending .safetensors or .npy",
                path.display()
            )));
        }
    };
    progress.begin("embedding", pictures.chosen().len());
    let mut rows = 0;
    let mut shapes = Vec::new();
    let mut waiting: Vec<InputPicture> = Vec::new();
    let mut flush = |waiting: &mut Vec<InputPicture>| -> Result<(), Error> {
        if waiting.is_empty() {
            return Ok(());
        }
        let names: Vec<Name> = waiting
            .iter()
            .map(|seen| Name {
                name: readable(&pictures.name(seen.index)),
                width: seen.original.0,
                height: seen.original.1,
            })
            .collect();
        let batch: Vec<_> = waiting.drain(..).map(|seen| seen.picture).collect();
        let tensors = look(segmenter, &batch, config.what)?;
        shapes = tensors.iter().map(row_shape).collect();
        for (column, tensor) in tensors.iter().enumerate() {
            sink.push(
                column,
                &tensor_bytes(&tensor.to_kind(columns[column].number.dtype().kind())),
            )?;
        }
        for name in &names {
            sink.name(&serde_json::to_string(name)?)?;
        }
        rows += names.len();
        Ok(())
    };
    let bad = pictures.each(pictures.chosen(), progress, |seen| {
        waiting.push(seen);
        if waiting.len() >= config.batch.max(1) {
            flush(&mut waiting)?;
        }
        Ok::<(), Error>(())
    })?;
    flush(&mut waiting)?;
    if rows == 0 {
        return Err(Error::no_picture(bad));
    }
    let about = About {
        what: config.what,
        checkpoint: &config.source,
        network: segmenter.branch().name(),
        arch: &segmenter.recipe().model.arch,
        side: pictures.input().side,
        rows,
    };
    sink.finish(rows, &shapes, &serde_json::to_string(&about)?)?;
    let shape = std::iter::once(rows).chain(shapes[0].iter().copied()).collect();
    Ok(Written {
        rows,
        bad: bad.count,
        shape,
    })
}

/// The arrays of a batch of pictures of one size, rows first.
fn look(segmenter: &Segmenter, batch: &[slotcon_data::Picture], what: What) -> Result<Vec<Tensor>, Error> {
    let _guard = tch::no_grad_guard();
    Ok(match what {
        What::Global => vec![segmenter.pooled(batch)?],
        What::Dense => {
            let groups = segmenter.groups(batch)?;
            let (h, w) = groups.grid;
            let (count, _, dims) = groups.features.size3()?;
            vec![groups.features.transpose(1, 2).reshape([count, dims, h, w])]
        }
        What::Slots => {
            let groups = segmenter.groups(batch)?;
            let counting = groups.active();
            vec![groups.slots, counting]
        }
    })
}

fn row_shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size()[1..].iter().map(|&n| n as usize).collect()
}
