//! Groups found after training, as a user takes them from photos to masks and to a measure.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Place, fail, slotcon, succeed};
use serde_json::{Value, json};
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

    let gallery = place.path("gallery.html");
    let mut slots = command(&place, "run", &["slots"]);
    slots
        .arg("--groups")
        .arg(&file)
        .arg("--data")
        .arg(place.pictures());
    succeed(slots.arg("--out").arg(&gallery));
    let page = std::fs::read_to_string(&gallery).unwrap();
    assert!(page.contains("What the groups stand for") && page.contains("mean probability"));

    let scenes = place.path("scenes");
    let mut evaluate = command(&place, "run", &["evaluate", "clusters"]);
    evaluate
        .arg("--groups")
        .arg(&file)
        .args(["--json", "--baselines", "--kmeans", "2"]);
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
    // Seed 0 is one of the two: the other is as far on the far side of their mean.
    assert_eq!(measured["kmeans"]["seeds"], 2);
    for way in ["colour_kmeans", "place_kmeans"] {
        let of = &measured["baselines"][way];
        let (first, both) = (of["miou"].as_f64().unwrap(), &of["over_seeds"]);
        assert_eq!(both["seeds"], 2);
        let [mean, std] = ["mean", "std"].map(|key| both["miou"][key].as_f64().unwrap());
        let apart = 2f64.sqrt() * (mean - first).abs();
        assert!((apart - std).abs() < 1e-9, "{way}: {first}, {mean} ± {std}");
    }
}

#[test]
fn what_a_run_says_next_can_be_typed() {
    let place = Place::new(5);
    let said = succeed(&mut place.pretrain("my run", &["--steps", "1"])).stderr;
    let said = String::from_utf8(said).unwrap();
    let typed = said.lines().skip_while(|line| !line.starts_with("next"));
    let typed = Vec::from_iter(typed.skip(1).map(|line| shlex::split(line).unwrap()));
    assert_eq!(typed.len(), 2, "{said}");
    for words in &typed {
        let mut program = Command::new(&words[0]);
        succeed(program.args(&words[1..]).current_dir(place.path("")));
    }
    assert!(place.path("my run/groups.safetensors").is_file());
    assert!(place.path("masks/000000.png.labels.png").is_file());
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

#[test]
fn in_tiles_places_are_those_of_the_whole_picture() {
    let place = Place::new(5);
    succeed(&mut place.pretrain("run", &["--steps", "1"]));
    let file = place.path("groups.safetensors");
    // Groups of heights alone: bands one above the other.
    let mut bands = command(&place, "run", &["group", "--groups", "3", "--parts", "3"]);
    bands.args(["--height", "1000", "--across", "0"]);
    bands.arg("--data").arg(place.pictures()).arg("--out").arg(&file);
    succeed(&mut bands);
    let maps = |out: &str, more: &[&str]| {
        let mut segment = slotcon();
        segment
            .args(["segment", "--device", "cpu", "--side", "128"])
            .args(more);
        segment
            .arg("--checkpoint")
            .arg(place.path("run"))
            .arg("--groups")
            .arg(&file);
        segment.arg("--out").arg(place.path(out)).arg(place.pictures());
        succeed(&mut segment);
        let path = place.path(out).join("000002.png.labels.png");
        read_label_map(&path).unwrap().ids().to_vec()
    };
    let (whole, tiled) = (maps("whole", &[]), maps("tiled", &["--tile", "64"]));
    for group in 0..3 {
        assert!(whole.contains(&group), "{group}");
    }
    let same = whole.iter().zip(&tiled).filter(|(a, b)| a == b).count();
    assert!(same * 10 > whole.len() * 9, "{same} of {}", whole.len());
}

/// The page's script saves what `names` in the page says, with names put in.
fn named(gallery: &Path, names: &Value) -> Value {
    let page = std::fs::read_to_string(gallery).unwrap();
    let (_, after) = page.split_once(r#"id="names">"#).unwrap();
    let (json, _) = after.split_once("</script>").unwrap();
    let mut file: Value = serde_json::from_str(json).unwrap();
    file["names"] = names.clone();
    file
}

#[test]
fn found_groups_get_names() {
    let place = Place::new(5);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let file = place.path("groups.safetensors");
    // An earlier stage, whose grid is finer than that of the features on the page.
    succeed(&mut group(&place, &file, &["--stage", "2"]));
    let gallery = |name: &str, groups: Option<&Path>| {
        let out = place.path(name);
        let mut slots = command(&place, "run", &["slots"]);
        slots.arg("--data").arg(place.pictures()).arg("--out").arg(&out);
        if let Some(groups) = groups {
            slots.arg("--groups").arg(groups);
        }
        succeed(&mut slots);
        out
    };
    let names = named(
        &gallery("groups.html", Some(&file)),
        &json!({"0": "ground", "1": "thing", "2": "Ground"}),
    );
    assert_eq!(names["prototypes"], 3);
    let json = place.path("names.json");
    std::fs::write(&json, names.to_string()).unwrap();

    let segment = |out: &str| {
        let mut segment = command(&place, "run", &["segment"]);
        segment
            .arg("--groups")
            .arg(&file)
            .arg("--out")
            .arg(place.path(out));
        segment
    };
    succeed(segment("plain").arg(place.pictures()));
    let mut by_name = segment("named");
    by_name.arg("--names").arg(&json);
    by_name.arg("--dataset").arg(place.path("set"));
    succeed(by_name.arg(place.pictures()));
    let map = |folder: &str| {
        let path = place.path(folder).join("000002.png.labels.png");
        read_label_map(&path).unwrap().ids().to_vec()
    };
    let by_hand = Vec::from_iter(map("plain").into_iter().map(|group| u16::from(group == 1)));
    assert_eq!(map("named"), by_hand);
    let sure = std::fs::read_to_string(place.path("set/confidence.csv")).unwrap();
    let sure: Vec<f64> = sure
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(
        sure.len() == 5 && sure.iter().all(|p| (0.34..1.0).contains(p)),
        "{sure:?}"
    );

    // Names of prototypes are none of groups.
    let of_prototypes = named(&gallery("prototypes.html", None), &json!({"0": "ground"}));
    assert_ne!(of_prototypes["checkpoint"], names["checkpoint"]);
    let mut other = of_prototypes;
    other["prototypes"] = json!(3);
    std::fs::write(&json, other.to_string()).unwrap();
    let mut refused = segment("refused");
    refused.arg("--names").arg(&json);
    let said = fail(refused.arg(place.pictures()));
    assert!(
        said.contains("names.json") && said.contains("its groups are"),
        "{said}"
    );
}
