//! Training together: as one process does, with another number of ranks after a resume, with accumulation.

use std::process::Stdio;

use crate::common::{Place, bytes, fail, succeed};
use crate::support::{checkpoint, signal, step_of, wait_for};

#[test]
fn ranks_train_as_one_process_does_and_their_number_may_change() {
    let place = Place::new(12);
    let length = ["--steps", "4"];
    succeed(&mut place.pretrain("alone", &length));
    succeed(&mut place.pretrain("two", &[&length[..], &["--ranks", "2"]].concat()));
    let (alone, two) = (place.metrics("alone"), place.metrics("two"));
    assert_eq!(two.len(), 4);
    let near = |a: &serde_json::Value, b: &serde_json::Value, tolerance: f64| {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        (a - b).abs() <= tolerance * b.abs().max(1e-3)
    };
    for (a, b) in alone.iter().zip(&two) {
        assert_eq!(
            (&a["lr"], &a["step"], &a["epoch"]),
            (&b["lr"], &b["step"], &b["epoch"])
        );
    }
    // The same pictures, batch norm over both ranks; the slot loss is the mean over each rank's own positives.
    for key in ["balance", "in_use", "slots_per_picture", "uncertainty"] {
        assert!(
            near(&two[0]["groups"][key], &alone[0]["groups"][key], 1e-3),
            "{key}: {} {}",
            two[0],
            alone[0]
        );
    }
    assert!(near(&two[0]["group_loss"], &alone[0]["group_loss"], 1e-3));
    let log = std::fs::read_to_string(place.path("two").join("log.txt")).unwrap();
    assert!(log.contains("2 ranks"), "{log}");

    // A run of two ranks goes on with one, and with three of them.
    let longer = [
        "--steps",
        "9",
        "--set",
        "optim.batch=6",
        "--set",
        "run.save_every=3",
    ];
    let mut first = place.pretrain("changing", &[&longer[..], &["--ranks", "2"]].concat());
    let mut first = [first.stderr(Stdio::null()).spawn().unwrap()];
    wait_for(&place, "changing", 4, &mut first);
    signal("-TERM", first[0].id());
    assert_eq!(first[0].wait().unwrap().code(), Some(130));
    let reached = place.metrics("changing").len();
    assert!((4..9).contains(&reached), "stopped after {reached}");
    assert_eq!(step_of(&place, "changing"), reached as u64);
    succeed(&mut place.pretrain("changing", &[&longer[..], &["--resume", "--ranks", "3"]].concat()));
    assert_eq!(place.metrics("changing").len(), 9);
    assert_eq!(step_of(&place, "changing"), 9);
}

#[test]
fn accumulation_is_a_mean_over_parts() {
    let place = Place::new(12);
    let length = ["--steps", "3", "--set", "optim.batch=8"];
    succeed(&mut place.pretrain("parts", &[&length[..], &["--accumulate", "2"]].concat()));
    succeed(&mut place.pretrain(
        "both",
        &[&length[..], &["--accumulate", "2", "--ranks", "2"]].concat(),
    ));
    let (parts, both) = (place.metrics("parts"), place.metrics("both"));
    assert_eq!((parts.len(), both.len()), (3, 3));
    // The learning rate is that of the whole batch.
    assert_eq!(parts[0]["lr"], both[0]["lr"]);
    let recipe = std::fs::read_to_string(place.path("both").join("recipe.toml")).unwrap();
    assert!(recipe.contains("accumulate = 2"), "{recipe}");
    let wrong = fail(&mut place.pretrain("wrong", &["--steps", "3", "--accumulate", "3"]));
    assert!(
        wrong.contains("optim.accumulate") && wrong.contains("optim.batch = 4"),
        "{wrong}"
    );
}

#[test]
fn two_runs_do_not_share_a_directory() {
    let place = Place::new(8);
    let mut first = place
        .pretrain("run", &["--steps", "500"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&place, "run", 4, std::slice::from_mut(&mut first));
    let words = fail(&mut place.pretrain("run", &["--steps", "500", "--resume"]));
    assert!(words.contains("in use by another run"), "{words}");
    let words = fail(&mut place.pretrain("run", &["--steps", "500", "--overwrite"]));
    assert!(words.contains("in use by another run"), "{words}");
    signal("-INT", first.id());
    assert_eq!(first.wait().unwrap().code(), Some(130));
    assert!(bytes(&checkpoint(&place, "run")).len() > 1000);
}
