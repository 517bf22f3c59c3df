//! What a processor makes of golden values. Boxes are float32 in detectron2 and here, and their `exp` and `log` are those of MKL, which
//! rounds them in one way on one processor and in another on the next: by a last digit of float32, which is enough to change which of
//! two overlapping boxes is kept. MKL's mode for processors without AVX2 rounds as the recorded values have it (bit for bit as its
//! compatible mode does: `exp` and `log` of 2 million numbers each); it multiplies matrices at a fifth of AVX-512's speed, so it is
//! asked only where the processor's own way differs.

use std::process::Command;

use libtest_mimic::Failed;
use tch::{Device, Kind, Tensor};

/// MKL's variable for rounding that does not depend on the processor; read once, at its first call.
const VARIABLE: &str = "MKL_CBWR";
/// Rounds as `COMPATIBLE` does and multiplies matrices 1.6 times as fast.
const MODE: &str = "AVX";
/// What [`checksum`] gives in that mode.
const EXP: u32 = 1_139_453_293;
const LOG: u32 = 1_853_783_792;

/// The outcome of `check`, the trial `name` of this program. Where this processor rounds otherwise than the recorded values, the trial
/// runs in a process of its own in that mode, whose outcome counts.
pub fn as_recorded(name: &str, check: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    if std::env::var_os(VARIABLE).is_some() || rounds_as_recorded() {
        return check();
    }
    let mut in_mode = Command::new(std::env::current_exe()?);
    let output = in_mode.args(["--exact", name]).env(VARIABLE, MODE).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.contains("1 passed") {
        println!("{name}: this processor's MKL rounds float32 otherwise; with {VARIABLE}={MODE}:\n{said}");
        return Ok(());
    }
    Err(format!("with {VARIABLE}={MODE}:\n{said}").into())
}

/// Whether `exp` of numbers from -4 to 4, and `log` of that, have, to the last digit, the values that they had where the cases were recorded.
fn rounds_as_recorded() -> bool {
    let numbers = Tensor::arange_start(-32768, 32768, (Kind::Float, Device::Cpu)) / 8192.0;
    checksum(&numbers.exp()) == EXP && checksum(&numbers.exp().log()) == LOG
}

/// A checksum of a tensor of f32 that tells any two digits apart.
fn checksum(numbers: &Tensor) -> u32 {
    let numbers = Vec::<f32>::try_from(numbers).unwrap();
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    crc32fast::hash(&bytes)
}
