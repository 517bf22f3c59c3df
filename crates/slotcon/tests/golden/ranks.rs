//! A trial that is several processes: this program starts itself once more for every rank, with the one trial.

use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Failed;
use slotcon_torch::distributed::{Join, Ranks, Store};

const RANK: &str = "SLOTCON_GOLDEN_RANK";
const PORT: &str = "SLOTCON_GOLDEN_PORT";
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs `body` of the trial `name` as every one of `size` ranks.
pub fn run(name: &str, size: usize, body: impl Fn(&Ranks) -> Result<(), Failed>) -> Result<(), Failed> {
    if size == 1 {
        return body(&Ranks::alone());
    }
    if let Ok(rank) = std::env::var(RANK) {
        let store = Store::connect("localhost", std::env::var(PORT)?.parse()?, TIMEOUT, "golden/")?;
        let ranks = Ranks::join(&Join {
            store: &store,
            rank: rank.parse()?,
            size,
            timeout: TIMEOUT,
            address: "127.0.0.1",
            device: tch::Device::Cpu,
        })?;
        body(&ranks)?;
        // Nobody takes his connections away from those who still compute.
        ranks.sum_numbers([0], slotcon_torch::distributed::Traffic::Control)?;
        return Ok(());
    }
    let store = Store::keep(0, TIMEOUT, "golden/")?;
    let mut children = Vec::new();
    for rank in 0..size {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--exact", name])
            .env(RANK, rank.to_string())
            .env(PORT, store.port().to_string());
        children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    }
    let mut failed = Vec::new();
    for (rank, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output()?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        print!(
            "{}",
            out.lines()
                .filter(|l| l.contains("values"))
                .fold(String::new(), |all, l| all + l + "\n")
        );
        if !output.status.success() || !out.contains("1 passed") {
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            failed.push(format!("rank {rank}:\n{out}\n{err}"));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n").into())
    }
}
