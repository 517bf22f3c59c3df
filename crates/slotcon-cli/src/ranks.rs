//! `slotcon pretrain --ranks N`: the same command once more for every rank, on this machine.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use slotcon_torch::distributed::Store;
use slotcon_train::process_group::heartbeat::record_first_failure;
use slotcon_train::process_group::keep_store;
use slotcon_train::{Stop, TaskRecipe};

use crate::status::Status;

/// How long ranks may take to end once one has failed.
const GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(30);

/// Sets this run apart at its store.
const ATTEMPT: [(&str, &str); 2] = [
    ("TORCHELASTIC_RUN_ID", "local"),
    ("TORCHELASTIC_RESTART_COUNT", "0"),
];

/// Runs this command as `size` ranks. This process computes nothing: it keeps the store at which the ranks meet, hands
/// them signals, and says which of them was killed.
///
/// # Errors
/// A batch that cannot be shared, processes that cannot be started.
pub fn run<R: TaskRecipe>(size: usize, recipe: &R) -> anyhow::Result<Status> {
    recipe.optim().per_rank_batch(size)?;
    let timeout = Duration::from_secs_f64(recipe.run().rank_timeout);
    let attempt = ATTEMPT.map(|(_, value)| value).join("/");
    let store = keep_store(&attempt, timeout)?;
    let mut signals = Signals::new(Stop::signals())?;
    let mut ranks = Ranks {
        children: Vec::with_capacity(size),
    };
    for rank in 0..size {
        let child = start(rank, size, store.port()).with_context(|| format!("cannot start rank {rank}"))?;
        ranks.children.push((child, None));
    }
    ranks.wait(&store, &mut signals)
}

/// Rank 0 speaks for itself; what the others say passes through here line by line, so that lines stay whole.
fn start(rank: usize, size: usize, port: u16) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments(std::env::args_os().skip(1)))
        .env("RANK", rank.to_string())
        .env("LOCAL_RANK", rank.to_string())
        .env("WORLD_SIZE", size.to_string())
        .env("LOCAL_WORLD_SIZE", size.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string())
        .env("TORCHELASTIC_USE_AGENT_STORE", "True")
        .envs(ATTEMPT)
        .stdin(Stdio::null())
        // Ctrl-C reaches the ranks through this process only, and once.
        .process_group(0);
    if rank > 0 {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    }
    let mut child = command.spawn()?;
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || {
            let lines = BufReader::new(stderr).split(b'\n');
            for line in lines.map_while(Result::ok) {
                eprintln!("{}", String::from_utf8_lossy(&line));
            }
        });
    }
    Ok(child)
}

/// This command's arguments without `--ranks`.
fn arguments(all: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skip = false;
    for argument in all {
        if std::mem::take(&mut skip) {
            continue;
        }
        let text = argument.to_string_lossy();
        if text == "--ranks" {
            skip = true;
        } else if !text.starts_with("--ranks=") {
            kept.push(argument);
        }
    }
    kept
}

/// The processes, by rank, and how they ended. Whatever happens here, none outlives this.
struct Ranks {
    children: Vec<(Child, Option<ExitStatus>)>,
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for (child, status) in &mut self.children {
            if status.is_none() {
                // It may have ended by itself just now.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Ranks {
    fn wait(&mut self, store: &Store, signals: &mut Signals) -> anyhow::Result<Status> {
        let mut failed: Option<(Instant, u8)> = None;
        let mut stopped = false;
        loop {
            for signal in signals.pending() {
                self.send(match signal {
                    SIGINT => Signal::INT,
                    SIGHUP => Signal::HUP,
                    SIGUSR1 => Signal::USR1,
                    SIGUSR2 => Signal::USR2,
                    _ => Signal::TERM,
                });
            }
            for (rank, (child, status)) in self.children.iter_mut().enumerate() {
                if status.is_some() {
                    continue;
                }
                let Some(ended) = child.try_wait()? else { continue };
                *status = Some(ended);
                stopped |= ended.code() == Some(130);
                if ended.success() || ended.code() == Some(130) {
                    continue;
                }
                if let Some(signal) = ended.signal() {
                    let text = killed(rank, child.id(), signal);
                    eprintln!("{text}");
                    // The others learn it from the store.
                    record_first_failure(store, &text)?;
                }
                let code = ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                failed.get_or_insert((Instant::now(), code));
            }
            if self.children.iter().all(|(_, status)| status.is_some()) {
                return Ok(match failed {
                    Some((_, code)) => Status(code),
                    None if stopped => Status::STOPPED,
                    None => Status::DONE,
                });
            }
            if let Some((since, code)) = failed
                && since.elapsed() > GRACE
            {
                let left: Vec<String> = self.running().map(|rank| rank.to_string()).collect();
                eprintln!("rank {} does not end by itself and is killed", left.join(", "));
                return Ok(Status(code));
            }
            std::thread::sleep(POLL);
        }
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        let ranks = self.children.iter().enumerate();
        ranks
            .filter(|(_, (_, status))| status.is_none())
            .map(|(rank, _)| rank)
    }

    fn send(&self, signal: Signal) {
        for rank in self.running() {
            let id = self.children[rank].0.id();
            if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                // One that has ended by itself in the meantime needs no signal.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

fn killed(rank: usize, process: u32, signal: i32) -> String {
    let why = match signal {
        9 => ": SIGKILL, by hand or because the machine ran out of memory",
        11 => ": SIGSEGV",
        6 => ": SIGABRT",
        15 => ": SIGTERM",
        _ => "",
    };
    format!("rank {rank} (process {process}) was killed by signal {signal}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_not_asked_to_start_ranks() {
        let kept = |list: &[&str]| -> Vec<OsString> { arguments(list.iter().map(OsString::from)) };
        assert_eq!(
            kept(&["pretrain", "--ranks", "2", "--out", "x"]),
            ["pretrain", "--out", "x"]
        );
        assert_eq!(
            kept(&["pretrain", "--ranks=2", "--steps", "4"]),
            ["pretrain", "--steps", "4"]
        );
    }
}
