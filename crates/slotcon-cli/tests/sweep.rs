//! `slotcon sweep` as a user runs it: all combinations, a run that fails, a sweep that is stopped and gone on with.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::process::Command;

use common::{Place, REPEATABLE, SETTINGS, bytes, fail, slotcon, succeed, wait_for};

fn sweep(place: &Place, out: &str, more: &[&str]) -> Command {
    let mut command = slotcon();
    command.args(["sweep", "small", "--device", "cpu", "--data"]);
    command.arg(place.pictures()).arg("--out").arg(place.path(out));
    for setting in SETTINGS.into_iter().chain(REPEATABLE) {
        command.args(["--set", setting]);
    }
    command.args(more);
    command
}

/// The lines of `sweep.csv`, by field.
fn table(place: &Place, out: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(place.path(out).join("sweep.csv")).unwrap();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect();
    text.lines().map(fields).collect()
}

#[test]
fn every_combination_and_seed() {
    let place = Place::new(4);
    let scenes = place.path("scenes");
    let at = |name: &str| scenes.join(name).display().to_string();
    let (images, labels, classes) = (at("images/val"), at("labels/val"), at("classes.json"));
    let mut more = vec!["--vary", "model.prototypes=4,8", "--seeds", "2", "--steps", "2"];
    more.extend([
        "--jobs",
        "2",
        "--images",
        &images,
        "--labels",
        &labels,
        "--classes",
        &classes,
    ]);

    let dry = succeed(sweep(&place, "all", &more).arg("--dry-run"));
    let listed = String::from_utf8(dry.stdout).unwrap();
    assert_eq!(
        listed.lines().filter(|line| line.ends_with("to begin")).count(),
        4,
        "{listed}"
    );
    assert!(!place.path("all").exists());

    // A file where one of the runs has to be.
    let taken = place.path("all/model.prototypes=8/seed-1");
    std::fs::create_dir_all(taken.parent().unwrap()).unwrap();
    std::fs::write(&taken, "no folder").unwrap();
    let said = fail(&mut sweep(&place, "all", &more));
    assert!(said.contains("1 of 4 runs failed"), "{said}");
    assert!(said.contains("model.prototypes=8, seed 1: FAILED: "), "{said}");
    let lines = table(&place, "all");
    assert_eq!(lines.len(), 5);
    let column = |name: &str| lines[0].iter().position(|field| field == name).unwrap();
    let finished: Vec<&str> = lines[1..].iter().map(|line| line[2].as_str()).collect();
    assert_eq!(finished, ["true", "true", "true", "false"]);
    for line in &lines[1..4] {
        assert_eq!(line[column("steps")], "2");
        for name in ["loss", "groups.in_use"] {
            let value: f64 = line[column(name)].parse().unwrap();
            assert!(value.is_finite() && value > 0.0, "{name} {value}");
        }
        let miou: f64 = line[column("miou")].parse().unwrap();
        assert!((0.0..=1.0).contains(&miou), "{miou}");
    }
    assert_ne!(lines[1][column("loss")], lines[3][column("loss")], "seeds differ");
    assert_eq!(lines[4][column("miou")], "");

    // Once more, with room for it: nothing is done twice.
    std::fs::remove_file(&taken).unwrap();
    let first = place.path("all/model.prototypes=4/seed-0/checkpoints/last.safetensors");
    let before = first.metadata().unwrap().modified().unwrap();
    let done = succeed(&mut sweep(&place, "all", &more));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("4 runs, 3 of them finished"), "{said}");
    assert!(
        said.contains("1 of 1: model.prototypes=8, seed 1: done"),
        "{said}"
    );
    assert_eq!(first.metadata().unwrap().modified().unwrap(), before);
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(
        shown.contains("model.prototypes=8 (2 finished)") && shown.contains("miou") && shown.contains(" ± "),
        "{shown}"
    );
    let again = table(&place, "all");
    assert_eq!(again[1..4], lines[1..4]);
    assert_eq!(again[4][2], "true");
    let page = String::from_utf8(bytes(&place.path("all/sweep.html"))).unwrap();
    // Nine curves of two combinations: nothing is validated.
    assert_eq!(page.matches("<figure").count(), 18);
    assert!(page.contains("2 of 2"));
}

#[test]
fn a_stopped_sweep_goes_on() {
    let place = Place::new(8);
    let length = ["--steps", "14"];
    let mut child = sweep(&place, "s", &length).spawn().unwrap();
    let run = "s/recipe/seed-0";
    wait_for(&place, run, 4, &mut child);
    let mut kill = Command::new("kill");
    succeed(kill.args(["-TERM", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = place.metrics(run).len();
    assert!((4..14).contains(&before), "stopped after {before} steps");
    assert_eq!(table(&place, "s")[1][2], "false");

    let listed = succeed(sweep(&place, "s", &length).arg("--dry-run"));
    assert!(
        String::from_utf8(listed.stdout)
            .unwrap()
            .contains("to go on with")
    );
    succeed(&mut sweep(&place, "s", &length));
    let steps: Vec<u64> = place
        .metrics(run)
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=14).collect::<Vec<_>>());
    assert_eq!(table(&place, "s")[1][2..4], ["true", "14"]);

    // Another length is another run: the finished one is not taken for it.
    let said = succeed(sweep(&place, "s", &["--steps", "16"]).arg("--dry-run"));
    assert!(String::from_utf8_lossy(&said.stderr).contains("0 of them finished"));
}

#[test]
fn what_cannot_be_varied_is_told_before_the_first_run() {
    let place = Place::new(2);
    let run = ["--steps", "2"];
    for (vary, words) in [
        (
            "model.prototyps=4,8",
            ["model.prototyps", "did you mean 'model.prototypes'"],
        ),
        (
            "model.prototypes=4,many",
            ["model.prototypes=many", "invalid type"],
        ),
        ("model.group_loss_weight=0.5,7", ["model.group_loss_weight", "7"]),
        ("run.seed=1,2", ["run.seed", "--seeds"]),
        (
            "model.prototypes",
            ["model.prototypes", "expected section.key=value"],
        ),
    ] {
        let said = fail(&mut sweep(
            &place,
            "none",
            &[&run[..], &["--vary", vary]].concat(),
        ));
        assert!(words.iter().all(|word| said.contains(word)), "{vary}: {said}");
    }
    let labelled = ["--images", "nowhere", "--labels", "nowhere", "--layout", "voc"];
    let said = fail(&mut sweep(&place, "none", &[&run[..], &labelled].concat()));
    assert!(said.contains("nowhere"), "{said}");
    assert!(!place.path("none").exists());
}
