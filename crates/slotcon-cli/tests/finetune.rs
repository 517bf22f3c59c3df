//! Fine-tuning for semantic segmentation as a user does it, on drawn scenes: it learns, is killed and goes on, is measured, starts
//! from a pretrained backbone, and says what is wrong before the first step.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, REPEATABLE, bytes, fail, kill_after, slotcon, succeed};
use serde_json::Value;
use slotcon_weights::WeightFile;
use slotcon_weights::safetensors::write_plain;

fn scenes(place: &Place) -> PathBuf {
    place.path("scenes")
}

/// `slotcon finetune semantic` of a small network on the scenes, into `run`.
fn finetune(place: &Place, run: &str, backbone: &str, more: &[&str]) -> Command {
    let mut command = slotcon();
    command.args(["finetune", "semantic", "--device", "cpu", "--backbone", backbone]);
    command
        .arg("--data")
        .arg(scenes(place))
        .arg("--out")
        .arg(place.path(run));
    for setting in [
        "data.frame=[64, 64]",
        "data.crop=64",
        "data.threads=2",
        "model.head_channels=16",
        "test.test_frame=[64, 64]",
        "optim.batch=4",
        "run.steps=8",
        "run.save_every=2",
        "run.validate_every=4",
    ]
    .into_iter()
    .chain(REPEATABLE)
    {
        command.args(["--set", setting]);
    }
    command.args(more);
    command
}

fn gray(path: &Path, width: u32, height: u32, value: u8) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let data = vec![value; width as usize * height as usize];
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
}

fn last(place: &Place, run: &str) -> Vec<u8> {
    bytes(&place.path(run).join("checkpoints/last.safetensors"))
}

