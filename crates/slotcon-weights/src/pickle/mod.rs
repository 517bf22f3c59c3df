//! Reading pickles without running them: a small machine for the opcodes that `torch.save` and numpy write, which
//! makes plain values only and refuses, by name, every global that is not on a list.
//!
//! Values live in one flat list and refer to each other by number, so that neither deep nesting nor one value used a
//! million times costs stack or memory.

mod globals;
mod op;
mod pickler;
mod unpickler;

use std::ops::Range;

use globals::Global;
pub(crate) use globals::bytes_of;
pub use pickler::Py;
pub(crate) use pickler::{numpy_pickle, torch_pickle};
pub(crate) use unpickler::Unpickler;

use crate::dtype::Dtype;

/// Values that one file may make; a checkpoint of ResNet-152 makes some 50 000.
const MAX_NODES: usize = 1 << 20;
/// Longest string that is believed.
const MAX_STRING: usize = 1 << 20;

/// Bytes that the values of a small pickle may take.
const ROOM: usize = 16 << 20;

/// Why a pickle is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is broken, or larger than any real one.
    Broken(String),
    /// It wants something that is not on the list: `module.name`.
    Refused(String),
}

/// Short for a [`Problem::Broken`].
pub(crate) fn broken<T>(reason: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Broken(reason.into()))
}

/// Number of a value in [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// The elements of a tensor, before they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorageRef {
    /// Type of an element.
    pub kind: Dtype,
    /// Where the file keeps it.
    pub key: String,
    /// How many elements it claims to have.
    pub numel: u64,
}

/// A tensor, before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorRef {
    /// Its elements.
    pub storage: StorageRef,
    /// Of its first element.
    pub offset: u64,
    /// Elements along each dimension.
    pub shape: Vec<u64>,
    /// Steps in the storage along each dimension.
    pub stride: Vec<u64>,
}

/// A numpy array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArrayRef {
    /// Elements along each dimension.
    pub shape: Vec<u64>,
    /// Type of an element.
    pub kind: Dtype,
    /// Its elements.
    pub data: Data,
}

/// Bytes in the pickle itself or, where they had to be decoded, their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// Place in the pickle.
    Slice(Range<usize>),
    /// Decoded from text, as Python 2 and protocol 2 write bytes.
    Own(Vec<u8>),
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that does not fit: its bytes, little-endian.
    Long(Vec<u8>),
    Float(f64),
    Str(String),
    Bytes(Data),
    Global(Global),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// `dict` and `OrderedDict`, in the order of the file.
    Dict(Vec<(Id, Id)>),
    /// `argparse.Namespace`: its attributes.
    Namespace(Vec<(Id, Id)>),
    Storage(StorageRef),
    Tensor(TensorRef),
    /// `numpy.dtype`; `None` for one whose elements are no numbers.
    DType(Option<Dtype>),
    /// A numpy array; `None` until its state comes.
    Array(Option<ArrayRef>),
    /// An object of a class that no weights need, such as a configuration; what it holds is passed over.
    Passive,
}

impl Node {
    /// Bytes that it holds beyond its own size.
    fn weight(&self) -> usize {
        match self {
            Node::Str(text) => text.len(),
            Node::Long(bytes) | Node::Bytes(Data::Own(bytes)) => bytes.len(),
            Node::Tuple(ids) | Node::List(ids) => ids.len() * size_of::<Id>(),
            Node::Dict(items) | Node::Namespace(items) => items.len() * size_of::<(Id, Id)>(),
            Node::Storage(storage) => storage.key.len(),
            Node::Tensor(tensor) => tensor.storage.key.len(),
            Node::Array(Some(array)) => match &array.data {
                Data::Own(bytes) => bytes.len(),
                Data::Slice(_) => 0,
            },
            _ => 0,
        }
    }
}

/// The values of a file.
#[derive(Debug)]
pub(crate) struct Pickle {
    nodes: Vec<Node>,
    /// Bytes that values may still hold: one long text copied a million times would fill any memory.
    room: usize,
}

impl Pickle {
    /// For a pickle of `bytes` bytes.
    fn new(bytes: usize) -> Self {
        Self {
            nodes: Vec::new(),
            room: bytes.saturating_mul(4).saturating_add(ROOM),
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        match self.room.checked_sub(bytes) {
            Some(rest) => {
                self.room = rest;
                Ok(())
            }
            None => broken("its values repeat each other until they would fill the memory"),
        }
    }

    /// The value.
    pub fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Every value, in the order in which they were made.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    fn add(&mut self, node: Node) -> Result<Id, Problem> {
        if self.nodes.len() >= MAX_NODES {
            return broken(format!(
                "it makes more than {MAX_NODES} values, which no checkpoint does"
            ));
        }
        self.hold(node.weight())?;
        self.nodes.push(node);
        Ok(Id((self.nodes.len() - 1) as u32))
    }

    /// Text; also of a Python 2 string.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Key and value pairs of a dictionary or namespace.
    pub fn items(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Node::Dict(items) | Node::Namespace(items) => Some(items),
            _ => None,
        }
    }

    /// The last value under `key`, as Python sees it.
    pub fn item(&self, id: Id, key: &str) -> Option<Id> {
        let pairs = self.items(id)?;
        let found = pairs.iter().rev().find(|(k, _)| self.text(*k) == Some(key));
        found.map(|(_, value)| *value)
    }

    /// Elements of a list or tuple.
    pub fn elements(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::List(ids) | Node::Tuple(ids) => Some(ids),
            _ => None,
        }
    }

    /// An integer that is not negative.
    pub fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Node::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }
}
