//! What a processor makes of golden values. Boxes are float32 in detectron2 and here, and their `exp` and `log` are those of MKL, which
//! rounds them in one way on one processor and in another on the next: by a last digit of float32, which is enough to change which of
//! two overlapping boxes is kept. MKL's mode for processors without AVX2 rounds as the recorded values have it (bit for bit as its
//! compatible mode does: `exp` and `log` of 2 million numbers each); it multiplies matrices at a fifth of AVX-512's speed, so it is
//! asked only where the processor's own way differs.

use std::process::Command;

use libtest_mimic::Failed;

/// MKL's variable for rounding that does not depend on the processor; read once, at its first call.
const VARIABLE: &str = "MKL_CBWR";
/// Rounds as `COMPATIBLE` does and multiplies matrices 1.6 times as fast.
const MODE: &str = "AVX";

/// The outcome of `check`, the trial `name` of this program. Where it fails, the trial is repeated in a process of its own in that
/// mode, and the outcome of that counts.
pub fn as_recorded(name: &str, check: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let outcome = check();
    let Err(failed) = outcome else { return Ok(()) };
    if std::env::var_os(VARIABLE).is_some() {
        return Err(failed);
    }
    let mut again = Command::new(std::env::current_exe()?);
    let again = again.args(["--exact", name]).env(VARIABLE, MODE).output()?;
    let said = String::from_utf8_lossy(&again.stdout);
    if again.status.success() && said.contains("1 passed") {
        println!("{name}: this processor's MKL rounds float32 otherwise; with {VARIABLE}={MODE}:\n{said}");
        return Ok(());
    }
    let first = failed.message().unwrap_or_default();
    Err(format!("{first}\nwith {VARIABLE}={MODE} as well:\n{said}").into())
}
