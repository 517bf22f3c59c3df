//! Peak memory.

use tch::Device;

use crate::error::Error;
use crate::ffi::bridge;

/// Most bytes used at once: of libtorch's tensors on a GPU since [`reset_peak`], of the whole process on a CPU.
///
/// # Errors
/// A GPU that is not there.
pub fn peak_bytes(device: Device) -> Result<u64, Error> {
    Ok(match device {
        Device::Cuda(index) => bridge::peak_bytes(index as i8)? as u64,
        _ => process_peak(),
    })
}

/// Starts counting anew on a GPU; a process's peak cannot be forgotten.
///
/// # Errors
/// A GPU that is not there.
pub fn reset_peak(device: Device) -> Result<(), Error> {
    if let Device::Cuda(index) = device {
        bridge::reset_peak(index as i8)?;
    }
    Ok(())
}

/// `VmHWM` of this process; 0 where the system does not tell.
fn process_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
