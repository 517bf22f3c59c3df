//! Which device a run uses.

use tch::{Cuda, Device};

use crate::error::Error;

/// `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// Another word, or a GPU that is not there.
pub fn parse(asked: &str) -> Result<Device, Error> {
    parse_for(asked, 0)
}

/// The same for process `local_rank` of this machine: `auto` and `cuda` are the GPU of that number.
///
/// # Errors
/// As [`parse`]; fewer GPUs than processes.
pub fn parse_for(asked: &str, local_rank: usize) -> Result<Device, Error> {
    let fail = |reason: String| Error::Device {
        asked: asked.into(),
        reason,
    };
    let index = match asked {
        "cpu" => return Ok(Device::Cpu),
        "auto" if Cuda::is_available() => local_rank,
        "auto" => return Ok(Device::Cpu),
        "cuda" => local_rank,
        other => other
            .strip_prefix("cuda:")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| fail("expected auto, cpu, cuda or cuda:N".into()))?,
    };
    match Cuda::device_count() {
        0 => Err(fail(
            "no GPU can be used: either there is none, or its driver is missing, or this program was built for the CPU \
             (`cargo xtask setup --cuda` and a new build make one for GPUs)"
                .into(),
        )),
        count if index as i64 >= count && index == local_rank && index > 0 => Err(fail(format!(
            "this is process {index} of this machine, counted from 0, and there are only {count} GPUs: start one process a \
             GPU"
        ))),
        count if index as i64 >= count => Err(fail(format!("there are only {count}, numbered from 0"))),
        _ => Ok(Device::Cuda(index)),
    }
}

/// In words, for logs.
pub fn describe(device: Device) -> String {
    match device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        Device::Cuda(n) => format!("CUDA GPU {n}"),
        other => format!("{other:?}"),
    }
}
