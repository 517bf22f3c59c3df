//! Any file with weights, opened: what it is, its tensors by name, and the plain values beside them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tch::Tensor;

use crate::error::WeightsError;
use crate::pickle::{Id, Node, Pickle, Problem, Unpickler, broken};
use crate::safetensors::{TensorFile, tensor};
use crate::torch_save::read::{self as torch_file, TorchFile};
use crate::torch_save::storage::{Maker, Storages};

/// Dictionaries in dictionaries.
const MAX_DEPTH: usize = 8;
/// Values that are looked at.
const MAX_VISITS: usize = 1 << 20;
/// Longest name.
const MAX_NAME: usize = 512;
/// Bytes of all names and texts together.
const MAX_TEXT: usize = 64 << 20;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Named tensors as safetensors.
    Safetensors,
    /// What `torch.save` writes: a zip archive.
    TorchZip,
    /// The same by PyTorch before 1.6.
    TorchLegacy,
    /// A pickle with numpy arrays, as detectron2 reads it.
    Pickle,
}

impl FileFormat {
    /// Its name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            FileFormat::Safetensors => "safetensors",
            FileFormat::TorchZip => "torch",
            FileFormat::TorchLegacy => "torch-legacy",
            FileFormat::Pickle => "pickle",
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

/// The whole file.
#[derive(Debug)]
pub struct WeightFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it is written.
    pub format: FileFormat,
    /// On the CPU, in the order of the file where it has one; a tensor in dictionaries has a name like
    /// `state_dict.conv1.weight`.
    pub tensors: Vec<(String, Tensor)>,
    /// Plain values by name, e.g. `args.arch`.
    pub values: BTreeMap<String, Value>,
    /// The texts in the header of a safetensors file, by key; empty for other formats.
    pub metadata: BTreeMap<String, String>,
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
            return Self::torch(path, FileFormat::TorchZip, torch_file::open_zip(path)?, length);
        }
        if looks_like_safetensors(&start, length) {
            return Self::safetensors(TensorFile::open(path)?);
        }
        if torch_file::is_legacy(&start) {
            let bytes = std::fs::read(path).map_err(&io)?;
            let opened = torch_file::open_legacy(path, bytes)?;
            return Self::torch(path, FileFormat::TorchLegacy, opened, length);
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
        Ok(Self {
            tensors: read(&file)?,
            metadata: file.metadata().clone(),
            format: FileFormat::Safetensors,
            values: BTreeMap::new(),
            path,
        })
    }

    fn torch(path: &Path, format: FileFormat, file: TorchFile, length: u64) -> Result<Self, WeightsError> {
        let TorchFile {
            pickle,
            root,
            buffer,
            mut storages,
        } = file;
        let (tensors, values) = flatten(&pickle, &buffer, root, storages.as_mut(), length)
            .map_err(WeightsError::problem(path))?;
        Ok(Self {
            path: path.into(),
            format,
            tensors,
            values,
            metadata: BTreeMap::new(),
        })
    }

    fn pickle(path: &Path, buffer: &[u8]) -> Result<Self, WeightsError> {
        let read = || {
            let mut unpickler = Unpickler::new(buffer);
            let root = unpickler.load()?;
            let pickle = unpickler.into_pickle();
            flatten(&pickle, buffer, root, &mut NoStorages, buffer.len() as u64)
        };
        let (tensors, values) = read().map_err(WeightsError::problem(path))?;
        Ok(Self {
            path: path.into(),
            format: FileFormat::Pickle,
            tensors,
            values,
            metadata: BTreeMap::new(),
        })
    }

    /// An integer that is not negative.
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.values.get(name)? {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name)? {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
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
                text_bytes += text.len();
                Value::Text(text.clone())
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
