//! Writing a checkpoint, as an atomic file.

use std::path::Path;

use slotcon_nn::Store;
use slotcon_weights::{WeightsError, safetensors};

use super::{CheckpointError, FORMAT_VERSION, HEADER, Header, MOMENTUM, NETWORK, Progress};
use crate::optim::Optimizer;
use crate::recipe::TaskRecipe;

/// Writes network, optimizer, recipe and progress to `path`.
///
/// # Errors
/// What the file system says; the old file, if any, is intact then and nothing else is left behind.
pub fn save<R: TaskRecipe>(
    path: &Path,
    network: &Store,
    optimizer: &Optimizer,
    recipe: &R,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    let network = network
        .entries()
        .into_iter()
        .map(|entry| (format!("{NETWORK}{}", entry.name), entry.tensor));
    let momenta = optimizer
        .state()
        .map(|(name, momentum)| (format!("{MOMENTUM}{name}"), momentum));
    let unwritable = |reason: String| WeightsError::format(path, reason);
    let header = Header {
        format_version: FORMAT_VERSION,
        written_by: concat!("slotcon ", env!("CARGO_PKG_VERSION")).into(),
        task: R::TASK.into(),
        recipe: recipe.to_toml().map_err(|e| unwritable(e.to_string()))?,
        progress: progress.clone(),
    };
    let header = serde_json::to_string(&header).map_err(|e| unwritable(e.to_string()))?;
    Ok(safetensors::write(
        path,
        network.chain(momenta),
        (HEADER, header),
    )?)
}
