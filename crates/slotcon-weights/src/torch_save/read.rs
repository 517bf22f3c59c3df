//! Files of `torch.save`: the zip archive of PyTorch 1.6 and later, and the chain of pickles before it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use zip::{CompressionMethod, ZipArchive};

use super::storage::Storages;
use crate::dtype::Dtype;
use crate::error::WeightsError;
use crate::pickle::{Id, Node, Pickle, Problem, Unpickler, broken};

/// Longest `data.pkl` that is read; that of ResNet-152 with its optimizer has 400 KB.
const MAX_PICKLE: u64 = 64 << 20;
/// What a legacy file begins with, as the bytes of an integer.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// An opened file: its values, and where the bytes of its storages are.
pub(crate) struct TorchFile {
    /// All values.
    pub pickle: Pickle,
    /// The one that was saved.
    pub root: Id,
    /// What the pickle was read from: arrays lie in it.
    pub buffer: Rc<Vec<u8>>,
    /// Its tensors' bytes.
    pub storages: Box<dyn Storages>,
}

/// Opens a zip archive.
pub(crate) fn open_zip(path: &Path) -> Result<TorchFile, WeightsError> {
    let problem = WeightsError::problem(path);
    let file = File::open(path).map_err(WeightsError::io(path))?;
    let length = file.metadata().map_err(WeightsError::io(path))?.len();
    let zip = ZipArchive::new(BufReader::new(file))
        .map_err(|e| WeightsError::format(path, format!("not a whole zip archive: {e}")))?;
    let names = zip.file_names().filter_map(Result::ok);
    let found: Vec<String> = names
        .filter(|name| name == "data.pkl" || name.ends_with("/data.pkl"))
        .map(Cow::into_owned)
        .collect();
    let [name] = &found[..] else {
        return Err(WeightsError::format(
            path,
            "a zip archive, but not of torch.save: it must hold one data.pkl",
        ));
    };
    let prefix = name.trim_end_matches("data.pkl").to_owned();
    let mut storages = ZipStorages { zip, prefix, length };
    let buffer = storages.entry(name, None, MAX_PICKLE).map_err(&problem)?;
    let order = format!("{}byteorder", storages.prefix);
    if storages.zip.index_for_name(&order).is_some()
        && storages.entry(&order, None, 16).map_err(&problem)? != b"little"
    {
        return Err(WeightsError::format(path, "saved on a big-endian machine"));
    }
    let mut unpickler = Unpickler::new(&buffer);
    let root = unpickler.load().map_err(&problem)?;
    Ok(TorchFile {
        pickle: unpickler.into_pickle(),
        root,
        buffer: Rc::new(buffer),
        storages: Box::new(storages),
    })
}

/// Opens a legacy file.
pub(crate) fn open_legacy(path: &Path, buffer: Vec<u8>) -> Result<TorchFile, WeightsError> {
    legacy(buffer).map_err(WeightsError::problem(path))
}

/// Whether a file begins as a legacy one does.
pub(crate) fn is_legacy(start: &[u8]) -> bool {
    // The protocol, from the fourth on a frame, then LONG1 of ten bytes: the magic number.
    let number = start.get(..32).unwrap_or(start);
    start.first() == Some(&0x80) && number.windows(MAGIC.len()).any(|window| window == MAGIC)
}

