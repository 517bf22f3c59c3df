//! `slots`, `embed` and `report` as a user runs them, also where something is missing or wrong.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::{Place, bytes, fail, slotcon, succeed};
use serde_json::Value;

fn run(place: &Place, more: &[&str]) {
    succeed(&mut place.pretrain("run", &[&["--steps", "6"], more].concat()));
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn with_checkpoint(place: &Place, command: &str) -> std::process::Command {
    let mut slotcon = slotcon();
    slotcon.arg(command).args(["--device", "cpu", "--side", "64"]);
    slotcon
        .arg("--checkpoint")
        .arg(place.path("run/checkpoints/last.safetensors"));
    slotcon.arg("--data").arg(place.pictures());
    slotcon
}

#[test]
fn every_run_leaves_a_report_and_says_where_it_was_made() {
    let place = Place::new(8);
    run(&place, &[]);
    let page = read(&place.path("run/report.html"));
    assert!(page.contains("6 steps, finished") && page.contains("data:image/jpeg;base64,"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    let sessions = read(&place.path("run/environment.jsonl"));
    let session: Value = serde_json::from_str(sessions.trim()).unwrap();
    assert_eq!(
        (
            &session["pictures"],
            &session["from_step"],
            &session["total_steps"]
        ),
        (&8.into(), &0.into(), &6.into())
    );
    assert_eq!(
        session["data"][0].as_str().map(Path::new),
        Some(place.pictures().as_path())
    );

    // A resumed run says so; one that is replaced forgets.
    succeed(&mut place.pretrain("run", &["--steps", "6", "--resume"]));
    let sessions = read(&place.path("run/environment.jsonl"));
    assert_eq!(sessions.lines().count(), 2);
    assert!(read(&place.path("run/report.html")).contains("from step 6"));
    run(&place, &["--overwrite"]);
    assert_eq!(read(&place.path("run/environment.jsonl")).lines().count(), 1);
}

#[test]
fn groups_are_measured_without_labels_while_they_are_learned() {
    let place = Place::new(8);
    fs::write(place.pictures().join("broken.png"), "no picture").unwrap();
    let measured = ["--set", "run.validate_every=2", "--set", "data.max_bad=0.5"];
    let said = succeed(&mut place.pretrain("run", &[&["--steps", "6"], &measured[..]].concat()));
    let told = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert_eq!(told.matches("left out of measuring").count(), 1, "{told}");
    let found: Vec<Value> = read(&place.path("run/metrics.jsonl"))
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("validation").is_some())
        .collect();
    assert_eq!(
        found.iter().map(|line| &line["step"]).collect::<Vec<_>>(),
        [2, 4, 6]
    );
    for line in &found {
        let figure = |name: &str| line["validation"][name].as_f64().unwrap();
        let (shared, entropy) = (figure("mutual_information"), figure("entropy"));
        assert!(
            (-1e-9..=entropy + 1e-9).contains(&shared) && entropy >= 0.0,
            "{line}"
        );
        assert!((0.0..=1.0).contains(&figure("agreement")), "{line}");
    }
    assert!(place.path("run/checkpoints/best.safetensors").is_file());
    assert!(read(&place.path("run/report.html")).contains("Information that two views share"));
}

#[test]
fn a_report_that_cannot_be_written_does_not_fail_the_run() {
    let place = Place::new(8);
    fs::create_dir_all(place.path("run/report.html/in the way")).unwrap();
    let output = succeed(&mut place.pretrain("run", &["--steps", "3"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("warning: no report was written") && said.contains("report.html"),
        "{said}"
    );
    assert!(place.path("run/checkpoints/last.safetensors").exists());
}

#[test]
fn a_run_that_ends_in_an_error_says_so_in_its_report() {
    let place = Place::new(8);
    for i in 0..200 {
        fs::write(place.pictures().join(format!("bad{i}.jpg")), "no picture").unwrap();
    }
    let said = fail(&mut place.pretrain("run", &["--steps", "500"]));
    assert!(said.contains("could not be used"), "{said}");
    let page = read(&place.path("run/report.html"));
    assert!(
        page.contains("the run ended:") && page.contains("could not be used"),
        "{page}"
    );
}

#[test]
fn a_report_without_pictures_or_checkpoint_has_the_rest() {
    let place = Place::new(8);
    run(&place, &[]);
    fs::rename(place.path("scenes"), place.path("moved")).unwrap();
    let report = || {
        let mut command = slotcon();
        command
            .arg("report")
            .arg(place.path("run"))
            .args(["--device", "cpu"]);
        command
    };
    succeed(&mut report());
    let page = read(&place.path("run/report.html"));
    assert!(page.contains("Nothing to show") && page.contains("no such file or folder"));
    assert!(page.contains("<svg") && page.contains("Slot loss"));

    let elsewhere = place.path("elsewhere.html");
    succeed(
        report()
            .arg("--data")
            .arg(place.path("moved/images/val"))
            .arg("--out")
            .arg(&elsewhere),
    );
    assert!(read(&elsewhere).contains("data:image/jpeg;base64,"));

    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    succeed(&mut report());
    assert!(read(&place.path("run/report.html")).contains("no checkpoint yet"));

    let mut none = slotcon();
    let said = fail(none.arg("report").arg(place.path("moved")));
    assert!(said.contains("is no run directory"), "{said}");
}

#[test]
fn a_hundred_thousand_logged_steps_make_a_small_page() {
    let place = Place::new(8);
    run(&place, &[]);
    let mut text = String::new();
    for step in 1..=100_000u32 {
        let swing = f64::from(step % 97) / 97.0;
        // One step stands out, and must be seen.
        let loss = if step == 61_234 { 77.0 } else { 5.0 + swing };
        writeln!(
            text,
            "{{\"step\":{step},\"loss\":{loss},\"group_loss\":{swing},\"slot_loss\":3.0,\"lr\":0.1,\"teacher_momentum\":0.99,\
             \"pictures_per_second\":9.5,\"skipped_steps\":0,\"bad_pictures\":0,\"groups\":{{\"in_use\":{swing},\
             \"balance\":0.9,\"uncertainty\":0.5,\"slots_per_picture\":4.0,\"agreement\":{swing}}}}}"
        )
        .unwrap();
    }
    fs::write(place.path("run/metrics.jsonl"), text).unwrap();
    fs::remove_dir_all(place.path("scenes")).unwrap();
    let mut report = slotcon();
    succeed(
        report
            .arg("report")
            .arg(place.path("run"))
            .args(["--device", "cpu"]),
    );
    let page = read(&place.path("run/report.html"));
    assert!(page.len() < 200_000, "{} bytes", page.len());
    // The curve's scale reaches up to it.
    assert!(page.contains(">80</text>") || page.contains(">60</text>"));
}

#[test]
fn a_gallery_as_a_picture() {
    let place = Place::new(8);
    run(&place, &[]);
    let out = place.path("gallery.png");
    let output = succeed(with_checkpoint(&place, "slots").arg("--out").arg(&out).args([
        "--prototypes",
        "7,0,7",
        "--top",
        "3",
    ]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 are shown"));
    let options = slotcon_data::picture::DecodeOptions::default();
    let picture = slotcon_data::picture::decode_rgb(&out, &options).unwrap();
    assert!(picture.width() > 3 * 128 && picture.height() > 128);
    // Looking again gives the same.
    let again = place.path("again.png");
    succeed(with_checkpoint(&place, "slots").arg("--out").arg(&again).args([
        "--prototypes",
        "7,0",
        "--top",
        "3",
    ]));
    assert_eq!(bytes(&out), bytes(&again));
}

#[test]
fn what_cannot_work_is_said_before_anything_is_written() {
    let place = Place::new(8);
    run(&place, &[]);
    let out = place.path("gallery.html");
    let said = fail(
        with_checkpoint(&place, "slots")
            .arg("--out")
            .arg(place.path("gallery.jpg")),
    );
    assert!(
        said.contains("gallery.jpg") && said.contains(".html") && said.contains(".png"),
        "{said}"
    );
    let said = fail(
        with_checkpoint(&place, "slots")
            .arg("--out")
            .arg(&out)
            .args(["--prototypes", "3,8"]),
    );
    assert!(
        said.contains("no prototype 8") && said.contains("there are 8"),
        "{said}"
    );
    let said = fail(
        with_checkpoint(&place, "slots")
            .arg("--out")
            .arg(place.path("no/such/gallery.html")),
    );
    assert!(said.contains("no/such/gallery.html"), "{said}");
    let said = fail(
        with_checkpoint(&place, "embed")
            .arg("--out")
            .arg(place.path("features.csv")),
    );
    assert!(
        said.contains("features.csv") && said.contains(".safetensors"),
        "{said}"
    );
    assert!(!out.exists());
}

#[test]
fn one_bad_picture_costs_its_row_and_no_more() {
    let place = Place::new(8);
    run(&place, &[]);
    fs::write(place.pictures().join("000003.png"), "no picture").unwrap();
    let out = place.path("features.safetensors");
    let output = with_checkpoint(&place, "embed")
        .arg("--out")
        .arg(&out)
        .args(["--what", "global"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("000003.png") && said.contains("global [7, 512]"),
        "{said}"
    );
    let bytes = bytes(&out);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("global").unwrap().shape(), [7, 512]);
    assert!(!String::from_utf8_lossy(file.tensor("names").unwrap().data()).contains("000003"));
}
