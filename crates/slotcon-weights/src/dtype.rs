//! Types of a tensor's elements, and what each file format calls them: the one table.

use safetensors::Dtype as Safe;
use tch::Kind;

/// The type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// Type, libtorch's kind, safetensors' type, PyTorch's name, PyTorch's storage class, numpy's code without byte order
/// (empty where numpy has no such type).
type Row = (Dtype, Kind, Safe, &'static str, &'static str, &'static str);

const TABLE: [Row; 10] = [
    (
        Dtype::F64,
        Kind::Double,
        Safe::F64,
        "float64",
        "DoubleStorage",
        "f8",
    ),
    (
        Dtype::F32,
        Kind::Float,
        Safe::F32,
        "float32",
        "FloatStorage",
        "f4",
    ),
    (Dtype::F16, Kind::Half, Safe::F16, "float16", "HalfStorage", "f2"),
    (
        Dtype::Bf16,
        Kind::BFloat16,
        Safe::BF16,
        "bfloat16",
        "BFloat16Storage",
        "",
    ),
    (Dtype::I64, Kind::Int64, Safe::I64, "int64", "LongStorage", "i8"),
    (Dtype::I32, Kind::Int, Safe::I32, "int32", "IntStorage", "i4"),
    (Dtype::I16, Kind::Int16, Safe::I16, "int16", "ShortStorage", "i2"),
    (Dtype::I8, Kind::Int8, Safe::I8, "int8", "CharStorage", "i1"),
    (Dtype::U8, Kind::Uint8, Safe::U8, "uint8", "ByteStorage", "u1"),
    (Dtype::Bool, Kind::Bool, Safe::BOOL, "bool", "BoolStorage", "b1"),
];

impl Dtype {
    fn find(wanted: impl Fn(&Row) -> bool) -> Option<Self> {
        TABLE.iter().find(|row| wanted(row)).map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        // The table is in the order of the variants.
        &TABLE[self as usize]
    }

    /// The type of libtorch's `kind`; `None` for complex and quantised numbers.
    pub fn of(kind: Kind) -> Option<Self> {
        Self::find(|row| row.1 == kind)
    }

    /// The type that a safetensors header names; `None` for those that libtorch lacks.
    pub fn of_safetensors(dtype: Safe) -> Option<Self> {
        Self::find(|row| row.2 == dtype)
    }

    /// The type of a storage class such as `FloatStorage`.
    pub fn of_storage(class: &str) -> Option<Self> {
        Self::find(|row| row.4 == class)
    }

    /// The type of a numpy code such as `<f4`; `None` for elements that are no numbers or that are big-endian.
    pub fn of_numpy(code: &str) -> Option<Self> {
        let bare = code.trim_start_matches(['<', '|', '=']);
        Self::find(|row| !row.5.is_empty() && row.5 == bare)
    }

    /// Bytes of an element.
    pub fn size(self) -> u64 {
        self.kind().elt_size_in_bytes() as u64
    }

    /// libtorch's name for it.
    pub fn kind(self) -> Kind {
        self.row().1
    }

    /// Its name in a safetensors header.
    pub fn safetensors(self) -> Safe {
        self.row().2
    }

    /// PyTorch's name, e.g. `float32`.
    pub fn name(self) -> &'static str {
        self.row().3
    }

    /// PyTorch's class of storages with such elements.
    pub fn storage(self) -> &'static str {
        self.row().4
    }

    /// numpy's code, little-endian where that matters, e.g. `<f4`; `None` where numpy has no such type.
    pub fn numpy(self) -> Option<String> {
        let code = self.row().5;
        let order = if self.size() == 1 { '|' } else { '<' };
        (!code.is_empty()).then(|| format!("{order}{code}"))
    }
}

/// Elements of a tensor in row-major order, little-endian.
pub fn tensor_bytes(tensor: &tch::Tensor) -> Vec<u8> {
    let tensor = tensor.detach().to_device(tch::Device::Cpu).contiguous();
    let mut bytes = vec![0u8; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_type() {
        for row in &TABLE {
            let dtype = row.0;
            assert_eq!(dtype.row().0, dtype, "the table is in the order of the variants");
            assert_eq!(Dtype::of(dtype.kind()), Some(dtype));
            assert_eq!(Dtype::of_safetensors(dtype.safetensors()), Some(dtype));
            assert_eq!(Dtype::of_storage(dtype.storage()), Some(dtype));
            assert_eq!(
                dtype.numpy().and_then(|code| Dtype::of_numpy(&code)).is_none(),
                dtype == Dtype::Bf16
            );
        }
        assert_eq!(Dtype::F32.numpy().unwrap(), "<f4");
        assert_eq!(Dtype::U8.numpy().unwrap(), "|u1");
        assert_eq!(Dtype::of_numpy(">f4"), None);
        assert_eq!(Dtype::of_numpy(""), None);
    }
}
