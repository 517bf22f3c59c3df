//! Starting ranks as torchrun or a person would, waiting for them, and what they left.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::common::{self, Place, succeed};

/// Long enough for a loaded machine, short enough to wait for.
pub const PATIENCE: &str = "run.rank_timeout=6";
/// In this time every rank must have ended once another one has failed.
pub const LIMIT: Duration = Duration::from_secs(40);

/// A port for a process that is about to start, below those that the system gives away by itself: in the meantime nobody gets it by chance.
/// Every test is a process of its own and begins at another port.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    let begin = (std::process::id().wrapping_mul(37) % u32::from(COUNT)) as u16;
    (0..COUNT)
        .map(|_| FIRST + (begin + GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|&port| TcpListener::bind(("0.0.0.0", port)).is_ok())
        .unwrap()
}

/// A rank as torchrun or a person would start it.
pub fn rank(mut command: Command, rank: usize, size: usize, port: u16) -> Command {
    command
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", size.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// All ranks of one run.
pub fn start(place: &Place, run: &str, size: usize, more: &[&str]) -> Vec<Child> {
    let port = free_port();
    let mut all = vec!["--set", PATIENCE];
    all.extend(more);
    (0..size)
        .map(|r| rank(place.pretrain(run, &all), r, size, port).spawn().unwrap())
        .collect()
}

/// Waits for the end of a process, which must come in time; what it said.
pub fn end(mut child: Child, limit: Duration) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > limit {
            child.kill().unwrap();
            let said = child.wait_with_output().unwrap().stderr;
            panic!("it hangs:\n{}", String::from_utf8_lossy(&said));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

pub fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked") && !text.contains("frame #"), "{text}");
    text
}

pub fn wait_for(place: &Place, run: &str, steps: usize, children: &mut [Child]) {
    let start = Instant::now();
    while place.metrics(run).len() < steps {
        for child in children.iter_mut() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "a rank ended before step {steps}"
            );
        }
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "step {steps} was never reached"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

pub fn checkpoint(place: &Place, run: &str) -> std::path::PathBuf {
    place.path(run).join("checkpoints/last.safetensors")
}

/// The step that a checkpoint says it is of; reading it proves that it is whole.
pub fn step_of(place: &Place, run: &str) -> u64 {
    let path = checkpoint(place, run);
    let output = succeed(common::slotcon().arg("inspect").arg(path).arg("--json"));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    line["step"].as_u64().unwrap()
}

/// Processes whose parent is `process`.
pub fn children_of(process: u32) -> Vec<u32> {
    let output = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &process.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
