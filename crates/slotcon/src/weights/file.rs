//! Any file with weights, opened: what it is, its tensors by name, and the plain values beside them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::error::WeightsError;
use super::pickle::{Id, Machine, Node, Pickle, Problem, broken};
use super::tensors::{Maker, Storages};
use super::torch_file::{self, TorchFile};
use crate::checkpoint::{Checkpoint, Progress, TensorFile, tensor};
use crate::recipe::Recipe;

/// Dictionaries in dictionaries.
const MAX_DEPTH: usize = 8;
/// Values that are looked at.
const MAX_VISITS: usize = 1 << 20;
/// Longest name.
const MAX_NAME: usize = 512;
/// Bytes of all names and texts together.
const MAX_TEXT: usize = 64 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A checkpoint of this program.
    Checkpoint,
    /// A training checkpoint of the official implementation.
    Official,
    /// Named tensors as safetensors.
    Safetensors,
    /// Whatever else `torch.save` wrote, as a zip archive.
    TorchZip,
    /// The same by PyTorch before 1.6.
    TorchLegacy,
    /// A pickle with numpy arrays, as detectron2 reads it.
    Pickle,
}

impl FileKind {
    /// Its name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Checkpoint => "slotcon-checkpoint",
            FileKind::Official => "official-checkpoint",
            FileKind::Safetensors => "safetensors",
            FileKind::TorchZip => "torch",
            FileKind::TorchLegacy => "torch-legacy",
            FileKind::Pickle => "pickle",
        }
    }
}

