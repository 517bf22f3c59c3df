//! Is there an NVIDIA driver, and is it new enough for CUDA 13?

use super::layout::Variant;
use std::path::Path;

/// The first driver series that runs CUDA 13.0.
const FIRST_DRIVER: u32 = 580;

/// Where distributions, containers and WSL put the driver's library.
const LIBRARY_FOLDERS: [&str; 7] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
];

/// The build of libtorch that makes the most of this machine.
pub fn variant_for_this_machine() -> Variant {
    let version = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    match version.as_deref().map(major) {
        Some(Some(driver)) if driver < FIRST_DRIVER => {
            eprintln!(
                "xtask: the NVIDIA driver here is of series {driver}; CUDA 13.0 needs {FIRST_DRIVER} or newer, so the \
                 CPU build is set up. Update the driver, or force the CUDA build with `cargo xtask setup --cuda`."
            );
            Variant::Cpu
        }
        Some(_) => Variant::Cuda,
        None if has_library() => Variant::Cuda,
        None => Variant::Cpu,
    }
}

fn has_library() -> bool {
    let configured = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    std::env::split_paths(&configured)
        .chain(
            LIBRARY_FOLDERS
                .iter()
                .map(|folder| Path::new(folder).to_path_buf()),
        )
        .any(|folder| folder.join("libcuda.so.1").exists())
}

/// The driver's series in the text of `/proc/driver/nvidia/version`: the first word that is `digits.digits…`.
fn major(text: &str) -> Option<u32> {
    text.lines()
        .find(|line| line.starts_with("NVRM version"))?
        .split_whitespace()
        .find_map(|word| word.split_once('.').and_then(|(major, _)| major.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn driver_series() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n\
                      GCC version:  gcc version 12.2.0";
        assert_eq!(major(closed), Some(535));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build";
        assert_eq!(major(open), Some(580));
        assert_eq!(major("GCC version:  gcc version 12.2.0"), None);
    }
}
