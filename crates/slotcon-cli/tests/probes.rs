//! `slotcon evaluate retrieval` and `slotcon evaluate knn` as a user runs them.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Place, fail, slotcon, succeed};
use serde_json::Value;

fn json(command: &mut Command) -> Value {
    let output = succeed(command.arg("--json"));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Retrieval on the scenes of `split`, from those of train.
fn retrieval(place: &Place, split: &str, more: &[&str]) -> Command {
    let mut command = slotcon();
    // Places of 4 pixels.
    command.args(["evaluate", "retrieval", "--device", "cpu", "--side", "64"]);
    command.args(["--network-side", "256"]);
    for (flag, folder) in [
        ("--train-images", "images/train".to_owned()),
        ("--train-labels", "labels/train".to_owned()),
        ("--images", format!("images/{split}")),
        ("--labels", format!("labels/{split}")),
        ("--classes", "classes.json".to_owned()),
    ] {
        command.arg(flag).arg(place.path("scenes").join(folder));
    }
    command.args(more);
    command
}

#[test]
fn places_are_told_by_their_like() {
    let place = Place::new(4);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let run = place.path("run").display().to_string();
    let checkpoint = ["--checkpoint", run.as_str()];

    // Pictures that are in the memory find themselves.
    let known = [&checkpoint[..], &["--k", "1", "--baselines"]].concat();
    let found = json(&mut retrieval(&place, "train", &known));
    for way in [
        &found,
        &found["baselines"]["untrained"],
        &found["baselines"]["colour_and_place"],
    ] {
        let accuracy = way["pixel_accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.75 && accuracy <= 1.0, "{way}");
        assert!(way["miou"].as_f64().unwrap() > 0.5, "{way}");
        assert_eq!(way["places"], 4 * 256);
    }
    assert!(found["iou"].is_object());
    let protocol = found["protocol"].as_str().unwrap();
    for words in [
        "4 pictures",
        "1024 of 1024 labelled places",
        "16 x 16 places",
        "backbone features of the teacher",
        "1 neighbours",
        "cosine / 0.02",
    ] {
        assert!(protocol.contains(words), "{words}: {protocol}");
    }

    // A smaller memory, the same for the same seed.
    let small = |seed: &str| {
        let more = [
            &checkpoint[..],
            &["--what", "dense", "--memory", "61", "--seed", seed],
        ]
        .concat();
        json(&mut retrieval(&place, "val", &more))
    };
    let one = small("1");
    assert_eq!(one["places"], 61);
    assert_eq!(one, small("1"));
    assert_ne!(one["pixel_accuracy"], small("2")["pixel_accuracy"]);

    // Whitened, and with the height of a place: another way to compare the same places, which the protocol tells.
    let beside = [&checkpoint[..], &["--whiten", "--height", "0.7"]].concat();
    let whitened = json(&mut retrieval(&place, "val", &beside));
    let plain = json(&mut retrieval(&place, "val", &checkpoint));
    assert_eq!(whitened["places"], plain["places"]);
    assert_ne!(whitened["pixel_accuracy"], plain["pixel_accuracy"]);
    let protocol = whitened["protocol"].as_str().unwrap();
    assert!(
        protocol.contains("whitened by how they change with the colours")
            && protocol.contains("height in the picture, weight 0.7"),
        "{protocol}"
    );
    let known = json(&mut retrieval(
        &place,
        "train",
        &[&beside[..], &["--k", "1"]].concat(),
    ));
    let accuracy = known["pixel_accuracy"].as_f64().unwrap();
    assert!(
        accuracy > 0.75,
        "pictures in the memory find themselves: {accuracy}"
    );

    // The backbone alone, as another program has it.
    let exported = place.path("backbone.pth").display().to_string();
    let mut export = slotcon();
    export.args([
        "export",
        "--checkpoint",
        &run,
        "--format",
        "torchvision",
        "--out",
        &exported,
    ]);
    succeed(&mut export);
    let ours = json(&mut retrieval(&place, "val", &checkpoint));
    let theirs = json(&mut retrieval(
        &place,
        "val",
        &["--backbone", &exported, "--output-stride", "16"],
    ));
    assert_eq!(ours["iou"], theirs["iou"]);
    assert!(
        theirs["protocol"]
            .as_str()
            .unwrap()
            .contains("given backbone (resnet18)")
    );

    for (more, words) in [
        (&["--temperature", "0"][..], ["--temperature 0", "0.02"]),
        (&["--memory", "7"], ["7 labelled places", "30 neighbours"]),
        (&["--height=-1"], ["--height -1", "0 or more"]),
    ] {
        let said = fail(&mut retrieval(&place, "val", &[&checkpoint[..], more].concat()));
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    let said = fail(&mut retrieval(
        &place,
        "val",
        &["--backbone", &exported, "--what", "dense"],
    ));
    assert!(said.contains("--what dense needs a --checkpoint"), "{said}");
    let no_weights = place.path("scenes/classes.json").display().to_string();
    let said = fail(&mut retrieval(&place, "val", &["--backbone", &no_weights]));
    assert!(said.contains("classes.json"), "{said}");
}

/// A picture of one colour, nearly.
fn paint(path: &Path, colour: [u8; 3], seed: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels =
        (0..60 * 40u32).flat_map(|i| colour.map(|c| c.wrapping_add((i as u8).wrapping_mul(seed) % 9)));
    let pixels: Vec<u8> = pixels.collect();
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 60, 40);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

#[test]
fn pictures_are_told_by_their_like() {
    let place = Place::new(4);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let kinds = [
        ("blue", [20, 30, 200]),
        ("grey", [90, 90, 90]),
        ("red", [220, 20, 20]),
    ];
    for (kind, colour) in kinds {
        for i in 0..4u8 {
            paint(&place.path(&format!("set/train/{kind}/{i}.png")), colour, i + 1);
        }
        // A folder in the class's folder is of that class.
        paint(&place.path(&format!("set/val/{kind}/more/9.png")), colour, 7);
    }
    let knn = |more: &[&str]| {
        let mut command = slotcon();
        command.args(["evaluate", "knn", "--device", "cpu"]);
        command.arg("--checkpoint").arg(place.path("run"));
        command.arg("--train").arg(place.path("set/train"));
        command.arg("--val").arg(place.path("set/val")).args(more);
        command
    };
    let mut command = knn(&["--k", "1,3,12,200"]);
    let found = json(&mut command);
    assert_eq!(found["top1"]["1"], 1.0);
    assert_eq!(found["top1"]["3"], 1.0);
    // All twelve have a vote: every class is among the first five.
    assert_eq!(found["top5"]["12"], 1.0);
    assert!(found["top1"]["200"].is_null());
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(
        said.contains("k = 200 left out: there are only 12") && said.contains("224 x 224"),
        "{said}"
    );

    let said = fail(&mut knn(&["--k", "13"]));
    assert!(
        said.contains("--k 13") && said.contains("12 training pictures"),
        "{said}"
    );
    std::fs::write(place.path("set/val/red/broken.png"), "no picture").unwrap();
    // What cannot be used is told, and the rest is measured.
    let mut command = knn(&["--k", "1"]);
    let said = fail(&mut command);
    assert!(said.contains("broken.png"), "{said}");
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        shown.contains("3 pictures by 12") && shown.contains("100.00"),
        "{shown}"
    );
    paint(&place.path("set/val/green/0.png"), [20, 200, 20], 3);
    let said = fail(&mut knn(&["--k", "1"]));
    assert!(
        said.contains("class green") && said.contains("3 classes"),
        "{said}"
    );
}
