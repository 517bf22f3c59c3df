//! Whether the checkpoints of a run will fit on their disk, looked at before the first step.

use std::path::Path;

use slotcon_nn::Store;

use crate::error::Error;
use crate::optim::Optimizer;
use crate::run_directory::RunDirectory;

/// Bytes of a checkpoint: the network and the optimizer's momentum, of every parameter that it trains.
pub fn checkpoint_bytes(network: &Store, optimizer: &Optimizer) -> u64 {
    let bytes = |tensor: &tch::Tensor| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64;
    let network = network.entries();
    let network = network.iter().map(|entry| bytes(&entry.tensor));
    network.chain(optimizer.parameters().iter().map(bytes)).sum()
}

/// Looks whether checkpoints of `bytes` fit into the run directory, which exists; what the user should know if only some do.
///
/// # Errors
/// Not one does.
pub fn check(directory: &RunDirectory, bytes: u64, keep: usize) -> Result<Option<String>, Error> {
    // A file system that does not tell is no reason not to train.
    let Ok(disk) = rustix::fs::statvfs(directory.root()) else {
        return Ok(None);
    };
    let there = directory.numbered().map_or(0, |found| found.len());
    judge(
        directory.root(),
        disk.f_bavail.saturating_mul(disk.f_frsize),
        bytes,
        keep,
        there,
    )
}

fn judge(root: &Path, free: u64, bytes: u64, keep: usize, there: usize) -> Result<Option<String>, Error> {
    if free < bytes {
        return Err(Error::DiskFull {
            path: root.into(),
            free: megabytes(free),
            checkpoint: megabytes(bytes),
        });
    }
    // The numbered ones, the best, and the one being written before the oldest goes.
    let most = (keep.max(1) + 2).saturating_sub(there) as u64;
    Ok((free < most.saturating_mul(bytes)).then(|| {
        format!(
            "{}: {} MB are free, and {most} more checkpoints of {} MB can come to lie there (run.keep = {keep}, the best, and the one \
             being written): the disk may be full before the run ends",
            root.display(),
            megabytes(free),
            megabytes(bytes)
        )
    }))
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn judged(free: u64, keep: usize, there: usize) -> Result<Option<String>, Error> {
        judge(Path::new("runs/a"), free * MB, 100 * MB, keep, there)
    }

    #[test]
    fn a_disk_without_room_for_one_checkpoint_is_refused() {
        let error = judged(99, 2, 0).unwrap_err().to_string();
        assert!(
            error.contains("runs/a") && error.contains("99 MB") && error.contains("100 MB"),
            "{error}"
        );
    }

    #[test]
    fn room_for_some_of_them_is_worth_a_word() {
        let text = judged(399, 2, 0).unwrap().unwrap();
        assert!(text.contains("4 more checkpoints of 100 MB"), "{text}");
        assert_eq!(judged(400, 2, 0).unwrap(), None);
        // Those of an earlier start lie there already.
        assert_eq!(judged(200, 2, 2).unwrap(), None);
    }
}
