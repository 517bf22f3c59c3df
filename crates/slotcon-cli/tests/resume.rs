//! Runs that are killed, stopped and gone on with, as real processes.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use common::{Place, bytes, fail, succeed, wait_for};

/// Waits until `run` has logged `steps` steps.
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

/// `checkpoint` (format 2) as a program of format 1 would have written it.
fn as_format_1(checkpoint: &[u8]) -> Vec<u8> {
    let (length, rest) = checkpoint.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let (header, tensors) = rest.split_at(length);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let own = &mut header["__metadata__"]["slotcon"];
    let mut said: serde_json::Value = serde_json::from_str(own.as_str().unwrap()).unwrap();
    assert_eq!(said["format_version"], 2);
    said["format_version"] = 1.into();
    assert!(said.as_object_mut().unwrap().remove("written_by").is_some());
    // A key that there was for a while, with the value that asked for nothing.
    let recipe = said["recipe"].as_str().unwrap();
    let recipe = recipe.replace("[model]\n", "[model]\ngram_weight = 0.0\ngram_from = 200\n");
    assert!(recipe.contains("gram_weight"));
    said["recipe"] = recipe.into();
    let scale = said["progress"]["loss_scale"].take();
    said["progress"]["loss_scale"] = serde_json::json!([scale["value"], scale["good_steps"]]);
    *own = said.to_string().into();
    let header = header.to_string();
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        tensors,
    ]
    .concat()
}

#[test]
fn a_run_of_an_older_program_goes_on() {
    let place = Place::new(12);
    let length = ["--steps", "14", "--set", "run.keep=9"];
    succeed(&mut place.pretrain("whole", &length));
    succeed(&mut place.pretrain("old", &length));
    let folder = place.path("old").join("checkpoints");
    let sixth = bytes(&folder.join("step-00000006.safetensors"));
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let last = folder.join("last.safetensors");
    std::fs::write(&last, as_format_1(&sixth)).unwrap();

    let inspected = succeed(common::slotcon().arg("inspect").arg("--json").arg(&last));
    let said: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!((&said["step"], &said["written_by"]), (&6.into(), &"".into()));
    succeed(place.pretrain("old", &length).arg("--resume"));
    assert_eq!(place.metrics("old"), place.metrics("whole"));
    let last = |run: &str| bytes(&place.path(run).join("checkpoints/last.safetensors"));
    assert!(last("old") == last("whole"), "the checkpoints differ");
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

#[test]
fn a_run_may_be_given_a_length_of_time() {
    let place = Place::new(12);
    succeed(&mut place.pretrain("run", &["--budget", "4s"]));
    let recipe = std::fs::read_to_string(place.path("run").join("recipe.toml")).unwrap();
    let recipe: toml::Table = recipe.parse().unwrap();
    // The default recipe lays its schedules out for longer than it runs.
    let of_run = |key: &str| recipe["run"][key].as_integer().unwrap();
    let steps = of_run("stop_at");
    assert!(of_run("steps") > steps);
    let last = place.metrics("run").pop().unwrap();
    assert_eq!(last["step"].as_i64(), Some(steps), "{last}");
    let log = std::fs::read_to_string(place.path("run").join("log.txt")).unwrap();
    assert!(log.contains(&format!("{steps} steps in the time given")), "{log}");

    let said = fail(&mut place.pretrain("other", &["--budget", "soon"]));
    assert!(
        said.contains("'soon' is no length of time; write it as 30m"),
        "{said}"
    );
    let said = fail(&mut place.pretrain("other", &["--budget", "1m", "--steps", "3"]));
    assert!(said.contains("cannot be used with"), "{said}");
    assert!(!place.path("other").exists());
}
