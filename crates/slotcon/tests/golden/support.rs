//! Golden values of the official implementation: where they are, how weights and inputs are made from names.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

/// The folder that `SLOTCON_FIXTURES` names, or `../shared/fixtures` beside the project; `None` (said loudly) where it is absent.
pub fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("SLOTCON_FIXTURES")
        .map_or_else(|| root.join("../shared/fixtures"), |value| root.join(value));
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "IGNORED: no golden values at {}; set SLOTCON_FIXTURES to a folder that has them",
        folder.display()
    );
    None
}

/// All files in `folder` that begin with `prefix` and end with `suffix`, sorted.
pub fn cases(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(suffix)
        })
        .collect();
    found.sort();
    found
}

fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Uniform in [0, 1): value `i` of the stream that belongs to `name`.
pub fn unit(name: &str, i: u64) -> f64 {
    let mut z = seed(name).wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
}

/// Uniform in [-1, 1).
pub fn sym(name: &str, i: u64) -> f64 {
    2.0 * unit(name, i) - 1.0
}

/// Values of a recorded tensor (f64 or f32).
pub fn values(file: &SafeTensors, name: &str) -> Option<Vec<f64>> {
    let view = file.tensor(name).ok()?;
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F64 => bytes
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect(),
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect(),
        other => panic!("{name}: unexpected type {other:?}"),
    })
}
