//! Runs of a sweep as processes: this program itself, one after the other or several at once.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use slotcon_train::Stop;

use crate::status::Status;

const POLL: Duration = Duration::from_millis(50);

/// A process to be.
#[derive(Debug)]
pub struct Job {
    /// What it is called when it is spoken of.
    pub name: String,
    /// Arguments of this program.
    pub arguments: Vec<std::ffi::OsString>,
    /// Where it says what it says.
    pub log: PathBuf,
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did all there was to do.
    Done,
    /// A signal ended it in good order; it can go on.
    Stopped,
    /// It did not, and why.
    Failed(String),
}

/// A process that goes on. It does not outlive this.
struct Running {
    job: usize,
    child: Child,
    begun: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless this program is on its way out by an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `jobs` in their order, `at_once` at a time, and tells `ended` of each: its number, how it ended, how long it took. Once
/// `stop` is set no more are begun, and those that go on are asked to end in good order.
///
/// # Errors
/// A process that cannot be started; an error of `ended`.
pub fn run_all(
    jobs: &[Job],
    at_once: usize,
    stop: &Stop,
    mut ended: impl FnMut(usize, Ended, Duration) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut waiting = 0..jobs.len();
    let mut running: Vec<Running> = Vec::new();
    let mut asked = false;
    loop {
        while running.len() < at_once && !stop.requested() {
            let Some(job) = waiting.next() else { break };
            running.push(Running {
                job,
                child: start(&jobs[job])?,
                begun: Instant::now(),
            });
        }
        if running.is_empty() {
            return Ok(());
        }
        if stop.requested() && !asked {
            asked = true;
            running.iter().for_each(ask_to_end);
        }
        let mut i = 0;
        while i < running.len() {
            match running[i].child.try_wait()? {
                None => i += 1,
                Some(status) => {
                    let done = running.swap_remove(i);
                    ended(done.job, how(status, &jobs[done.job]), done.begun.elapsed())?;
                }
            }
        }
        std::thread::sleep(POLL);
    }
}

fn start(job: &Job) -> anyhow::Result<Child> {
    let log = File::create(&job.log).with_context(|| format!("{}: cannot write", job.log.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(&job.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C reaches it through this process only, and once.
        .process_group(0);
    command
        .spawn()
        .with_context(|| format!("cannot start {}", job.name))
}

fn ask_to_end(running: &Running) {
    if let Some(pid) = i32::try_from(running.child.id()).ok().and_then(Pid::from_raw) {
        // One that has ended by itself in the meantime needs no signal.
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn how(status: ExitStatus, job: &Job) -> Ended {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ended::Done,
        (Some(code), _) if code == i32::from(Status::STOPPED.0) => Ended::Stopped,
        (code, signal) => {
            let said = std::fs::read(&job.log).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let error = said.lines().rev().find(|line| line.starts_with("error: "));
            let how = match (error, code, signal) {
                (Some(error), ..) => error.trim_start_matches("error: ").to_owned(),
                (None, Some(code), _) => format!("it ended with status {code}"),
                (None, None, Some(signal)) => format!("it was killed by signal {signal}"),
                (None, None, None) => "it ended without a word".into(),
            };
            Ended::Failed(format!("{how} ({})", job.log.display()))
        }
    }
}
