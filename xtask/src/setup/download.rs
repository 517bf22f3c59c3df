//! Fetching wheels with pip, which knows the user's index, proxy and certificates, and verifies hashes.

use super::wheels::{self, Wheel};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a line is printed where there is no terminal for a progress bar.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The wheel of this package in `folder`, fetched unless it is there from an earlier, interrupted run. `scratch` is
/// for pip's unfinished files.
///
/// # Errors
/// If pip fails. What was fetched so far stays.
pub fn fetch(python: &Path, wheel: &Wheel, arch: &str, folder: &Path, scratch: &Path) -> Result<PathBuf> {
    if let Some(kept) = find(folder, wheel)? {
        return Ok(kept);
    }
    let landing = scratch.join("landing");
    std::fs::create_dir_all(&landing)?;
    let terminal = std::io::stdout().is_terminal();
    let mut pip = pip_download(python, wheel, arch, &landing, scratch);
    if !terminal {
        pip.args(["--quiet", "--progress-bar", "off"])
            .stdout(Stdio::null());
    }
    eprintln!(
        "fetching {} {} (about {} MB)",
        wheel.name, wheel.version, wheel.download_mb
    );
    let mut child = pip.spawn().context("cannot start pip")?;
    let status = if terminal {
        child.wait()?
    } else {
        watch(&mut child, wheel, scratch)?
    };
    if !status.success() {
        bail!(
            "pip could not fetch {} {} ({status}; its reason is above). Look at the network connection, the proxy \
             (HTTPS_PROXY) and pip's index (PIP_INDEX_URL, `pip config list`), then run the same command again: \
             what was fetched so far is kept",
            wheel.name,
            wheel.version
        );
    }
    // pip copies into its destination; only a rename makes the wheel appear whole or not at all.
    let fetched = find(&landing, wheel)?
        .with_context(|| format!("pip reported success but left no wheel of {}", wheel.name))?;
    let kept = folder.join(fetched.file_name().context("a wheel without a name")?);
    std::fs::rename(&fetched, &kept)?;
    Ok(kept)
}

fn pip_download(python: &Path, wheel: &Wheel, arch: &str, landing: &Path, scratch: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-cache-dir",
    ]);
    // Fixed tags: the libraries in torch's wheels are the same for every Python, so the user's version is no matter.
    pip.args([
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        "3.11",
    ]);
    for platform in wheels::platforms(arch) {
        pip.arg("--platform").arg(platform);
    }
    pip.arg("--dest")
        .arg(landing)
        .arg(format!("{}=={}", wheel.name, wheel.version));
    // pip unpacks into the folder for temporary files, which is often a small one in memory.
    pip.env("TMPDIR", scratch).env("PIP_REQUIRE_VIRTUALENV", "0");
    pip
}

fn watch(child: &mut Child, wheel: &Wheel, scratch: &Path) -> Result<ExitStatus> {
    let mut reported = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(50));
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let mb = size_of(scratch) / 1_000_000;
            eprintln!("  {}: {mb} of about {} MB", wheel.name, wheel.download_mb);
        }
    }
}

/// The bytes in a folder and those below it; what vanishes meanwhile counts nothing.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn find(folder: &Path, wheel: &Wheel) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if wheel.is_file(&entry.file_name().to_string_lossy()) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
