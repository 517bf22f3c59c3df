//! What a processor makes of golden values. Boxes are float32 in detectron2 and here, and their `exp` and `log` are those of MKL, which
//! rounds them in one way on one processor and in another on the next: by a last digit of float32, which is enough to change which of
//! two overlapping boxes is kept. MKL's way for the oldest processors is that of the recorded values (bit for bit: `exp` and `log` of 2
//! million numbers each); it is asked for where the processor's own differs.

use std::process::Command;

use libtest_mimic::Failed;
use tch::{Device, Kind, Tensor};

/// MKL's variables for it, read once, at its first call; the first that helps is taken. The first is for its vector functions alone, and
/// MKL's manual does not have it; the second is for all of MKL, which multiplies matrices at a quarter of AVX-512's speed then.
const VARIABLES: [(&str, &str); 2] = [("MKL_VML_DEBUG_CPU_TYPE", "0"), ("MKL_CBWR", "AVX")];
/// What [`checksum`] gives in that mode.
const EXP: u32 = 1_139_453_293;
const LOG: u32 = 1_853_783_792;

/// The outcome of `check`, the trial `name` of this program. Where this processor rounds otherwise than the recorded values, the trial
/// runs in a process of its own in which it does not, whose outcome counts.
pub fn as_recorded(name: &str, check: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let unset = |(variable, _): &&(&str, &str)| std::env::var_os(variable).is_none();
    let Some((variable, value)) = VARIABLES.iter().find(unset).filter(|_| !rounds_as_recorded()) else {
        return check();
    };
    let mut in_mode = Command::new(std::env::current_exe()?);
    let output = in_mode.args(["--exact", name]).env(variable, value).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.contains("1 passed") {
        println!("{name}: this processor's MKL rounds float32 otherwise; with {variable}={value}:\n{said}");
        return Ok(());
    }
    Err(format!("with {variable}={value}:\n{said}").into())
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
