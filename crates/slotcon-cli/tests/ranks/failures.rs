//! A rank that is killed, stopped, in error or out of memory: the others name it and end in time.

use std::process::Command;
use std::time::Duration;

use crate::common::{self, Place};
use crate::support::{LIMIT, PATIENCE, end, free_port, rank, said, signal, start, step_of, wait_for};

#[test]
fn a_killed_rank_is_named_and_the_run_goes_on() {
    for victim in [1, 0] {
        let place = Place::new(12);
        let length = ["--steps", "12"];
        let mut ranks = start(
            &place,
            "run",
            3,
            &[&length[..], &["--set", "optim.batch=6"]].concat(),
        );
        wait_for(&place, "run", 5, &mut ranks);
        ranks[victim].kill().unwrap();
        for (rank, child) in ranks.into_iter().enumerate() {
            let output = end(child, LIMIT);
            if rank == victim {
                continue;
            }
            let said = said(&output);
            assert!(
                !output.status.success(),
                "rank {rank} of a broken run succeeded:\n{said}"
            );
            assert!(
                said.contains(&format!("[rank {rank}] error: rank {victim} (")) && said.contains("gone"),
                "rank {rank} does not name rank {victim}:\n{said}"
            );
        }
        let whole = step_of(&place, "run");
        assert!(
            whole >= 3 && whole.is_multiple_of(3),
            "checkpoint of step {whole}"
        );
        let more = [&length[..], &["--set", "optim.batch=6", "--resume"]].concat();
        for child in start(&place, "run", 3, &more) {
            let output = end(child, Duration::from_secs(120));
            assert!(output.status.success(), "{}", said(&output));
        }
        assert_eq!(step_of(&place, "run"), 12);
        assert_eq!(place.metrics("run").len(), 12);
    }
}

#[test]
fn a_stopped_rank_is_named_in_time() {
    for victim in [1, 0] {
        let place = Place::new(12);
        let mut ranks = start(&place, "run", 2, &["--steps", "500"]);
        wait_for(&place, "run", 5, &mut ranks);
        signal("-STOP", ranks[victim].id());
        let stopped = ranks.remove(victim);
        let survivor = end(ranks.remove(0), LIMIT);
        signal("-CONT", stopped.id());
        let woken = end(stopped, LIMIT);
        let other = 1 - victim;
        let words = said(&survivor);
        assert!(
            words.contains(&format!("[rank {other}] error: rank {victim} (")),
            "{words}"
        );
        assert!(!survivor.status.success() && !woken.status.success());
        assert!(step_of(&place, "run").is_multiple_of(3));
    }
}

#[test]
fn an_error_of_one_rank_is_told_by_all() {
    let place = Place::new(12);
    let port = free_port();
    let more = ["--steps", "50", "--set", PATIENCE];
    let first = rank(place.pretrain("run", &more), 0, 2, port).spawn().unwrap();
    // The second rank's pictures are nowhere.
    let mut second = common::slotcon();
    second.args([
        "pretrain",
        "--data",
        "/nowhere/at/all",
        "--device",
        "cpu",
        "--out",
    ]);
    second.arg(place.path("run"));
    let second = rank(second, 1, 2, port).spawn().unwrap();
    let (first, second) = (end(first, LIMIT), end(second, LIMIT));
    // Its recipe is another one, too: whichever is found first.
    let words = said(&first);
    assert!(
        words.contains("[rank 0] error: rank 1 (") && words.contains("ended with an error"),
        "{words}"
    );
    assert!(said(&second).contains("[rank 1] error: "));
    assert!(!place.path("run").exists(), "nothing is left behind");
}

/// A limit on a process's memory stands for a machine that is full.
#[test]
fn a_rank_without_memory_is_named() {
    let place = Place::new(12);
    let port = free_port();
    let more = [
        "--steps",
        "50",
        "--set",
        PATIENCE,
        "--set",
        "model.dim_hidden=20000",
    ];
    let first = rank(place.pretrain("run", &more), 0, 2, port).spawn().unwrap();
    let hungry = place.pretrain("run", &more);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 3000000; exec \"$@\"", "sh"]);
    limited.arg(hungry.get_program()).args(hungry.get_args());
    let second = rank(limited, 1, 2, port).spawn().unwrap();
    let (first, second) = (end(first, LIMIT), end(second, LIMIT));
    let words = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(!first.status.success() && !second.status.success());
    assert!(words.contains("[rank 0] error: rank 1 ("), "{words}");
}