fn legacy(buffer: Vec<u8>) -> Result<TorchFile, Problem> {
    let mut unpickler = Unpickler::new(&buffer);
    let magic = unpickler.load()?;
    if unpickler.pickle().get(magic) != &Node::Long(MAGIC.to_vec()) {
        return broken("its magic number is wrong");
    }
    let protocol = unpickler.load()?;
    if unpickler.pickle().count(protocol) != Some(1001) {
        return broken("its protocol is not 1001");
    }
    let system = unpickler.load()?;
    let little = unpickler.pickle().item(system, "little_endian");
    if little.is_some_and(|id| unpickler.pickle().get(id) == &Node::Bool(false)) {
        return broken("saved on a big-endian machine");
    }
    let root = unpickler.load()?;
    let keys = unpickler.load()?;
    let mut position = unpickler.position();
    let pickle = unpickler.into_pickle();

    // Behind the pickles each storage: the number of its elements, then they. The size of an element is only known
    // from the tensors that use it.
    let kinds = pickle.storages();
    let mut places = HashMap::new();
    let keys = pickle
        .elements(keys)
        .ok_or_else(|| Problem::Broken("it has no list of storages".into()))?;
    for &key in keys {
        let Some((key, kind)) = pickle.text(key).and_then(|k| kinds.get_key_value(k)) else {
            return broken("it lists a storage that no tensor uses");
        };
        let start = position
            .checked_add(8)
            .filter(|&start| start <= buffer.len())
            .ok_or_else(|| Problem::Broken(format!("it ends before storage {key}")))?;
        let mut count = [0; 8];
        count.copy_from_slice(&buffer[position..start]);
        let bytes = u64::from_le_bytes(count).checked_mul(kind.size());
        let end = bytes
            .and_then(|b| usize::try_from(b).ok())
            .and_then(|b| start.checked_add(b))
            .filter(|&end| end <= buffer.len());
        let Some(end) = end else {
            return broken(format!(
                "storage {key} claims {} elements, {} bytes are left",
                u64::from_le_bytes(count),
                buffer.len() - start
            ));
        };
        places.insert(key.clone(), start..end);
        position = end;
    }
    let buffer = Rc::new(buffer);
    Ok(TorchFile {
        pickle,
        root,
        buffer: Rc::clone(&buffer),
        storages: Box::new(Slices { buffer, places }),
    })
}

impl Pickle {
    /// Type of the elements of every storage.
    fn storages(&self) -> HashMap<String, Dtype> {
        let storages = self.nodes().iter().filter_map(|node| match node {
            Node::Storage(storage) => Some((storage.key.clone(), storage.kind)),
            _ => None,
        });
        storages.collect()
    }
}

struct ZipStorages {
    zip: ZipArchive<BufReader<File>>,
    prefix: String,
    /// Of the file.
    length: u64,
}

impl ZipStorages {
    /// An entry of exactly `bytes` bytes, where they are known, and at most `limit`.
    fn entry(&mut self, name: &str, bytes: Option<u64>, limit: u64) -> Result<Vec<u8>, Problem> {
        let length = self.length;
        let entry = self
            .zip
            .by_name(name)
            .map_err(|e| Problem::Broken(format!("{name}: {e}")))?;
        // Nothing that torch.save writes is compressed, so nothing can be larger than the file.
        if entry.compression() != CompressionMethod::Stored {
            return broken(format!("{name} is compressed, which torch.save never does"));
        }
        let size = entry.size();
        if size > length || size > limit || bytes.is_some_and(|b| b != size) {
            let needed = bytes.map_or(format!("at most {}", limit.min(length)), |b| b.to_string());
            return broken(format!("{name} has {size} bytes, it must have {needed}"));
        }
        let mut data = Vec::with_capacity(size as usize);
        entry
            .take(size)
            .read_to_end(&mut data)
            .map_err(|e| Problem::Broken(format!("{name}: {e}")))?;
        if data.len() as u64 != size {
            return broken(format!("{name} ends after {} of {size} bytes", data.len()));
        }
        Ok(data)
    }
}

impl Storages for ZipStorages {
    fn read(&mut self, key: &str, bytes: u64) -> Result<Vec<u8>, Problem> {
        let name = format!("{}data/{key}", self.prefix);
        self.entry(&name, Some(bytes), u64::MAX)
    }
}

struct Slices {
    buffer: Rc<Vec<u8>>,
    places: HashMap<String, Range<usize>>,
}

impl Storages for Slices {
    fn read(&mut self, key: &str, bytes: u64) -> Result<Vec<u8>, Problem> {
        let Some(place) = self.places.get(key) else {
            return broken(format!("storage {key} is missing"));
        };
        if place.len() as u64 != bytes {
            return broken(format!(
                "storage {key} has {} bytes, its tensors need {bytes}",
                place.len()
            ));
        }
        Ok(self.buffer[place.clone()].to_vec())
    }
}
