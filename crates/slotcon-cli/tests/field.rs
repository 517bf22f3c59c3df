//! What people really have: files beside pictures, equal names, odd lists and archives, weights that are good for nothing. Nothing
//! goes wrong without a word, and one file costs one file.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{Place, fail, slotcon, succeed};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A place with a run of two steps, by which pictures are embedded and segmented.
fn trained(pictures: u64) -> Place {
    let place = Place::new(pictures);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    place
}

fn embed(place: &Place, data: &Path) -> Command {
    let mut command = slotcon();
    command.args([
        "embed",
        "--device",
        "cpu",
        "--what",
        "global",
        "--side",
        "64",
        "--overwrite",
        "--checkpoint",
    ]);
    command.arg(place.path("run")).arg("--data").arg(data);
    command.arg("--out").arg(place.path("e.npy"));
    command
}

fn names(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path("e.names.jsonl")).unwrap();
    let name = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    text.lines().map(name).collect()
}

fn segment(place: &Place, out: &Path, pictures: &[&Path]) -> Command {
    let mut command = slotcon();
    command.args(["segment", "--device", "cpu", "--side", "64", "--checkpoint"]);
    command
        .arg(place.path("run"))
        .arg("--out")
        .arg(out)
        .args(pictures);
    command
}

fn copy(from: &Path, to: PathBuf) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

