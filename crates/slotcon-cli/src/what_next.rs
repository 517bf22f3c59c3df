//! What to type next, as a shell takes it.

use std::path::{Path, PathBuf};

/// `words` after the name under which this program was called.
pub fn command(words: &[&str]) -> String {
    let program = std::env::args_os().next().unwrap_or_else(|| "slotcon".into());
    let program = program.to_string_lossy();
    let words = [&[program.as_ref()], words].concat();
    // Only a NUL cannot be quoted, and no path holds one.
    shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "))
}

/// Groups found in `photos` by the network of the run directory `run`, and masks of them: a line each.
pub fn groups_and_masks(run: &Path, photos: &[PathBuf]) -> String {
    let run = run.to_string_lossy();
    let groups = format!("{run}/groups.safetensors");
    let folders = Vec::from_iter(photos.iter().map(|folder| folder.to_string_lossy()));

    let mut group = vec!["group", "--checkpoint", &run];
    for folder in &folders {
        group.extend(["--data", folder]);
    }
    group.extend(["--out", &groups]);
    let folders = Vec::from_iter(folders.iter().map(AsRef::as_ref));
    format!(
        "  {}\n  {}",
        command(&group),
        segment(&run, &groups, "masks", &folders)
    )
}

/// Masks in `out` of the groups in the file `groups`, in `photos`.
pub fn segment(checkpoint: &str, groups: &str, out: &str, photos: &[&str]) -> String {
    let words = [
        "segment",
        "--checkpoint",
        checkpoint,
        "--groups",
        groups,
        "--out",
        out,
    ];
    command(&[&words[..], photos].concat())
}
