//! The list of what a file may name, and what each of these makes. Nothing is ever looked up anywhere else.

use super::{ArrayRef, Data, Id, Node, Pickle, Problem, StorageRef, TensorRef, broken};
use crate::dtype::Dtype;

/// Dimensions that are believed.
const MAX_DIMS: usize = 16;

/// What a file may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    Namespace,
    Storage(Dtype),
    /// `torch._utils._rebuild_tensor`, and its second version with more arguments that do not matter here.
    Tensor,
    /// `torch._utils._rebuild_parameter`
    Parameter,
    /// `torch.Size`
    Size,
    /// `torch.device`
    Device,
    /// `_codecs.encode`: bytes as text.
    Encode,
    /// `numpy.ndarray`
    NdArray,
    /// `numpy.core.multiarray._reconstruct`
    Reconstruct,
    /// `numpy.core.multiarray.scalar`
    NumpyScalar,
    /// `numpy.dtype`
    DType,
    /// A class of configurations, paths and the like, whose objects lie beside weights and are not needed.
    Passive,
    /// `getattr`, which here takes nothing but parts of what is passed over.
    GetAttr,
}

/// Packages whose classes hold settings, paths, times or states of trainers. Nothing of them is ever called.
const PASSIVE: &[&str] = &[
    "__main__",
    "addict",
    "attr",
    "box",
    "copyreg",
    "copy_reg",
    "datetime",
    "decimal",
    "detectron2",
    "easydict",
    "enum",
    "fractions",
    "fvcore",
    "hydra",
    "iopath",
    "lightning",
    "lightning_fabric",
    "ml_collections",
    "mmcls",
    "mmcv",
    "mmdet",
    "mmengine",
    "mmpretrain",
    "mmseg",
    "munch",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "solo",
    "timm",
    "transformers",
    "typing",
    "uuid",
    "yacs",
];

/// Classes of other modules that hold data alone.
const PASSIVE_CLASSES: &[(&str, &[&str])] = &[
    ("builtins", TYPES),
    ("__builtin__", TYPES),
    ("collections", &["defaultdict", "Counter", "deque", "ChainMap"]),
    (
        "numpy.random._pickle",
        &["__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"],
    ),
    (
        "torch",
        &[
            "float16",
            "float32",
            "float64",
            "bfloat16",
            "half",
            "float",
            "double",
            "uint8",
            "int8",
            "int16",
            "int32",
            "int64",
            "bool",
            "strided",
            "channels_last",
            "contiguous_format",
            "preserve_format",
            "Generator",
        ],
    ),
];

/// Python's own types.
const TYPES: &[&str] = &[
    "set",
    "frozenset",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "str",
    "bool",
    "complex",
    "bytes",
    "bytearray",
    "slice",
    "range",
    "object",
    "long",
    "unicode",
];

/// Whether the objects of `module.name` are data that nobody needs.
fn is_passive(module: &str, name: &str) -> bool {
    let package = module.split('.').next().unwrap_or_default();
    PASSIVE.contains(&package)
        || PASSIVE_CLASSES
            .iter()
            .any(|(known, names)| *known == module && names.contains(&name))
}

impl Global {
    /// By its name in Python.
    pub(super) fn find(module: &str, name: &str) -> Result<Self, Problem> {
        if is_passive(module, name) {
            return Ok(Global::Passive);
        }
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("argparse", "Namespace") => Global::Namespace,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::Tensor,
            ("torch._utils", "_rebuild_parameter") => Global::Parameter,
            ("torch", "Size") => Global::Size,
            ("torch", "device") => Global::Device,
            ("torch" | "torch.cuda", class) => match Dtype::of_storage(class) {
                Some(dtype) => Global::Storage(dtype),
                None => return Err(Problem::Refused(format!("{module}.{name}"))),
            },
            ("_codecs", "encode") => Global::Encode,
            ("numpy", "ndarray") => Global::NdArray,
            ("numpy", "dtype") => Global::DType,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Reconstruct,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::NumpyScalar,
            ("builtins" | "__builtin__", "getattr") => Global::GetAttr,
            _ => return Err(Problem::Refused(format!("{module}.{name}"))),
        })
    }
}

