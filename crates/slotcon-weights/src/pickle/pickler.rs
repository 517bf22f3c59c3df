//! Writing pickles: the values of Python that PyTorch, detectron2 and the official code read.

use tch::Tensor;

use crate::dtype::{Dtype, tensor_bytes};

/// A value of Python.
#[derive(Debug)]
pub enum Py {
    /// `None`
    None,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float`
    Float(f64),
    /// `str`
    Text(String),
    /// `list`
    List(Vec<Py>),
    /// `dict`
    Dict(Vec<(Py, Py)>),
    /// `collections.OrderedDict`
    Ordered(Vec<(String, Tensor)>),
    /// `argparse.Namespace`
    Namespace(Vec<(&'static str, Py)>),
    /// `torch.Tensor`, or `numpy.ndarray` in a pickle of numpy arrays
    Tensor(Tensor),
}

impl Py {
    /// A dictionary with text as keys.
    pub fn dict<const N: usize>(items: [(&str, Py); N]) -> Self {
        let items = items
            .into_iter()
            .map(|(key, value)| (Py::Text(key.into()), value));
        Py::Dict(items.collect())
    }
}

/// How tensors are written.
enum Tensors {
    /// As `torch.save` does: by reference to storages.
    Storages(Vec<Tensor>),
    /// As numpy arrays, in the pickle itself.
    Arrays,
}

/// A pickle of `torch.save`, and the storages that it refers to by their position.
pub(crate) fn torch_pickle(value: Py) -> Result<(Vec<u8>, Vec<Tensor>), String> {
    let mut writer = Writer {
        out: vec![0x80, 2],
        tensors: Tensors::Storages(Vec::new()),
    };
    writer.value(value)?;
    writer.out.push(b'.');
    match writer.tensors {
        Tensors::Storages(storages) => Ok((writer.out, storages)),
        Tensors::Arrays => Ok((writer.out, Vec::new())),
    }
}

/// A pickle with numpy arrays (protocol 3: the first in which bytes are bytes).
pub(crate) fn numpy_pickle(value: Py) -> Result<Vec<u8>, String> {
    let mut writer = Writer {
        out: vec![0x80, 3],
        tensors: Tensors::Arrays,
    };
    writer.value(value)?;
    writer.out.push(b'.');
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    tensors: Tensors,
}

impl Writer {
    fn value(&mut self, value: Py) -> Result<(), String> {
        match value {
            Py::None => self.out.push(b'N'),
            Py::Bool(b) => self.bool(b),
            Py::Int(n) => self.int(n),
            Py::Float(x) => {
                self.out.push(b'G');
                self.out.extend(x.to_be_bytes());
            }
            Py::Text(text) => self.text(&text)?,
            Py::List(items) => {
                self.out.extend(b"](");
                for item in items {
                    self.value(item)?;
                }
                self.out.push(b'e');
            }
            Py::Dict(items) => {
                self.out.extend(b"}(");
                for (key, value) in items {
                    self.value(key)?;
                    self.value(value)?;
                }
                self.out.push(b'u');
            }
            Py::Ordered(items) => {
                self.global("collections", "OrderedDict");
                self.out.extend(b")R(");
                for (key, tensor) in items {
                    self.text(&key)?;
                    self.tensor(&tensor)?;
                }
                self.out.push(b'u');
            }
            Py::Namespace(items) => {
                self.global("argparse", "Namespace");
                self.out.extend(b")\x81}(");
                for (key, value) in items {
                    self.text(key)?;
                    self.value(value)?;
                }
                self.out.extend(b"ub");
            }
            Py::Tensor(tensor) => self.tensor(&tensor)?,
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &Tensor) -> Result<(), String> {
        let shape = tensor.size();
        match &mut self.tensors {
            Tensors::Storages(storages) => {
                let key = storages.len().to_string();
                storages.push(tensor.shallow_clone());
                let Some(dtype) = Dtype::of(tensor.kind()) else {
                    return Err(format!("no storage of PyTorch for {:?}", tensor.kind()));
                };
                self.global("torch._utils", "_rebuild_tensor_v2");
                self.out.extend(b"((");
                self.text("storage")?;
                self.global("torch", dtype.storage());
                self.text(&key)?;
                self.text("cpu")?;
                self.int(tensor.numel() as i64);
                self.out.extend(b"tQ");
                self.int(0);
                self.tuple(&shape);
                self.tuple(&dense_strides(&shape));
                self.bool(false);
                self.global("collections", "OrderedDict");
                self.out.extend(b")RtR");
            }
            Tensors::Arrays => {
                let code = Dtype::of(tensor.kind()).and_then(Dtype::numpy);
                let Some(code) = code else {
                    return Err(format!("no numpy type for {:?}", tensor.kind()));
                };
                // The name that every version of numpy reads.
                self.global("numpy.core.multiarray", "_reconstruct");
                self.out.push(b'(');
                self.global("numpy", "ndarray");
                self.tuple(&[0]);
                self.out.extend(b"C\x01btR(");
                self.int(1);
                self.tuple(&shape);
                self.global("numpy", "dtype");
                self.out.push(b'(');
                self.text(&code)?;
                self.bool(false);
                self.bool(true);
                self.out.extend(b"tR");
                self.bool(false);
                let bytes = tensor_bytes(tensor);
                let length =
                    u32::try_from(bytes.len()).map_err(|_| format!("{} bytes in one tensor", bytes.len()))?;
                self.out.push(b'B');
                self.out.extend(length.to_le_bytes());
                self.out.extend(bytes);
                self.out.extend(b"tb");
            }
        }
        Ok(())
    }

    fn bool(&mut self, b: bool) {
        self.out.push(if b { 0x88 } else { 0x89 });
    }

    fn int(&mut self, n: i64) {
        if let Ok(n) = i32::try_from(n) {
            self.out.push(b'J');
            self.out.extend(n.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(n.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let length = u32::try_from(text.len()).map_err(|_| "a text is too long".to_owned())?;
        self.out.push(b'X');
        self.out.extend(length.to_le_bytes());
        self.out.extend(text.as_bytes());
        Ok(())
    }

    fn tuple(&mut self, sizes: &[i64]) {
        self.out.push(b'(');
        for &n in sizes {
            self.int(n);
        }
        self.out.push(b't');
    }

    fn global(&mut self, module: &str, name: &str) {
        self.out.extend(format!("c{module}\n{name}\n").into_bytes());
    }
}

/// Row-major.
fn dense_strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1);
    }
    strides
}
