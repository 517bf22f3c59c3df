//! What goes wrong on real machines: bad pictures, full disks, vanished folders, files that are something else.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::fs;
use std::process::Command;

use common::{Place, bytes, fail, succeed};

#[test]
fn bad_pictures_are_replaced_and_named() {
    let place = Place::new(12);
    let folder = place.pictures();
    let whole = bytes(&folder.join("000000.png"));
    fs::write(folder.join("truncated.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.join("empty.jpg"), "").unwrap();
    fs::write(folder.join("letter.jpg"), "Dear Sir or Madam").unwrap();
    fs::create_dir(folder.join("folder.png")).unwrap();
    succeed(&mut place.pretrain("run", &["--steps", "9", "--set", "data.max_bad=0.9"]));
    let log = fs::read_to_string(place.path("run").join("log.txt")).unwrap();
    for name in ["truncated.png", "empty.jpg", "letter.jpg"] {
        assert!(log.contains(name), "{name} is not named in:\n{log}");
    }
    let metrics = place.metrics("run");
    let counted = metrics.last().unwrap()["bad_pictures"].as_u64().unwrap();
    assert_eq!(counted, log.matches("picture replaced").count() as u64);
    assert!(
        counted >= 6,
        "three bad pictures in three epochs, {counted} counted"
    );
}

#[test]
fn a_file_that_is_never_delivered_costs_one_picture() {
    let place = Place::new(12);
    let (pipe, list) = (place.path("stalled.jpg"), place.path("list.txt"));
    fs::write(&list, "stalled.jpg\n").unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let more = ["--steps", "9", "--set", "data.read_timeout=0.3", "--data"];
    succeed(place.pretrain("run", &more).arg(&list));
    let log = fs::read_to_string(place.path("run").join("log.txt")).unwrap();
    assert!(
        log.contains("stalled.jpg was not read within 0.3 seconds"),
        "{log}"
    );
    assert_eq!(place.metrics("run").len(), 9);
}

#[test]
fn too_many_bad_pictures_end_the_run_with_a_checkpoint() {
    let place = Place::new(8);
    for i in 0..120 {
        fs::write(place.pictures().join(format!("bad{i}.jpg")), "no picture").unwrap();
    }
    let said = fail(&mut place.pretrain("run", &["--steps", "500"]));
    assert!(
        said.contains("could not be used") && said.contains("bad"),
        "{said}"
    );
}

#[test]
fn nothing_to_learn_from() {
    let place = Place::new(3);
    let small = fail(&mut place.pretrain("run", &["--steps", "3"]));
    assert!(small.contains("3 pictures") && small.contains("batch"), "{small}");
    let mut missing = common::slotcon();
    missing
        .args(["pretrain", "--data", "/no/such/folder", "--out"])
        .arg(place.path("run"));
    let missing = fail(&mut missing);
    assert!(
        missing.contains("/no/such/folder") && missing.contains("no such file or folder"),
        "{missing}"
    );
    assert!(!place.path("run").exists(), "nothing is left behind");
}

#[test]
fn a_contradictory_recipe_or_device_is_refused_before_anything_is_written() {
    let place = Place::new(8);
    let warm = fail(&mut place.pretrain(
        "run",
        &["--set", "run.epochs=3", "--set", "optim.warmup_epochs=5"],
    ));
    assert!(
        warm.contains("optim.warmup_epochs = 5") && warm.contains("run.epochs = 3"),
        "{warm}"
    );
    let unknown = fail(&mut place.pretrain("run", &["--set", "optim.bach=3"]));
    assert!(unknown.contains("did you mean 'optim.batch'?"), "{unknown}");
    let mut device = common::slotcon();
    device
        .arg("pretrain")
        .arg("--data")
        .arg(place.pictures())
        .arg("--out")
        .arg(place.path("run"));
    let device = fail(device.args(["--device", "gpu"]));
    assert!(device.contains("gpu") && device.contains("cuda:N"), "{device}");
    assert!(!place.path("run").exists(), "nothing is left behind");
}

#[test]
fn files_that_are_no_checkpoint_of_this_run() {
    let place = Place::new(8);
    succeed(&mut place.pretrain("run", &["--steps", "2"]));
    let good = place.path("run").join("checkpoints/last.safetensors");
    let whole = bytes(&good);
    let try_with = |name: &str, content: &[u8]| {
        let file = place.path(name);
        fs::write(&file, content).unwrap();
        let said =
            fail(&mut place.pretrain("other", &["--steps", "2", "--init-from", file.to_str().unwrap()]));
        assert!(said.contains(name), "{said}");
        said
    };
    assert!(try_with("truncated.safetensors", &whole[..whole.len() / 2]).contains("not a whole safetensors"));
    assert!(try_with("empty.safetensors", b"").contains("0 bytes"));
    assert!(try_with("text.safetensors", b"this is text, not tensors").contains("header claims"));
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(try_with("lying.safetensors", &lying).contains("header claims"));
    let old = br#"{\"format_version\":2"#;
    let at = whole
        .windows(old.len())
        .position(|w| w == old)
        .expect("the version is in the header");
    let mut newer = whole.clone();
    newer[at + old.len() - 1] = b'7';
    assert!(try_with("newer.safetensors", &newer).contains("format 7 is newer"));
    let other = [
        "--steps",
        "2",
        "--set",
        "model.arch=resnet34",
        "--init-from",
        good.to_str().unwrap(),
    ];
    let said = fail(&mut place.pretrain("other", &other));
    assert!(
        said.contains("encoder_q.layer1.2.conv1.weight") && said.contains("missing"),
        "{said}"
    );
}

/// A limit on the size of files stands for a full disk: the write fails in the middle of a checkpoint.
#[test]
fn a_full_disk_leaves_the_last_checkpoint_whole() {
    let place = Place::new(8);
    let mut whole = place
        .pretrain("run", &["--steps", "30", "--set", "run.save_every=0"])
        .spawn()
        .unwrap();
    while place.metrics("run").len() < 2 {
        assert!(whole.try_wait().unwrap().is_none(), "the run ended too early");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        Command::new("kill")
            .args(["-INT", &whole.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(whole.wait().unwrap().code(), Some(130));
    let last = place.path("run").join("checkpoints/last.safetensors");
    let before = bytes(&last);

    let resume = place.pretrain("run", &["--steps", "30", "--resume"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$@\"", "sh"]);
    limited
        .arg(resume.get_program())
        .args(resume.get_args())
        .env_remove("RUST_BACKTRACE");
    let said = fail(&mut limited);
    assert!(
        said.contains("checkpoints/step-") && said.contains("File too large"),
        "{said}"
    );
    assert!(before == bytes(&last), "the last checkpoint changed");
    let names = fs::read_dir(place.path("run").join("checkpoints")).unwrap();
    let names: Vec<_> = names
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|n| !n.contains("unfinished")), "{names:?}");
}

#[test]
fn a_vanished_run_directory_is_named() {
    let place = Place::new(8);
    let mut child = place
        .pretrain("run", &["--steps", "400"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while place.metrics("run").len() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended too early");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::rename(place.path("run"), place.path("gone")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");
    assert!(
        said.contains("checkpoints") && said.contains("No such file"),
        "{said}"
    );
}

#[test]
fn a_loss_that_stays_nan_stops_the_run() {
    let place = Place::new(8);
    let wild = [
        "--set",
        "optim.optimizer=sgd",
        "--set",
        "optim.base_lr=1e30",
        "--set",
        "optim.warmup_epochs=0",
    ];
    let mut run = place.pretrain("run", &["--steps", "60", "--set", "run.max_bad_steps=5"]);
    let said = fail(run.args(["--set", "run.save_every_epochs=1"]).args(wild));
    assert!(
        said.contains("steps in a row") && said.contains("optim.base_lr"),
        "{said}"
    );
    assert!(said.contains("warning") && said.contains("skipped"), "{said}");
    let metrics = place.metrics("run");
    let last = metrics.last().unwrap();
    assert!(last["skipped_steps"].as_u64().unwrap() >= 4, "{last}");
    assert!(metrics.len() < 20, "the run went on for {} steps", metrics.len());
}