/// What calling `global` with `arguments` makes. `buffer` is the pickle itself.
pub(super) fn call(
    pickle: &Pickle,
    buffer: &[u8],
    global: Global,
    arguments: &[Id],
) -> Result<Node, Problem> {
    let wrong = || {
        Problem::Broken(format!(
            "{global:?} is made from {} odd arguments",
            arguments.len()
        ))
    };
    match (global, arguments) {
        (Global::Passive, _) => Ok(Node::Passive),
        (Global::OrderedDict, []) => Ok(Node::Dict(Vec::new())),
        (Global::OrderedDict, [pairs]) => {
            let pairs = pickle.elements(*pairs).ok_or_else(wrong)?;
            let pairs = pairs.iter().map(|&pair| match pickle.elements(pair) {
                Some(&[key, value]) => Ok((key, value)),
                _ => Err(wrong()),
            });
            Ok(Node::Dict(pairs.collect::<Result<_, _>>()?))
        }
        (Global::Namespace, []) => Ok(Node::Namespace(Vec::new())),
        (Global::Tensor, [storage, offset, shape, stride, ..]) => {
            let Node::Storage(storage) = pickle.get(*storage) else {
                return Err(wrong());
            };
            let shape = sizes(pickle, *shape).ok_or_else(wrong)?;
            let stride = sizes(pickle, *stride).ok_or_else(wrong)?;
            if shape.len() != stride.len() {
                return broken(format!("a tensor has shape {shape:?} and strides {stride:?}"));
            }
            let offset = pickle.count(*offset).ok_or_else(wrong)?;
            Ok(Node::Tensor(TensorRef {
                storage: storage.clone(),
                offset,
                shape,
                stride,
            }))
        }
        (Global::Parameter, [data, ..]) => Ok(pickle.get(*data).clone()),
        (Global::Size, [shape]) => {
            let shape = pickle.elements(*shape).ok_or_else(wrong)?;
            Ok(Node::Tuple(shape.to_vec()))
        }
        (Global::Device, [name, ..]) => Ok(Node::Str(pickle.text(*name).ok_or_else(wrong)?.into())),
        (Global::Encode, [text, ..]) => {
            let text = pickle.text(*text).ok_or_else(wrong)?;
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            Ok(Node::Bytes(Data::Own(bytes.ok_or_else(wrong)?)))
        }
        (Global::DType, [code, ..]) => {
            let code = pickle.text(*code).ok_or_else(wrong)?;
            Ok(Node::DType(Dtype::of_numpy(code)))
        }
        (Global::Reconstruct, [..]) => Ok(Node::Array(None)),
        (Global::NumpyScalar, [kind, data]) => match (pickle.get(*kind), pickle.get(*data)) {
            (Node::DType(Some(kind)), Node::Bytes(data)) => {
                number(*kind, bytes_of(buffer, data)).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        },
        (Global::GetAttr, [of, _name]) => match pickle.get(*of) {
            Node::Passive | Node::Global(Global::Passive) => Ok(Node::Passive),
            _ => Err(Problem::Refused("builtins.getattr".into())),
        },
        _ => Err(wrong()),
    }
}

/// Gives a value its state, as `__setstate__` would.
pub(super) fn build(pickle: &mut Pickle, buffer: &[u8], target: Id, state: Id) -> Result<(), Problem> {
    let odd = |what: &str| Problem::Broken(format!("{what} has an odd state"));
    match pickle.get(target) {
        // What an OrderedDict carries besides its items is torch's `_metadata`: versions of modules.
        Node::Dict(_) | Node::Passive => Ok(()),
        Node::Namespace(_) => {
            let items = pickle
                .items(state)
                .ok_or_else(|| odd("argparse.Namespace"))?
                .to_vec();
            let state = Node::Namespace(items);
            pickle.hold(state.weight())?;
            *pickle.get_mut(target) = state;
            Ok(())
        }
        Node::DType(kind) => {
            let order = pickle.elements(state).and_then(|s| s.get(1)).copied();
            match order.and_then(|id| pickle.text(id)) {
                Some("<" | "|" | "=") => Ok(()),
                Some(">") if kind.is_none_or(|k| k.size() > 1) => broken("its arrays are big-endian"),
                Some(">") => Ok(()),
                _ => Err(odd("numpy.dtype")),
            }
        }
        Node::Array(_) => {
            let Some(&[_version, shape, kind, fortran, data]) = pickle.elements(state) else {
                return Err(odd("numpy.ndarray"));
            };
            let shape = sizes(pickle, shape).ok_or_else(|| odd("numpy.ndarray"))?;
            let (Node::DType(kind), Node::Bytes(data)) = (pickle.get(kind), pickle.get(data)) else {
                return Err(odd("numpy.ndarray"));
            };
            let Some(kind) = *kind else {
                return broken("a numpy array holds no numbers");
            };
            if pickle.get(fortran) == &Node::Bool(true) && shape.len() > 1 {
                return broken("a numpy array is in column-major order");
            }
            let needed = bytes_needed(&shape, kind).ok_or_else(|| odd("numpy.ndarray"))?;
            let found = bytes_of(buffer, data).len() as u64;
            if needed != found {
                return broken(format!(
                    "a numpy array of shape {shape:?} needs {needed} bytes and has {found}"
                ));
            }
            let array = ArrayRef {
                shape,
                kind,
                data: data.clone(),
            };
            let array = Node::Array(Some(array));
            pickle.hold(array.weight())?;
            *pickle.get_mut(target) = array;
            Ok(())
        }
        _ => broken("something that has no state is given one"),
    }
}

/// The storage that a persistent id names: `("storage", type, key, device, elements)`.
pub(super) fn storage(pickle: &Pickle, id: Id) -> Result<Node, Problem> {
    let wrong = || Problem::Broken("it refers to something outside that is no storage".into());
    let parts = pickle.elements(id).ok_or_else(wrong)?;
    let &[what, kind, key, _device, numel, ref view @ ..] = parts else {
        return Err(wrong());
    };
    let Node::Global(Global::Storage(kind)) = pickle.get(kind) else {
        return Err(wrong());
    };
    if pickle.text(what) != Some("storage") {
        return Err(wrong());
    }
    if view.iter().any(|&v| pickle.get(v) != &Node::None) {
        return broken("it has storages that are views of others, which only PyTorch before 0.4 wrote");
    }
    Ok(Node::Storage(StorageRef {
        kind: *kind,
        key: pickle.text(key).ok_or_else(wrong)?.into(),
        numel: pickle.count(numel).ok_or_else(wrong)?,
    }))
}

/// Bytes of a dense array; `None` if no machine could have them.
pub(crate) fn bytes_needed(shape: &[u64], kind: Dtype) -> Option<u64> {
    shape
        .iter()
        .try_fold(kind.size(), |bytes, &n| bytes.checked_mul(n))
}

pub(crate) fn bytes_of<'a>(buffer: &'a [u8], data: &'a Data) -> &'a [u8] {
    match data {
        Data::Slice(range) => &buffer[range.clone()],
        Data::Own(bytes) => bytes,
    }
}

fn sizes(pickle: &Pickle, id: Id) -> Option<Vec<u64>> {
    let ids = pickle.elements(id).filter(|ids| ids.len() <= MAX_DIMS)?;
    ids.iter().map(|&id| pickle.count(id)).collect()
}

fn number(kind: Dtype, bytes: &[u8]) -> Option<Node> {
    Some(match kind {
        Dtype::F64 => Node::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::F32 => Node::Float(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        Dtype::I64 => Node::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::I32 => Node::Int(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        Dtype::Bool => Node::Bool(bytes != [0]),
        _ => return None,
    })
}
