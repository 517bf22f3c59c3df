//! Groups found after training, as a user takes them from photos to masks and to a measure.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Place, fail, slotcon, succeed};
use serde_json::Value;
use slotcon_data::labelled::read_label_map;

fn command(place: &Place, run: &str, command: &[&str]) -> Command {
    let mut slotcon = slotcon();
    slotcon.args(command).args(["--device", "cpu", "--side", "64"]);
    slotcon
        .arg("--checkpoint")
        .arg(place.path(run).join("checkpoints/last.safetensors"));
    slotcon
}

fn group(place: &Place, out: &Path, more: &[&str]) -> Command {
    let mut group = command(place, "run", &["group"]);
    group.arg("--data").arg(place.pictures()).arg("--out").arg(out);
    group.args(["--groups", "3", "--parts", "6"]).args(more);
    group
}

#[test]
fn as_many_groups_as_asked_for() {
    let place = Place::new(5);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let (file, again) = (place.path("groups.safetensors"), place.path("again.safetensors"));
    succeed(&mut group(&place, &file, &[]));
    succeed(&mut group(&place, &again, &[]));
    assert_eq!(
        std::fs::read(&file).unwrap(),
        std::fs::read(&again).unwrap(),
        "the same pictures give the same groups"
    );

    let masks = place.path("masks");
    let mut segment = command(&place, "run", &["segment"]);
    segment.arg("--groups").arg(&file).arg("--out").arg(&masks);
    succeed(segment.arg(place.path("scenes/images")));
    let mut sizes = [0usize; 3];
    for name in ["train/000000", "train/000004", "val/000005"] {
        let map = read_label_map(&masks.join(format!("{name}.png.labels.png"))).unwrap();
        map.ids().iter().for_each(|&id| sizes[usize::from(id)] += 1);
    }
    assert!(
        sizes[0] > 0 && sizes.iter().filter(|&&n| n > 0).count() > 1,
        "{sizes:?}"
    );

    let scenes = place.path("scenes");
    let mut evaluate = command(&place, "run", &["evaluate", "clusters"]);
    evaluate.arg("--groups").arg(&file).arg("--json");
    evaluate.arg("--images").arg(scenes.join("images/val"));
    evaluate.arg("--labels").arg(scenes.join("labels/val"));
    evaluate.arg("--classes").arg(scenes.join("classes.json"));
    let said = String::from_utf8(succeed(&mut evaluate).stdout).unwrap();
    let measured: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(measured["clusters"], 3);
    let protocol = measured["protocol"].as_str().unwrap();
    assert!(
        protocol.contains("3 groups found in 5 pictures: 6 parts"),
        "{protocol}"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_file_and_value() {
    let place = Place::new(5);
    succeed(&mut place.pretrain("run", &["--steps", "1"]));
    succeed(&mut place.pretrain("other", &["--steps", "2"]));
    let file = place.path("groups.safetensors");
    let mut too_few = command(&place, "run", &["group", "--groups", "9", "--parts", "6"]);
    too_few
        .arg("--data")
        .arg(place.pictures())
        .arg("--out")
        .arg(&file);
    let said = fail(&mut too_few);
    assert!(said.contains("6 parts cannot be joined to 9 groups"), "{said}");
    assert!(!file.exists());

    // A picture that is none is named; the others count.
    std::fs::write(place.pictures().join("harmed.png"), b"no picture").unwrap();
    let said = fail(&mut group(&place, &file, &[]));
    assert!(
        said.contains("harmed.png") && said.contains("1 pictures could not be used"),
        "{said}"
    );
    std::fs::remove_file(place.pictures().join("harmed.png")).unwrap();
    assert!(file.exists());
    let said = fail(&mut group(&place, &file, &[]));
    assert!(said.contains("--overwrite"), "{said}");

    let segment = |run: &str, groups: &Path| {
        let mut segment = command(&place, run, &["segment"]);
        segment
            .arg("--groups")
            .arg(groups)
            .arg("--out")
            .arg(place.path("masks"));
        segment.arg(place.pictures());
        segment
    };
    let said = fail(&mut segment("other", &file));
    assert!(
        said.contains("groups.safetensors") && said.contains("another checkpoint"),
        "{said}"
    );
    let checkpoint = place.path("run/checkpoints/last.safetensors");
    let said = fail(&mut segment("run", &checkpoint));
    assert!(
        said.contains("last.safetensors") && said.contains("holds no groups"),
        "{said}"
    );
    let cut = place.path("cut.safetensors");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 8]).unwrap();
    let said = fail(&mut segment("run", &cut));
    assert!(said.contains("cut.safetensors"), "{said}");
}