#[test]
fn what_is_left_out_is_told_by_every_command() {
    let place = trained(8);
    let folder = place.path("photos");
    for i in 0..6 {
        copy(
            &place.pictures().join(format!("{i:06}.png")),
            folder.join(format!("{i}.png")),
        );
    }
    std::fs::write(folder.join("IMG.HEIC"), b"\0\0\0\x1cftypheic").unwrap();
    std::fs::write(folder.join("DSC.NEF"), b"II*\0").unwrap();
    std::os::unix::fs::symlink("gone", folder.join("link.jpg")).unwrap();
    copy(&folder.join("0.png"), folder.join("@eaDir/0.png/THUMB.jpg"));
    copy(&folder.join("0.png"), folder.join("#recycle/old.png"));
    let output = succeed(&mut embed(&place, &folder));
    let text = said(&output);
    for part in [
        "1 HEIC file",
        "1 camera raw file",
        "1 link leads nowhere",
        "2 files of a storage system",
        "link.jpg",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert_eq!(names(&place).len(), 6);

    let mut pretrain = place.pretrain("told", &["--steps", "1", "--set", "data.exclude=[\"5.png\"]"]);
    let from_scenes: Vec<_> = pretrain.get_args().map(ToOwned::to_owned).collect();
    let mut command = slotcon();
    command.args(from_scenes.iter().map(|arg| {
        if *arg == *place.pictures().as_os_str() {
            folder.as_os_str()
        } else {
            arg
        }
    }));
    pretrain = command;
    let text = said(&succeed(&mut pretrain));
    assert!(
        text.contains("1 HEIC file") && text.contains("excluded by data.exclude"),
        "{text}"
    );
    assert!(text.contains("on 5 pictures"), "{text}");
    let report = std::fs::read_to_string(place.path("told").join("report.html")).unwrap();
    assert!(
        report.contains("1 HEIC file") && report.contains("links lead nowhere")
            || report.contains("1 link leads nowhere")
    );
}

#[test]
fn results_of_equal_names_do_not_replace_each_other() {
    let place = trained(4);
    let (monday, tuesday) = (place.path("monday"), place.path("tuesday"));
    copy(&place.pictures().join("000000.png"), monday.join("1.png"));
    copy(&place.pictures().join("000001.png"), tuesday.join("1.png"));
    let out = place.path("out");
    succeed(&mut segment(&place, &out, &[&monday, &tuesday]));
    assert!(out.join("monday/1.png.labels.png").is_file() && out.join("tuesday/1.png.labels.png").is_file());
    let text = fail(&mut segment(&place, &out, &[&monday, &tuesday.join("1.png")]));
    assert!(
        text.contains("monday/1.png") && text.contains("tuesday/1.png"),
        "{text}"
    );
    let mut both = embed(&place, &monday);
    succeed(both.arg("--data").arg(&tuesday));
    assert_eq!(names(&place), ["monday/1.png", "tuesday/1.png"]);
}

#[test]
fn results_are_no_input() {
    let place = trained(4);
    let folder = place.path("photos");
    copy(&place.pictures().join("000000.png"), folder.join("a.png"));
    copy(&place.pictures().join("000001.png"), folder.join("b.png"));
    for _ in 0..2 {
        let text = said(&succeed(&mut segment(&place, &folder.join("masks"), &[&folder])));
        assert!(text.contains("2 pictures segmented"), "{text}");
    }
    succeed(&mut embed(&place, &folder));
    assert_eq!(names(&place), ["a.png", "b.png"]);
    let mut gallery = slotcon();
    gallery
        .args(["slots", "--device", "cpu", "--checkpoint"])
        .arg(place.path("run"));
    gallery
        .arg("--data")
        .arg(&folder)
        .arg("--out")
        .arg(folder.join("gallery.png"));
    let text = fail(&mut gallery);
    assert!(text.contains("taken for a photo"), "{text}");
}

#[test]
fn a_result_that_cannot_be_named_costs_one_picture() {
    let place = trained(4);
    let folder = place.path("photos");
    copy(&place.pictures().join("000000.png"), folder.join("a.png"));
    copy(
        &place.pictures().join("000001.png"),
        folder.join(format!("{}.png", "x".repeat(248))),
    );
    copy(&place.pictures().join("000002.png"), folder.join("z.png"));
    let out = place.path("out");
    let text = fail(&mut segment(&place, &out, &[&folder]));
    assert!(
        text.contains("xxxx") && text.contains("2 pictures segmented"),
        "{text}"
    );
    assert!(out.join("a.png.labels.png").is_file() && out.join("z.png.overlay.png").is_file());
}

#[test]
fn names_that_are_no_text_are_kept() {
    let place = trained(8);
    let folder = place
        .path("gr")
        .with_file_name(std::ffi::OsStr::from_bytes(b"gr\xf6\xdfe"));
    for (i, byte) in [0xf6u8, 0xf7].into_iter().enumerate() {
        let name = [&[byte][..], b".png"].concat();
        copy(
            &place.pictures().join(format!("{i:06}.png")),
            folder.join(std::ffi::OsStr::from_bytes(&name)),
        );
    }
    succeed(&mut embed(&place, &folder));
    assert_eq!(names(&place), ["\\xF6.png", "\\xF7.png"]);
    let out = place.path("out");
    succeed(&mut segment(&place, &out, &[&folder]));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4);
    let mut pretrain = slotcon();
    pretrain
        .arg("pretrain")
        .arg("--data")
        .arg(&folder)
        .arg("--out")
        .arg(place.path("odd"));
    pretrain.args([
        "--device",
        "cpu",
        "--steps",
        "1",
        "--set",
        "optim.batch=2",
        "--set",
        "data.image_size=64",
    ]);
    pretrain.args([
        "--set",
        "model.arch=resnet18",
        "--set",
        "model.dim_hidden=32",
        "--recipe",
        "small",
    ]);
    succeed(&mut pretrain);
}

#[test]
fn weights_that_are_not_finite_are_refused_and_backbones_chosen() {
    let place = trained(8);
    let backbone = place.path("tv.safetensors");
    let mut export = slotcon();
    export
        .arg("export")
        .arg("--checkpoint")
        .arg(place.path("run"))
        .args(["--format", "torchvision", "--out"]);
    succeed(export.arg(&backbone));
    let bytes = std::fs::read(&backbone).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let write = |name: &str, prefixes: &[&str], spoil: bool| {
        let mut data: Vec<(String, Vec<usize>, safetensors::Dtype, Vec<u8>)> = Vec::new();
        for prefix in prefixes {
            for (name, view) in file.tensors() {
                let mut bytes = view.data().to_vec();
                if spoil && name == "layer1.0.conv1.weight" {
                    bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
                }
                let shape = if view.shape().is_empty() {
                    vec![1]
                } else {
                    view.shape().to_vec()
                };
                data.push((format!("{prefix}{name}"), shape, view.dtype(), bytes));
            }
        }
        let views = data.iter().map(|(name, shape, dtype, bytes)| {
            (
                name.clone(),
                safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
            )
        });
        let path = place.path(name);
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    };
    let start = |file: &Path, more: &[&str]| {
        let mut all = vec![
            "--steps",
            "1",
            "--overwrite",
            "--init-backbone",
            file.to_str().unwrap(),
        ];
        all.extend(more);
        place.pretrain("started", &all)
    };
    let text = fail(&mut start(&write("nan.safetensors", &[""], true), &[]));
    assert!(
        text.contains("nan.safetensors")
            && text.contains("layer1.0.conv1.weight")
            && text.contains("not finite"),
        "{text}"
    );
    // Counters as vectors of one element are those of old files.
    succeed(&mut start(&write("vectors.safetensors", &[""], false), &[]));
    let two = write(
        "two.safetensors",
        &["student.backbone.", "teacher.backbone."],
        false,
    );
    let text = fail(&mut start(&two, &[]));
    assert!(
        text.contains("student.backbone.") && text.contains("--init-prefix"),
        "{text}"
    );
    let text = said(&succeed(&mut start(&two, &["--init-prefix", "teacher.backbone"])));
    assert!(text.contains("the one taken is teacher.backbone."), "{text}");
    let densecl = write("densecl.safetensors", &["encoder_q.0.", "encoder_k.0."], false);
    let text = said(&succeed(&mut start(&densecl, &[])));
    assert!(text.contains("the one taken is encoder_q.0."), "{text}");
}