#[test]
fn a_killed_run_goes_on_and_is_measured_as_it_measured_itself() {
    let place = Place::new(8);
    succeed(&mut finetune(&place, "whole", "none", &[]));

    kill_after(&mut finetune(&place, "killed", "none", &[]), &place, "killed", 5);
    succeed(finetune(&place, "killed", "none", &[]).arg("--resume"));
    assert_eq!(place.metrics("killed"), place.metrics("whole"));
    assert!(
        last(&place, "killed") == last(&place, "whole"),
        "the checkpoints differ"
    );

    let metrics = place.metrics("whole");
    let validated = metrics.iter().find(|line| line["step"] == 8).unwrap();
    let mut evaluate = slotcon();
    evaluate.args(["evaluate", "semantic", "--json", "--device", "cpu"]);
    evaluate
        .arg("--checkpoint")
        .arg(place.path("whole/checkpoints/last.safetensors"));
    evaluate.arg("--data").arg(scenes(&place));
    let output = succeed(&mut evaluate);
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for key in ["miou", "pixel_accuracy"] {
        let (own, now) = (
            validated["validation"][key].as_f64().unwrap(),
            found[key].as_f64().unwrap(),
        );
        assert!(
            (own - now).abs() < 1e-9,
            "{key}: {own} while it learned, {now} now"
        );
    }
    assert!(found["iou"].is_object() && found["accuracy"].is_object() && found["protocol"].is_string());
    // Several scales and the mirrored picture are another protocol, and say so.
    let output = succeed(evaluate.args(["--scales", "0.75,1", "--mirror"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let several: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(
        several["protocol"]
            .as_str()
            .unwrap()
            .contains("[0.75, 1.0], mirrored")
    );

    for file in ["report.html", "recipe.toml", "checkpoints/best.safetensors"] {
        assert!(place.path("whole").join(file).exists(), "{file}");
    }
    let report = std::fs::read_to_string(place.path("whole/report.html")).unwrap();
    assert!(
        report.contains("Truth and prediction")
            && report.contains("IoU by class")
            && report.contains("Confusion")
            && report.contains("data:image/jpeg")
    );
}

#[test]
fn two_ranks_learn_what_one_process_learns_and_a_checkpoint_goes_out_and_in_again() {
    let place = Place::new(8);
    // Which channels are left out differs from rank to rank.
    let more = ["--set", "model.dropout=0", "--set", "model.auxiliary_weight=0.4"];
    succeed(&mut finetune(&place, "one", "none", &more));
    succeed(finetune(&place, "two", "none", &more).args(["--ranks", "2"]));
    let (one, two) = (place.metrics("one"), place.metrics("two"));
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(&two) {
        for key in ["loss", "decode_loss", "auxiliary_loss"] {
            let (a, b) = (one[key].as_f64().unwrap(), two[key].as_f64().unwrap());
            assert!(
                (a - b).abs() <= 1e-3 * a.abs(),
                "step {}: {key} {a} and {b}",
                one["step"]
            );
        }
    }

    // Out to MMSegmentation and in again: the same predictions, to the byte.
    let at = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let last = "one/checkpoints/last.safetensors";
    for ending in ["pth", "safetensors"] {
        let (out, back) = (
            at(&format!("out.{ending}")),
            at(&format!("back-{ending}.safetensors")),
        );
        let checkpoint = at(last);
        succeed(slotcon().args([
            "export",
            "--format",
            "mmsegmentation",
            "--checkpoint",
            &checkpoint,
            "--out",
            &out,
        ]));
        let output = succeed(slotcon().args(["import", "--from", &out, "--out", &back]));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.contains("resnet18 at output stride 16") && said.contains("head dilation 6"),
            "{said}"
        );
        for (file, folder) in [(&checkpoint, "maps"), (&back, "maps-back")] {
            succeed(
                slotcon()
                    .args([
                        "segment",
                        "--device",
                        "cpu",
                        "--masks",
                        "--checkpoint",
                        file,
                        "--out",
                        &at(folder),
                    ])
                    .arg(scenes(&place).join("images/val")),
            );
        }
        let mut compared = 0;
        for entry in std::fs::read_dir(place.path("maps")).unwrap() {
            let name = entry.unwrap().file_name();
            assert_eq!(
                bytes(&place.path("maps").join(&name)),
                bytes(&place.path("maps-back").join(&name)),
                "{name:?}"
            );
            compared += 1;
        }
        assert!(compared > 3, "{compared} files");
    }
    let legend: Value = serde_json::from_slice(&bytes(&place.path("maps/classes.json"))).unwrap();
    let classes: Value = serde_json::from_slice(&bytes(&scenes(&place).join("classes.json"))).unwrap();
    assert_eq!(legend["classes"], classes["classes"]);
    let refused = fail(
        slotcon()
            .args([
                "segment",
                "--side",
                "64",
                "--checkpoint",
                &at(last),
                "--out",
                &at("maps"),
            ])
            .arg(scenes(&place).join("images/val")),
    );
    assert!(refused.contains("--side is for pretrained networks"), "{refused}");

    // What neither weights nor the file say must be said.
    let mut file = WeightFile::open(place.path("out.pth").as_ref()).unwrap();
    file.tensors.retain(|(name, _)| name.starts_with("state_dict."));
    let bare = file
        .tensors
        .into_iter()
        .map(|(name, tensor)| (name.replace("state_dict.", ""), tensor));
    write_plain(place.path("bare.safetensors").as_ref(), bare.collect()).unwrap();
    let import = |more: &[&str]| {
        let mut command = slotcon();
        command.args([
            "import",
            "--from",
            &at("bare.safetensors"),
            "--out",
            &at("from-bare.safetensors"),
        ]);
        command.args(more);
        command
    };
    let said = fail(&mut import(&[]));
    for word in [
        "model.output_stride",
        "model.head_dilation",
        "model.align_corners",
        "data.normalisation",
        "--recipe",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said = fail(&mut import(&["--recipe", "semantic-small"]));
    assert!(
        said.contains("names no classes") && said.contains("--classes"),
        "{said}"
    );
    let scene_classes = scenes(&place).join("classes.json");
    let scene_classes = scene_classes.to_str().unwrap();
    succeed(&mut import(&[
        "--recipe",
        "semantic-small",
        "--classes",
        scene_classes,
    ]));
    let said = fail(slotcon().args([
        "export",
        "--format",
        "timm",
        "--checkpoint",
        &at(last),
        "--out",
        &at("x.pth"),
    ]));
    assert!(said.contains("--format mmsegmentation"), "{said}");
}

#[test]
fn it_starts_from_a_pretrained_run_and_a_frozen_backbone_stays_as_it_came() {
    let place = Place::new(8);
    succeed(&mut place.pretrain("pretrained", &["--steps", "2"]));
    let run = place.path("pretrained");
    let run = run.to_str().unwrap();
    let more = [
        "--steps",
        "2",
        "--set",
        "model.freeze_backbone=true",
        "--set",
        "model.head_convolutions=0",
    ];
    let output = succeed(&mut finetune(&place, "probe", run, &more));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("120 of its tensors taken") && said.contains("encoder_k"),
        "{said}"
    );

    let tensors = |path: PathBuf| WeightFile::open(&path).unwrap().tensors;
    let before = tensors(place.path("pretrained/checkpoints/last.safetensors"));
    let after = tensors(place.path("probe/checkpoints/last.safetensors"));
    let mut compared = 0;
    for (name, tensor) in &before {
        let Some(rest) = name.strip_prefix("model.encoder_k.") else {
            continue;
        };
        let found = after
            .iter()
            .find(|(name, _)| *name == format!("model.backbone.{rest}"));
        assert!(&found.unwrap().1 == tensor, "{rest} has changed");
        compared += 1;
    }
    assert_eq!(compared, 120);
    // A checkpoint of another task is named as such.
    let said = fail(
        slotcon()
            .args(["evaluate", "semantic", "--checkpoint", run, "--data"])
            .arg(scenes(&place)),
    );
    assert!(
        said.contains("'pretrain'") && said.contains("'semantic'"),
        "{said}"
    );
}

/// A step of SGD is proportional to the learning rate: at half of it the backbone moves half as far, and the head as far as ever.
#[test]
fn a_backbone_can_learn_slower_than_the_head() {
    let place = Place::new(8);
    let weights = |scale: &str| {
        let set = format!("model.backbone_lr_scale={scale}");
        let more = ["--steps", "1", "--set", &set, "--set", "optim.base_lr=1.0"];
        succeed(&mut finetune(&place, scale, "none", &more));
        let path = place.path(scale).join("checkpoints/last.safetensors");
        WeightFile::open(&path).unwrap().tensors
    };
    let [still, half, whole] = ["1e-30", "0.5", "1.0"].map(weights);
    let mut moved = 0;
    for ((name, still), ((_, half), (_, whole))) in still.iter().zip(half.iter().zip(&whole)) {
        // Not the statistics of batch norm, nor momentum.
        let parameter = name.starts_with("model.") && (name.ends_with(".weight") || name.ends_with(".bias"));
        if !parameter {
            continue;
        }
        if !name.contains("backbone.") {
            assert_eq!(still, whole, "{name}");
            continue;
        }
        let most = |difference: tch::Tensor| difference.abs().max().double_value(&[]);
        let way = most(whole - still);
        assert!(
            most((half - still) * 2.0 - (whole - still)) < 1e-3 * way + 1e-6,
            "{name}"
        );
        moved += usize::from(way > 1e-5);
    }
    assert!(moved > 50, "{moved}");
}

#[test]
fn what_is_wrong_is_said_before_the_first_step() {
    let place = Place::new(4);
    let refuse = |command: &mut Command, words: &[&str]| {
        let said = fail(command);
        for word in words {
            assert!(said.contains(word), "'{word}' is not in: {said}");
        }
        assert!(!place.path("bad").exists(), "something was written");
    };
    // A backbone of another architecture: how many of its tensors do not fit.
    succeed(&mut place.pretrain("pretrained", &["--steps", "2"]));
    let run = place.path("pretrained");
    let other = ["--set", "model.arch=resnet50"];
    refuse(
        &mut finetune(&place, "bad", run.to_str().unwrap(), &other),
        &["do not fit", "of 318 tensors match", "missing"],
    );
    // A checkpoint of another task in place of a segmentor, and a segmentor that is another network.
    let whole = |out: &str, path: &str, more: &[&str]| {
        let command = finetune(&place, out, "none", more);
        let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let at = words.iter().position(|word| word == "--backbone").unwrap();
        let mut command = slotcon();
        command
            .args(&words[..at])
            .args(&words[at + 2..])
            .arg("--segmentor")
            .arg(path);
        command
    };
    refuse(
        &mut whole("bad", run.to_str().unwrap(), &[]),
        &["'pretrain'", "'semantic'"],
    );
    succeed(&mut finetune(&place, "other", "none", &["--steps", "1"]));
    let other = place.path("other/checkpoints/last.safetensors");
    let other = other.to_str().unwrap();
    refuse(
        &mut whole("bad", other, &["--set", "model.head_dilation=2"]),
        &["model.head_dilation is 6 in it and 2 in the recipe"],
    );
    succeed(&mut whole("on", other, &["--steps", "1"]));
    // A map without its picture.
    let labels = scenes(&place).join("labels/train");
    let stray = labels.join("stray.png");
    gray(&stray, 64, 64, 0);
    refuse(
        &mut finetune(&place, "bad", "none", &[]),
        &["stray.png", "label map", "without a picture"],
    );
    std::fs::remove_file(&stray).unwrap();
    // A picture without its map.
    let map = std::fs::read_dir(&labels)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let kept = bytes(&map);
    std::fs::remove_file(&map).unwrap();
    refuse(&mut finetune(&place, "bad", "none", &[]), &["has no label map"]);
    // A label that is no class.
    gray(&map, 64, 64, 77);
    let name = map.file_name().unwrap().to_str().unwrap();
    refuse(
        &mut finetune(&place, "bad", "none", &[]),
        &[name, "label 77 at column 0, row 0"],
    );
    // A map of another size.
    gray(&map, 64, 63, 0);
    refuse(
        &mut finetune(&place, "bad", "none", &[]),
        &[name, "64x63", "64x64", "the same proportions"],
    );
    // Colours, and no palette that says what they mean.
    let mut encoder = png::Encoder::new(std::fs::File::create(&map).unwrap(), 64, 64);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[9; 3 * 64 * 64])
        .unwrap();
    refuse(
        &mut finetune(&place, "bad", "none", &[]),
        &[name, "RGB colours", "\"palette\""],
    );
    std::fs::write(&map, kept).unwrap();
    // A list of a split that names nothing.
    let lists = scenes(&place).join("ImageSets/Segmentation");
    std::fs::create_dir_all(&lists).unwrap();
    std::fs::write(lists.join("train.txt"), "\n").unwrap();
    refuse(
        finetune(&place, "bad", "none", &[]).args(["--layout", "voc"]),
        &["train.txt", "names no picture"],
    );
    // Classes that nobody names.
    std::fs::remove_file(scenes(&place).join("classes.json")).unwrap();
    refuse(&mut finetune(&place, "bad", "none", &[]), &["--classes FILE"]);
}

#[test]
fn what_is_left_out_and_what_is_resized_is_told() {
    let place = Place::new(4);
    let folder = scenes(&place);
    // Maps of half the size, as of pictures that were reduced before they were labelled.
    let half = |split: &str| {
        for map in std::fs::read_dir(folder.join("labels").join(split)).unwrap() {
            gray(&map.unwrap().path(), 32, 32, 1);
        }
    };
    half("train");
    half("val");
    std::fs::write(folder.join("images/train/IMG.HEIC"), b"\0\0\0\x1cftypheic").unwrap();
    std::os::unix::fs::symlink("gone", folder.join("images/val/link.jpg")).unwrap();
    let said = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let text = said(succeed(&mut finetune(&place, "run", "none", &["--steps", "1"])));
    for part in [
        "1 HEIC file is not read",
        "1 link leads nowhere",
        "label maps have another size",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    let report = std::fs::read_to_string(place.path("run").join("report.html")).unwrap();
    assert!(report.contains("1 HEIC file is not read"));
    let mut evaluate = slotcon();
    evaluate.args([
        "evaluate",
        "semantic",
        "--device",
        "cpu",
        "--json",
        "--checkpoint",
    ]);
    evaluate.arg(place.path("run")).arg("--data").arg(&folder);
    let output = succeed(&mut evaluate);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["pixel_accuracy"].as_f64().is_some());
    let text = said(output);
    for part in ["1 link leads nowhere", "label maps have another size"] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}