/// A plain value beside the tensors of a file of `torch.save`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `True` or `False`.
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float`
    Float(f64),
    /// `str`
    Text(String),
}

/// What a checkpoint of this program says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedRun {
    /// What the run was.
    pub recipe: Recipe,
    /// How far it got.
    pub progress: Progress,
    /// Program and version; empty where an old one did not say.
    pub written_by: String,
}

/// The whole file.
#[derive(Debug)]
pub struct WeightFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// On the CPU, in the order of the file where it has one; a tensor in dictionaries has a name like
    /// `state_dict.conv1.weight`.
    pub tensors: Vec<(String, Tensor)>,
    /// Plain values by name, e.g. `args.arch`.
    pub values: BTreeMap<String, Value>,
    /// What a checkpoint of this program says of itself.
    pub run: Option<SavedRun>,
}

impl WeightFile {
    /// Reads `path`, whatever of the known formats it is; nothing in it is run.
    ///
    /// # Errors
    /// A file that is missing, broken, of no known format, or that asks for something that weights do not need.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let io = WeightsError::io(path);
        let mut file = File::open(path).map_err(&io)?;
        let length = file.metadata().map_err(&io)?.len();
        let mut start = Vec::new();
        file.by_ref().take(512).read_to_end(&mut start).map_err(&io)?;
        drop(file);
        if start.starts_with(b"PK") {
            return Self::torch(path, FileKind::TorchZip, torch_file::open_zip(path)?, length);
        }
        if looks_like_safetensors(&start, length) {
            return Self::safetensors(TensorFile::open(path)?);
        }
        if torch_file::is_legacy(&start) {
            let bytes = std::fs::read(path).map_err(&io)?;
            let opened = torch_file::open_legacy(path, bytes)?;
            return Self::torch(path, FileKind::TorchLegacy, opened, length);
        }
        if start.first() == Some(&0x80) {
            return Self::pickle(path, &std::fs::read(path).map_err(&io)?);
        }
        let what = match start.len() {
            0 => "the file is empty",
            _ if start.get(257..262) == Some(b"ustar") => {
                "a tar archive: PyTorch before 0.2 saved so, load and save it again with a newer one"
            }
            _ => "neither safetensors, nor a file of torch.save, nor a pickle",
        };
        Err(WeightsError::format(path, what))
    }

    fn safetensors(file: TensorFile) -> Result<Self, WeightsError> {
        let path = file.path().to_path_buf();
        let read = |file: &TensorFile| {
            let parsed = file.tensors()?;
            let mut names = parsed.names();
            names.sort_unstable();
            let named = names.into_iter().map(|name| match tensor(&parsed, name) {
                Some(tensor) => Ok((name.to_owned(), tensor)),
                None => Err(WeightsError::format(
                    &path,
                    format!("{name} is of a type that no weights have"),
                )),
            });
            named.collect::<Result<Vec<_>, _>>()
        };
        let plain = Self {
            path: path.clone(),
            kind: FileKind::Safetensors,
            tensors: Vec::new(),
            values: BTreeMap::new(),
            run: None,
        };
        if !file.is_checkpoint() {
            let tensors = read(&file)?;
            return Ok(Self { tensors, ..plain });
        }
        let checkpoint = Checkpoint::from_file(file)?;
        Ok(Self {
            kind: FileKind::Checkpoint,
            tensors: read(checkpoint.file())?,
            run: Some(SavedRun {
                recipe: checkpoint.recipe,
                progress: checkpoint.progress,
                written_by: checkpoint.written_by,
            }),
            ..plain
        })
    }

    fn torch(path: &Path, kind: FileKind, file: TorchFile, length: u64) -> Result<Self, WeightsError> {
        let TorchFile {
            pickle,
            root,
            buffer,
            mut storages,
        } = file;
        let (tensors, values) = flatten(&pickle, &buffer, root, storages.as_mut(), length)
            .map_err(WeightsError::problem(path))?;
        let official = values.contains_key("args.arch")
            && tensors.iter().any(|(name, _)| {
                name.starts_with("model.") && name.ends_with("grouping_q.slot_embed.weight")
            });
        Ok(Self {
            path: path.into(),
            kind: if official { FileKind::Official } else { kind },
            tensors,
            values,
            run: None,
        })
    }

    fn pickle(path: &Path, buffer: &[u8]) -> Result<Self, WeightsError> {
        let read = || {
            let mut machine = Machine::new(buffer);
            let root = machine.load()?;
            let pickle = machine.into_pickle();
            flatten(&pickle, buffer, root, &mut NoStorages, buffer.len() as u64)
        };
        let (tensors, values) = read().map_err(WeightsError::problem(path))?;
        Ok(Self {
            path: path.into(),
            kind: FileKind::Pickle,
            tensors,
            values,
            run: None,
        })
    }

    /// An integer that is not negative.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.values.get(name)? {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name)? {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Eight bytes of length, then JSON.
fn looks_like_safetensors(start: &[u8], length: u64) -> bool {
    let Some((first, rest)) = start.split_first_chunk::<8>() else {
        return false;
    };
    // A broken one is to be called so: its length may lie, its brace does not.
    rest.first() == Some(&b'{') && (start[0] != 0x80 || u64::from_le_bytes(*first) < length)
}

/// Plain pickles have their arrays in themselves.
struct NoStorages;

impl Storages for NoStorages {
    fn read(&mut self, key: &str, _bytes: u64) -> Result<Vec<u8>, Problem> {
        broken(format!("it refers to storage {key}, which it does not have"))
    }
}

type Flat = (Vec<(String, Tensor)>, BTreeMap<String, Value>);

/// Everything below `root`, named by the keys on the way. Values may refer to each other in circles, so depth and number
/// of steps are bounded.
fn flatten(
    pickle: &Pickle,
    buffer: &[u8],
    root: Id,
    storages: &mut dyn Storages,
    length: u64,
) -> Result<Flat, Problem> {
    let mut maker = Maker::new(storages, length);
    let mut tensors = Vec::new();
    let mut values = BTreeMap::new();
    let (mut visits, mut text_bytes) = (0, 0);
    let mut waiting = vec![(String::new(), root, 0)];
    while let Some((name, id, depth)) = waiting.pop() {
        if text_bytes > MAX_TEXT {
            return broken("its names and texts fill the memory");
        }
        let value = match pickle.get(id) {
            Node::Tensor(claim) => {
                let tensor = maker.tensor(claim).map_err(|p| named(&name, p))?;
                tensors.push((name, tensor));
                continue;
            }
            Node::Array(Some(array)) => {
                let tensor = maker.array(buffer, array).map_err(|p| named(&name, p))?;
                tensors.push((name, tensor));
                continue;
            }
            Node::Dict(items) | Node::Namespace(items) => {
                let mut below = Vec::new();
                for &(key, value) in items {
                    visits += 1;
                    if visits > MAX_VISITS {
                        return broken(format!("it has more than {MAX_VISITS} values"));
                    }
                    if let Some(key) = key_text(pickle, key) {
                        below.push((join(&name, &key)?, value, depth + 1));
                    }
                }
                text_bytes += push(&mut waiting, below)?;
                continue;
            }
            Node::List(ids) | Node::Tuple(ids) => {
                visits += ids.len();
                if visits > MAX_VISITS {
                    return broken(format!("it has more than {MAX_VISITS} values"));
                }
                let below = ids.iter().enumerate();
                let below = below
                    .map(|(i, &id)| Ok((join(&name, &i.to_string())?, id, depth + 1)))
                    .collect::<Result<Vec<_>, _>>()?;
                text_bytes += push(&mut waiting, below)?;
                continue;
            }
            Node::Bool(b) => Value::Bool(*b),
            Node::Int(n) => Value::Int(*n),
            Node::Float(x) => Value::Float(*x),
            Node::Str(text) => {
                text_bytes += text.len().min(MAX_NAME);
                Value::Text(text.chars().take(MAX_NAME).collect())
            }
            _ => continue,
        };
        values.insert(name, value);
    }
    Ok((tensors, values))
}

/// The first of `below` is to be taken next. Returns the bytes of its names.
fn push(
    waiting: &mut Vec<(String, Id, usize)>,
    mut below: Vec<(String, Id, usize)>,
) -> Result<usize, Problem> {
    if let Some((name, ..)) = below.iter().find(|(_, _, depth)| *depth > MAX_DEPTH) {
        return broken(format!("{name} is nested more than {MAX_DEPTH} deep"));
    }
    let bytes = below.iter().map(|(name, ..)| name.len()).sum();
    below.reverse();
    waiting.append(&mut below);
    Ok(bytes)
}

fn key_text(pickle: &Pickle, key: Id) -> Option<String> {
    match pickle.get(key) {
        Node::Str(text) => Some(text.clone()),
        Node::Int(n) => Some(n.to_string()),
        _ => None,
    }
}

fn join(name: &str, key: &str) -> Result<String, Problem> {
    if name.len() + key.len() > MAX_NAME {
        return broken(format!("a name has {} bytes", name.len() + key.len()));
    }
    Ok(if name.is_empty() {
        key.into()
    } else {
        format!("{name}.{key}")
    })
}

fn named(name: &str, problem: Problem) -> Problem {
    match problem {
        Problem::Broken(reason) => Problem::Broken(format!("{name}: {reason}")),
        other => other,
    }
}