#[test]
fn signals_that_warn_end_a_run_in_good_order() {
    for name in ["-HUP", "-USR1", "-USR2"] {
        let place = Place::new(8);
        let mut child = place
            .pretrain("run", &["--steps", "100000"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while place.metrics("run").len() < 2 {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let sent = Command::new("kill")
            .args([name, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        assert!(place.path("run/checkpoints/last.safetensors").is_file());
    }
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let place = Place::new(8);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let text = said(&succeed(
        &mut place.pretrain("run", &["--steps", "4", "--resume"]),
    ));
    assert!(text.contains("laid out for 2 steps and is now for 4"), "{text}");
    assert_eq!(place.metrics("run").len(), 4);
    let text = fail(&mut place.pretrain("run", &["--steps", "3", "--resume"]));
    assert!(text.contains("has done 4 steps already"), "{text}");
}

#[test]
fn a_broken_last_checkpoint_points_to_a_whole_one() {
    let place = Place::new(8);
    succeed(&mut place.pretrain("run", &["--steps", "4"]));
    let last = place.path("run/checkpoints/last.safetensors");
    std::fs::remove_file(&last).unwrap();
    std::fs::write(&last, b"").unwrap();
    let text = fail(&mut place.pretrain("run", &["--steps", "6", "--resume"]));
    assert!(text.contains("step-00000004.safetensors"), "{text}");
}

#[test]
fn a_checkpoint_may_be_a_run_and_a_wrong_file_says_what_to_type() {
    let place = trained(4);
    succeed(slotcon().arg("inspect").arg(place.path("run")));
    let pth = place.path("official.pth");
    std::fs::write(&pth, b"PK\x03\x04 and so on").unwrap();
    let mut wrong = slotcon();
    wrong
        .args(["embed", "--device", "cpu", "--checkpoint"])
        .arg(&pth)
        .arg("--data")
        .arg(place.pictures());
    let text = fail(wrong.arg("--out").arg(place.path("x.npy")));
    assert!(text.contains("slotcon import"), "{text}");
    // Nothing is replaced unasked.
    succeed(&mut embed(&place, &place.pictures()));
    let mut again = slotcon();
    again
        .args(["embed", "--device", "cpu", "--checkpoint"])
        .arg(place.path("run"))
        .arg("--data")
        .arg(place.pictures());
    let text = fail(again.arg("--out").arg(place.path("e.npy")));
    assert!(text.contains("--overwrite"), "{text}");
}

#[test]
fn causes_are_told_once() {
    let place = Place::new(1);
    let nowhere = place.path("nowhere.safetensors");
    let text = fail(slotcon().arg("inspect").arg(&nowhere));
    assert_eq!(text.matches("No such file").count(), 1, "{text}");
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let place = trained(4);
    let script = format!(
        "'{}' inspect '{}' | head -n 1; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_slotcon"),
        place.path("run").display()
    );
    let output = succeed(Command::new("bash").args(["-c", &script]));
    assert_eq!(said(&output), "");
    assert_eq!(output.stdout.iter().filter(|&&b| b == b'\n').count(), 1);
}
