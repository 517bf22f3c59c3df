//! Label maps of a case, and comparison of numbers.

use libtest_mimic::Failed;
use safetensors::{Dtype, SafeTensors};

/// The label that counts for nothing in every record.
pub const IGNORE: u16 = 255;

/// The maps of a `[pictures, height, width]` tensor of bytes.
pub fn maps(file: &SafeTensors, name: &str) -> Result<Vec<Vec<u16>>, Failed> {
    let view = file.tensor(name)?;
    let &[_, height, width] = view.shape() else {
        return Err(format!("{name} has shape {:?}", view.shape()).into());
    };
    check(view.dtype() == Dtype::U8, || {
        format!("{name} is {:?}", view.dtype())
    })?;
    let maps = view.data().chunks_exact(height * width);
    Ok(maps
        .map(|map| map.iter().map(|&id| u16::from(id)).collect())
        .collect())
}

/// Fails unless both lists have the same gaps and their numbers differ by no more than `tolerance`.
pub fn near(what: &str, ours: &[Option<f64>], theirs: &[Option<f64>], tolerance: f64) -> Result<(), Failed> {
    let same = |pair: (&Option<f64>, &Option<f64>)| match pair {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= tolerance,
        (None, None) => true,
        _ => false,
    };
    check(
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(same),
        || format!("{what}: {ours:?} for {theirs:?}"),
    )
}

/// Fails with a text unless something holds.
pub fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}
