//! Runs that are killed, stopped and gone on with, as real processes.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::process::Child;
use std::time::{Duration, Instant};

use common::{Place, bytes, fail, succeed};

/// Waits until `run` has logged `steps` steps.
fn wait_for(place: &Place, run: &str, steps: usize, child: &mut Child) {
    let start = Instant::now();
    while place.metrics(run).len() < steps {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before step {steps}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "step {steps} was never reached"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let place = Place::new(12);
    let length = ["--steps", "14"];
    succeed(&mut place.pretrain("whole", &length));

    let mut child = place.pretrain("killed", &length).spawn().unwrap();
    wait_for(&place, "killed", 8, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = place.metrics("killed").len();
    assert!(
        (8..14).contains(&before),
        "the run was killed after {before} steps"
    );

    let mut resume = place.pretrain("killed", &length);
    succeed(resume.arg("--resume"));
    assert_eq!(place.metrics("killed"), place.metrics("whole"));
    let last = |run: &str| bytes(&place.path(run).join("checkpoints/last.safetensors"));
    assert!(last("killed") == last("whole"), "the checkpoints differ");
}

#[test]
fn ctrl_c_saves_and_resume_needs_no_more_words() {
    let place = Place::new(12);
    let length = ["--steps", "14", "--set", "run.save_every=0"];
    succeed(&mut place.pretrain("whole", &length));

    let mut child = place.pretrain("stopped", &length).spawn().unwrap();
    wait_for(&place, "stopped", 3, &mut child);
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let reached = place.metrics("stopped").len();
    assert!((3..14).contains(&reached), "stopped after {reached} steps");

    let out = place.path("stopped");
    let mut resume = common::slotcon();
    resume
        .arg("pretrain")
        .arg("--data")
        .arg(place.pictures())
        .arg("--out")
        .arg(out)
        .arg("--resume");
    succeed(resume.args(["--device", "cpu"]));
    assert_eq!(place.metrics("stopped"), place.metrics("whole"));
}

#[test]
fn runs_are_not_overwritten_nor_mixed_up() {
    let place = Place::new(8);
    let length = ["--steps", "3"];
    let nothing = fail(place.pretrain("run", &length).arg("--resume"));
    assert!(nothing.contains("nothing to resume"), "{nothing}");
    succeed(&mut place.pretrain("run", &length));
    let before = bytes(&place.path("run").join("checkpoints/last.safetensors"));

    let again = fail(&mut place.pretrain("run", &length));
    assert!(
        again.contains("already holds a run") && again.contains("--overwrite"),
        "{again}"
    );
    let other = fail(
        place
            .pretrain("run", &length)
            .args(["--resume", "--set", "model.prototypes=9"]),
    );
    assert!(
        other.contains("model.prototypes") && other.contains('9') && other.contains('8'),
        "{other}"
    );
    let fewer = Place::new(7);
    let mut elsewhere = common::slotcon();
    elsewhere
        .arg("pretrain")
        .arg("--data")
        .arg(fewer.pictures())
        .arg("--out")
        .arg(place.path("run"));
    let count = fail(elsewhere.arg("--resume"));
    assert!(
        count.contains("number of pictures: 7 now, 8 then") || count.contains("7 now, 8 then"),
        "{count}"
    );
    // An overwriting run that cannot start leaves the old one alone.
    fail(
        place
            .pretrain("run", &length)
            .args(["--overwrite", "--set", "optim.batch=99"]),
    );
    assert!(before == bytes(&place.path("run").join("checkpoints/last.safetensors")));

    succeed(
        place
            .pretrain("run", &length)
            .args(["--overwrite", "--set", "run.seed=1"]),
    );
    assert!(before != bytes(&place.path("run").join("checkpoints/last.safetensors")));
    let recipe = std::fs::read_to_string(place.path("run").join("recipe.toml")).unwrap();
    assert!(recipe.contains("seed = 1"), "{recipe}");
}

#[test]
fn a_new_run_can_start_from_weights() {
    let place = Place::new(8);
    succeed(&mut place.pretrain("first", &["--steps", "3"]));
    let weights = place.path("first").join("checkpoints/last.safetensors");
    let weights = weights.to_str().unwrap();
    succeed(&mut place.pretrain("second", &["--steps", "3", "--init-from", weights]));
    assert_ne!(
        place.metrics("second")[0]["loss"],
        place.metrics("first")[0]["loss"]
    );
    assert_eq!(place.metrics("second")[0]["lr"], place.metrics("first")[0]["lr"]);

    let wrong = fail(&mut place.pretrain(
        "third",
        &[
            "--steps",
            "3",
            "--init-from",
            weights,
            "--set",
            "model.prototypes=9",
        ],
    ));
    assert!(
        wrong.contains("first") && wrong.contains("slot_embed.weight") && wrong.contains("[9, 16]"),
        "{wrong}"
    );
    assert!(
        !place.path("third").exists(),
        "a run that cannot start leaves nothing behind"
    );
}
