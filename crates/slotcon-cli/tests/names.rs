//! Names that a person gave to the groups, as a user takes them from the gallery to masks, to a labelled data set and to a measure.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, REPEATABLE, bytes, fail, slotcon, succeed};
use serde_json::{Value, json};
use slotcon_data::labelled::read_label_map;

/// What has no class in label maps.
const NONE: u16 = 255;

/// A run of two steps on scenes of 64 pixels, `scenes/images/{train,val}`.
fn place() -> Place {
    let place = Place::new(5);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    place
}

fn with_checkpoint(place: &Place, command: &[&str]) -> Command {
    let mut slotcon = slotcon();
    slotcon.args(command).args(["--device", "cpu", "--side", "64"]);
    slotcon
        .arg("--checkpoint")
        .arg(place.path("run/checkpoints/last.safetensors"));
    slotcon
}

fn segment(place: &Place, more: &[&str]) -> Command {
    let mut segment = with_checkpoint(place, &["segment"]);
    segment.arg(place.path("scenes/images")).args(more);
    segment
}

fn gallery(place: &Place, out: &Path) -> Command {
    let mut slots = with_checkpoint(place, &["slots"]);
    slots.arg("--data").arg(place.pictures()).arg("--out").arg(out);
    slots
}

/// The names that a gallery begins with.
fn names_in(page: &Path) -> Value {
    let text = std::fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("id=\"names\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// Prototype's numbers at every pixel of every picture, without names.
fn prototypes(place: &Place) -> BTreeMap<String, Vec<u16>> {
    let out = place.path("plain");
    succeed(segment(place, &[]).arg("--out").arg(&out));
    let names = ["train/000000", "train/000003", "val/000005"];
    let read = |name: &str| read_label_map(&out.join(format!("{name}.png.labels.png"))).unwrap();
    names
        .iter()
        .map(|name| (name.to_string(), read(name).ids().to_vec()))
        .collect()
}

/// A file of names: the largest prototype and the third "road" and " Road ", the second background; and their numbers.
fn names(place: &Place, found: &BTreeMap<String, Vec<u16>>) -> (PathBuf, [u16; 3]) {
    let mut sizes = [0usize; 8];
    found
        .values()
        .flatten()
        .for_each(|&id| sizes[usize::from(id)] += 1);
    let mut order: Vec<u16> = (0..8).collect();
    order.sort_by_key(|&k| std::cmp::Reverse(sizes[usize::from(k)]));
    let [first, second, third] = [order[0], order[1], order[2]];
    assert!(
        sizes[usize::from(third)] > 0,
        "three prototypes win somewhere: {sizes:?}"
    );
    let page = place.path("gallery.html");
    succeed(&mut gallery(place, &page));
    let mut file = names_in(&page);
    assert_eq!(
        (
            &file["version"],
            &file["prototypes"],
            &file["names"],
            &file["background"]
        ),
        (&json!(1), &json!(8), &json!({}), &json!([]))
    );
    // The lower one's way to write it stays.
    let (low, high) = (first.min(third), first.max(third));
    file["names"] = json!({low.to_string(): "road", high.to_string(): " Road "});
    file["background"] = json!([second]);
    let path = place.path("names.json");
    std::fs::write(&path, file.to_string()).unwrap();
    (path, [first, second, third])
}

/// The class of a prototype: background 0, road 1.
fn class_of(id: u16, [first, second, third]: [u16; 3]) -> u16 {
    match id {
        id if id == second => 0,
        id if id == first || id == third => 1,
        _ => NONE,
    }
}

fn last_line(output: &[u8]) -> Value {
    serde_json::from_str(std::str::from_utf8(output).unwrap().lines().last().unwrap()).unwrap()
}

#[test]
fn masks_have_the_names_of_their_groups() {
    let place = place();
    let found = prototypes(&place);
    let (names, numbers) = names(&place, &found);
    let out = place.path("named");
    succeed(
        segment(&place, &["--masks", "--names"])
            .arg(&names)
            .arg("--out")
            .arg(&out),
    );
    for (name, ids) in &found {
        let map = read_label_map(&out.join(format!("{name}.png.labels.png"))).unwrap();
        let expected: Vec<u16> = ids.iter().map(|&id| class_of(id, numbers)).collect();
        assert_eq!(map.ids(), expected, "{name}");
        let masks: Vec<Value> =
            serde_json::from_slice(&bytes(&out.join(format!("{name}.png.masks.json")))).unwrap();
        for mask in &masks {
            let class = mask["class"].as_u64().unwrap();
            assert_eq!(mask["name"], ["background", "road"][class as usize]);
            let pixels = expected.iter().filter(|&&id| u64::from(id) == class).count();
            assert_eq!(mask["area"], pixels);
        }
        let classes = (0..2u16).filter(|class| expected.contains(class)).count();
        assert_eq!(masks.len(), classes, "what has no name has no mask");
        assert!(out.join(format!("{name}.png.overlay.png")).exists());
    }
    let legend: Value = serde_json::from_slice(&bytes(&out.join("classes.json"))).unwrap();
    assert_eq!(
        (&legend["classes"], &legend["ignore_index"]),
        (&json!(["background", "road"]), &json!(255))
    );

    // The gallery begins with them.
    let page = place.path("again.html");
    succeed(gallery(&place, &page).arg("--names").arg(&names));
    let again = names_in(&page);
    let saved: Value = serde_json::from_slice(&bytes(&names)).unwrap();
    assert_eq!(again, saved);
}

#[test]
fn a_labelled_data_set_is_measured_and_learned_from() {
    let place = place();
    // A name with a comma, of a file that is copied as it is; and a picture that lies on its side.
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../slotcon-data/tests/pictures");
    let train = place.pictures();
    std::fs::copy(train.join("000001.png"), train.join("one, two.png")).unwrap();
    let found = prototypes(&place);
    let (names, numbers) = names(&place, &found);
    let set = place.path("set");
    succeed(
        segment(&place, &["--names"])
            .arg(&names)
            .arg("--dataset")
            .arg(&set),
    );
    for (name, ids) in &found {
        let copy = bytes(&set.join(format!("images/{name}.png")));
        assert!(
            copy == bytes(&place.path(&format!("scenes/images/{name}.png"))),
            "{name}"
        );
        let map = read_label_map(&set.join(format!("labels/{name}.png"))).unwrap();
        let expected: Vec<u16> = ids.iter().map(|&id| class_of(id, numbers)).collect();
        assert_eq!(map.ids(), expected, "{name}");
    }
    let rows = confidence(&set);
    assert_eq!(rows.len(), 7);
    assert!(
        rows.iter()
            .any(|(picture, ..)| picture == "\"train/one, two.png\""),
        "{rows:?}"
    );
    assert!(rows.is_sorted_by(|a, b| a.1 <= b.1), "{rows:?}");
    assert!(
        rows.iter()
            .all(|(_, p, labelled)| *p > 0.0 && *p <= 1.0 && (0.0..=1.0).contains(labelled))
    );

    // It is what the names say, to the pixel: the labels hold them.
    let mut evaluate = with_checkpoint(&place, &["evaluate", "clusters", "--json"]);
    evaluate
        .arg("--images")
        .arg(set.join("images"))
        .arg("--labels")
        .arg(set.join("labels"));
    evaluate
        .arg("--classes")
        .arg(set.join("classes.json"))
        .arg("--names")
        .arg(&names);
    let measured = last_line(&succeed(&mut evaluate).stdout);
    assert_eq!(
        (&measured["miou"], &measured["pixel_accuracy"]),
        (&json!(1.0), &json!(1.0))
    );
    let protocol = measured["protocol"].as_str().unwrap();
    assert!(
        protocol.contains("a person gave") && protocol.contains("3 of 8 prototypes"),
        "{protocol}"
    );

    let mut finetune = slotcon();
    finetune.args(["finetune", "semantic", "--device", "cpu", "--backbone", "none"]);
    finetune
        .arg("--data")
        .arg(&set)
        .arg("--out")
        .arg(place.path("tuned"));
    for setting in [
        "data.frame=[64, 64]",
        "data.crop=64",
        "model.head_channels=16",
        "test.test_frame=[64, 64]",
        "optim.batch=2",
        "run.steps=2",
    ]
    .into_iter()
    .chain(REPEATABLE)
    {
        finetune.args(["--set", setting]);
    }
    succeed(&mut finetune);
    let mut evaluate = slotcon();
    evaluate.args(["evaluate", "semantic", "--json", "--device", "cpu", "--data"]);
    evaluate
        .arg(&set)
        .arg("--checkpoint")
        .arg(place.path("tuned/checkpoints/last.safetensors"));
    let measured = last_line(&succeed(&mut evaluate).stdout);
    assert!(measured["iou"].get("road").is_some() && measured["iou"].get("background").is_some());

    // Its classes have names already.
    let mut named = slotcon();
    named.args(["segment", "--device", "cpu", "--names"]).arg(&names);
    named.arg("--checkpoint").arg(place.path("tuned"));
    let said = fail(named.arg("--out").arg(place.path("no")).arg(place.pictures()));
    assert!(said.contains("--names is for pretrained networks"), "{said}");

    // What is unsure has no class; the rest stays.
    let limit = (rows[0].1 + rows[rows.len() - 1].1) / 2.0;
    let sure = place.path("sure");
    let mut again = segment(&place, &["--unsure", &limit.to_string(), "--names"]);
    succeed(again.arg(&names).arg("--dataset").arg(&sure));
    let mut taken = 0;
    for name in found.keys() {
        let read = |set: &Path| read_label_map(&set.join(format!("labels/{name}.png"))).unwrap();
        for (&before, &now) in read(&set).ids().iter().zip(read(&sure).ids()) {
            assert!(now == before || now == NONE);
            taken += usize::from(now != before);
        }
    }
    assert!(taken > 0, "nothing was below {limit}");
    let labelled = |rows: &[(String, f64, f64)]| rows.iter().map(|row| row.2).sum::<f64>();
    assert!(labelled(&confidence(&sure)) < labelled(&rows));

    // A turned picture is written as it is seen.
    let turned = place.path("turned");
    let mut segment = with_checkpoint(&place, &["segment"]);
    segment
        .arg("--exif-orientation")
        .arg("--names")
        .arg(&names)
        .arg("--dataset")
        .arg(&turned);
    succeed(
        segment
            .arg(pictures.join("exif6.jpg"))
            .arg(pictures.join("exif1.jpg")),
    );
    let options = |exif_orientation| slotcon_data::picture::DecodeOptions {
        exif_orientation,
        ..Default::default()
    };
    let decode = |path: &Path, turn| slotcon_data::picture::decode_rgb(path, &options(turn)).unwrap();
    let seen = decode(&pictures.join("exif6.jpg"), true);
    assert_ne!(seen, decode(&pictures.join("exif6.jpg"), false));
    assert_eq!(decode(&turned.join("images/exif6.png"), false), seen);
    let map = read_label_map(&turned.join("labels/exif6.png")).unwrap();
    assert_eq!((map.width(), map.height()), (seen.width(), seen.height()));
    assert!(bytes(&turned.join("images/exif1.jpg")) == bytes(&pictures.join("exif1.jpg")));
}

/// Rows of confidence.csv: picture as it is written, confidence, labelled part.
fn confidence(set: &Path) -> Vec<(String, f64, f64)> {
    let text = std::fs::read_to_string(set.join("confidence.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("picture,confidence,labelled"));
    lines
        .map(|line| {
            let mut parts = line.rsplitn(3, ',');
            let mut number = || parts.next().unwrap().parse().unwrap();
            let (labelled, confidence) = (number(), number());
            (parts.next().unwrap().to_owned(), confidence, labelled)
        })
        .collect()
}

#[test]
fn names_are_measured_against_classes_of_the_same_name() {
    let place = place();
    let found = prototypes(&place);
    let (names, [first, ..]) = names(&place, &found);
    let classes = place.path("scenes/classes.json");
    let known: Value = serde_json::from_slice(&bytes(&classes)).unwrap();
    let truth = read_label_map(&place.path("scenes/labels/val/000005.png")).unwrap();
    let pixels = |class: u16| truth.ids().iter().filter(|&&id| id == class).count();
    let number = (0..9).max_by_key(|&class| pixels(class)).unwrap();
    let class = known["classes"][usize::from(number)].as_str().unwrap();
    let evaluate = |names: &Path| {
        let mut evaluate = with_checkpoint(&place, &["evaluate", "clusters", "--json"]);
        evaluate.arg("--images").arg(place.path("scenes/images/val"));
        evaluate.arg("--labels").arg(place.path("scenes/labels/val"));
        evaluate.arg("--classes").arg(&classes).arg("--names").arg(names);
        evaluate
    };
    // Not one of the names is a class.
    let said = fail(&mut evaluate(&names));
    assert!(
        said.contains("names.json") && said.contains("background, road") && said.contains(class),
        "{said}"
    );

    let mut file: Value = serde_json::from_slice(&bytes(&names)).unwrap();
    file["names"] =
        json!({first.to_string(): class.to_uppercase(), ((first + 1) % 8).to_string(): "griffin"});
    file["background"] = json!([]);
    std::fs::write(&names, file.to_string()).unwrap();
    let output = succeed(&mut evaluate(&names));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no class has these names") && said.contains("griffin"),
        "{said}"
    );
    assert!(said.contains("no group has the name of these classes"), "{said}");
    // By hand: pixels of the class in the group, over the class and the group together.
    let measured = last_line(&output.stdout);
    let own = |id: u16| id == first;
    let pairs = || truth.ids().iter().zip(&found["val/000005"]);
    let both = pairs()
        .filter(|&(&truth, &id)| truth == number && own(id))
        .count() as f64;
    let either = pairs()
        .filter(|&(&truth, &id)| truth == number || own(id))
        .count() as f64;
    let iou = measured["iou"][class].as_f64().unwrap();
    assert!(
        both > 0.0 && (iou - both / either).abs() < 1e-9,
        "{iou}, {both} of {either}"
    );
    let accuracy = measured["pixel_accuracy"].as_f64().unwrap();
    assert!((accuracy - both / pairs().count() as f64).abs() < 1e-9);
    assert!(measured["many_to_one"].is_null() || measured["many_to_one"]["miou"].is_number());

    let mut both = evaluate(&names);
    let said = fail(both.arg("--baselines"));
    assert!(said.contains("--names") && said.contains("--baselines"), "{said}");
}

#[test]
fn names_that_do_not_fit_are_refused_with_file_and_value() {
    let place = place();
    let page = place.path("gallery.html");
    succeed(&mut gallery(&place, &page));
    let good = names_in(&page);
    let path = place.path("names.json");
    let out = place.path("out");
    let refused = |text: &str, wanted: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let said = fail(
            segment(&place, &["--names"])
                .arg(&path)
                .arg("--dataset")
                .arg(&out),
        );
        for word in ["names.json"].iter().chain(wanted) {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        assert!(!out.exists(), "nothing is written");
    };
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file = good.clone();
        file["names"] = json!({"0": "road"});
        change(&mut file);
        file.to_string()
    };
    refused("{\"version\": 1,", &["is no JSON", "line 1"]);
    refused("{\"version\": 1}", &["is no file of names", "prototypes"]);
    refused(
        &with(&|file| file["names"] = json!({"8": "x"})),
        &["prototype 8", "there are 8"],
    );
    refused(
        &with(&|file| file["background"] = json!([0])),
        &["prototype 0", "road", "background"],
    );
    refused(
        &with(&|file| file["names"] = json!({})),
        &["gives no prototype a name"],
    );
    refused(&with(&|file| file["version"] = json!(2)), &["version 2"]);
    refused(
        &with(&|file| file["prototypes"] = json!(24)),
        &["24 prototypes", "this one has 8"],
    );
    let other = with(&|file| file["checkpoint"] = json!("00c0ffee"));
    refused(&other, &["another checkpoint", "00c0ffee", "--names"]);

    // The gallery takes them over, and says so: there one sees whether they fit.
    let again = place.path("again.html");
    let output = succeed(gallery(&place, &again).arg("--names").arg(&path));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("warning") && said.contains("00c0ffee"), "{said}");
    let taken = names_in(&again);
    assert_eq!(
        (&taken["names"]["0"], &taken["checkpoint"]),
        (&json!("road"), &good["checkpoint"])
    );
    // The student's prototypes are others.
    std::fs::write(&path, with(&|_| ())).unwrap();
    let said = fail(
        segment(&place, &["--student", "--names"])
            .arg(&path)
            .arg("--out")
            .arg(&out),
    );
    assert!(said.contains("another checkpoint"), "{said}");

    let said = fail(gallery(&place, &place.path("x.png")).arg("--names").arg(&path));
    assert!(said.contains("x.png") && said.contains(".html"), "{said}");
    let said = fail(
        segment(&place, &["--unsure", "2", "--names"])
            .arg(&path)
            .arg("--out")
            .arg(&out),
    );
    assert!(said.contains("--unsure") && said.contains('2'), "{said}");
    let said = fail(segment(&place, &["--dataset"]).arg(&out));
    assert!(said.contains("--names"), "{said}");

    // A folder among the photos, one that holds something, and pictures that would share a label map.
    let inside = place.path("scenes/images/new/set");
    let said = fail(
        segment(&place, &["--names"])
            .arg(&path)
            .arg("--dataset")
            .arg(&inside),
    );
    assert!(said.contains("new/set: lies in") && !inside.exists(), "{said}");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("mine.txt"), "").unwrap();
    let said = fail(
        segment(&place, &["--names"])
            .arg(&path)
            .arg("--dataset")
            .arg(&out),
    );
    assert!(said.contains("mine.txt") && said.contains("empty"), "{said}");
    std::fs::copy(
        place.pictures().join("000001.png"),
        place.pictures().join("000001.jpg"),
    )
    .unwrap();
    let said = fail(
        segment(&place, &["--names"])
            .arg(&path)
            .arg("--dataset")
            .arg(place.path("twice")),
    );
    assert!(
        said.contains("000001.jpg") && said.contains("000001.png") && said.contains("one label map"),
        "{said}"
    );
}
