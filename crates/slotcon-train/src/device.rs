//! Which device a run uses, and which number format suits it.

use tch::{Cuda, Device};

use crate::error::Error;
use crate::recipe::Precision;

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

/// What the user of a CPU is to be warned of about a number format, if anything.
pub(crate) fn warning(device: Device, precision: Precision) -> Option<&'static str> {
    warning_for(device, precision, has_bf16())
}

fn warning_for(device: Device, precision: Precision, has_bf16: bool) -> Option<&'static str> {
    match (device, precision, has_bf16) {
        (Device::Cpu, Precision::Bf16, false) => {
            Some("this processor does not compute in bf16, it is emulated: --precision f32 is faster")
        }
        (Device::Cpu, Precision::F16, _) => Some(
            "f16 is for GPUs and slow on a CPU: take --precision f32, or bf16 where the processor has it",
        ),
        _ => None,
    }
}

/// Whether the processor multiplies bf16 numbers itself.
pub(crate) fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("bf16");
    #[allow(unreachable_code, reason = "other processors")]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_the_processor_emulates_is_warned_of() {
        let warned = |device, precision, has| warning_for(device, precision, has).is_some();
        let (cpu, gpu) = (Device::Cpu, Device::Cuda(0));
        assert!(warned(cpu, Precision::Bf16, false) && !warned(cpu, Precision::Bf16, true));
        assert!(!warned(cpu, Precision::F32, true) && !warned(cpu, Precision::F32, false));
        assert!(warned(cpu, Precision::F16, true) && warned(cpu, Precision::F16, false));
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            assert!(!warned(gpu, precision, false));
        }
    }
}
