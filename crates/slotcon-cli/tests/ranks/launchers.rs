//! `--ranks N` and torchrun: they start ranks, name the one that failed, leave none behind.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::Place;
use crate::support::{LIMIT, PATIENCE, children_of, end, free_port, said, signal, step_of, wait_for};

#[test]
fn the_launcher_names_a_killed_rank_and_leaves_none_behind() {
    let place = Place::new(12);
    let more = ["--steps", "500", "--ranks", "2", "--set", PATIENCE];
    let mut launcher = place
        .pretrain("run", &more)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&place, "run", 4, std::slice::from_mut(&mut launcher));
    let ranks = children_of(launcher.id());
    assert_eq!(ranks.len(), 2);
    signal("-KILL", ranks[1]);
    let output = end(launcher, LIMIT);
    let words = said(&output);
    assert!(!output.status.success());
    assert!(words.contains("was killed by signal 9"), "{words}");
    assert!(
        words.contains("[rank 0] error: rank 1 (process")
            || words.contains("[rank 1] error: rank 0 (process"),
        "{words}"
    );
    for rank in ranks {
        let gone = Command::new("kill")
            .args(["-0", &rank.to_string()])
            .stderr(Stdio::null())
            .status();
        assert!(!gone.unwrap().success(), "process {rank} is still there");
    }
}

/// A real torchrun, where there is one: `SLOTCON_TORCHRUN`, or in `PATH`.
fn torchrun() -> Option<String> {
    let name = std::env::var("SLOTCON_TORCHRUN").unwrap_or_else(|_| "torchrun".into());
    let found = Command::new(&name)
        .arg("--help")
        .output()
        .is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("IGNORED: no torchrun in PATH; set SLOTCON_TORCHRUN to one");
    }
    found.then_some(name)
}

#[test]
fn under_torchrun_a_run_heals_by_itself() {
    let Some(torchrun) = torchrun() else { return };
    let place = Place::new(12);
    let own = place.pretrain("run", &["--steps", "14", "--resume-if-any", "--set", PATIENCE]);
    let mut command = Command::new(torchrun);
    command
        .args([
            "--no-python",
            "--nproc-per-node",
            "2",
            "--max-restarts",
            "2",
            "--master-port",
        ])
        .arg(free_port().to_string())
        .arg(own.get_program())
        .args(own.get_args())
        .env("OMP_NUM_THREADS", "1");
    let mut agent = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&place, "run", 5, std::slice::from_mut(&mut agent));
    let ranks = children_of(agent.id());
    assert_eq!(ranks.len(), 2, "{ranks:?}");
    signal("-KILL", ranks[1]);
    let output = end(agent, Duration::from_secs(180));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert_eq!(step_of(&place, "run"), 14);
    let metrics = place.metrics("run");
    assert_eq!(metrics.len(), 14);
    assert!(metrics.iter().zip(1..).all(|(m, step)| m["step"] == step));
    assert!(
        words.contains(", from step"),
        "the second attempt went on from a checkpoint:\n{words}"
    );
}
