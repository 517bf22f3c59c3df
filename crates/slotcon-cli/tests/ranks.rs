//! Several processes that train together, and what becomes of them when one of them fails.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod common;

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Place, bytes, fail, succeed};

/// Long enough for a loaded machine, short enough to wait for.
const PATIENCE: &str = "run.rank_timeout=6";
/// In this time every rank must have ended once another one has failed.
const LIMIT: Duration = Duration::from_secs(40);

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A rank as torchrun or a person would start it.
fn rank(mut command: Command, rank: usize, size: usize, port: u16) -> Command {
    command
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", size.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// All ranks of one run.
fn start(place: &Place, run: &str, size: usize, more: &[&str]) -> Vec<Child> {
    let port = free_port();
    let mut all = vec!["--set", PATIENCE];
    all.extend(more);
    (0..size)
        .map(|r| rank(place.pretrain(run, &all), r, size, port).spawn().unwrap())
        .collect()
}

/// Waits for the end of a process, which must come in time; what it said.
fn end(mut child: Child, limit: Duration) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > limit {
            child.kill().unwrap();
            let said = child.wait_with_output().unwrap().stderr;
            panic!("it hangs:\n{}", String::from_utf8_lossy(&said));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked") && !text.contains("frame #"), "{text}");
    text
}

fn wait_for(place: &Place, run: &str, steps: usize, children: &mut [Child]) {
    let start = Instant::now();
    while place.metrics(run).len() < steps {
        for child in children.iter_mut() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "a rank ended before step {steps}"
            );
        }
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "step {steps} was never reached"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

fn checkpoint(place: &Place, run: &str) -> std::path::PathBuf {
    place.path(run).join("checkpoints/last.safetensors")
}

/// The step that a checkpoint says it is of; reading it proves that it is whole.
fn step_of(place: &Place, run: &str) -> u64 {
    let path = checkpoint(place, run);
    let output = succeed(common::slotcon().arg("inspect").arg(path).arg("--json"));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    line["step"].as_u64().unwrap()
}

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
fn a_killed_rank_is_named_and_the_run_goes_on() {
    for victim in [1, 0] {
        let place = Place::new(12);
        let length = ["--steps", "12"];
        let mut ranks = start(
            &place,
            "run",
            3,
            &[&length[..], &["--set", "optim.batch=6"]].concat(),
        );
        wait_for(&place, "run", 5, &mut ranks);
        ranks[victim].kill().unwrap();
        for (rank, child) in ranks.into_iter().enumerate() {
            let output = end(child, LIMIT);
            if rank == victim {
                continue;
            }
            let said = said(&output);
            assert!(
                !output.status.success(),
                "rank {rank} of a broken run succeeded:\n{said}"
            );
            assert!(
                said.contains(&format!("[rank {rank}] error: rank {victim} (")) && said.contains("gone"),
                "rank {rank} does not name rank {victim}:\n{said}"
            );
        }
        let whole = step_of(&place, "run");
        assert!(
            whole >= 3 && whole.is_multiple_of(3),
            "checkpoint of step {whole}"
        );
        let more = [&length[..], &["--set", "optim.batch=6", "--resume"]].concat();
        for child in start(&place, "run", 3, &more) {
            let output = end(child, Duration::from_secs(120));
            assert!(output.status.success(), "{}", said(&output));
        }
        assert_eq!(step_of(&place, "run"), 12);
        assert_eq!(place.metrics("run").len(), 12);
    }
}

#[test]
fn a_stopped_rank_is_named_in_time() {
    for victim in [1, 0] {
        let place = Place::new(12);
        let mut ranks = start(&place, "run", 2, &["--steps", "500"]);
        wait_for(&place, "run", 5, &mut ranks);
        signal("-STOP", ranks[victim].id());
        let stopped = ranks.remove(victim);
        let survivor = end(ranks.remove(0), LIMIT);
        signal("-CONT", stopped.id());
        let woken = end(stopped, LIMIT);
        let other = 1 - victim;
        let words = said(&survivor);
        assert!(
            words.contains(&format!("[rank {other}] error: rank {victim} (")),
            "{words}"
        );
        assert!(!survivor.status.success() && !woken.status.success());
        assert!(step_of(&place, "run").is_multiple_of(3));
    }
}

#[test]
fn an_error_of_one_rank_is_told_by_all() {
    let place = Place::new(12);
    let port = free_port();
    let more = ["--steps", "50", "--set", PATIENCE];
    let first = rank(place.pretrain("run", &more), 0, 2, port).spawn().unwrap();
    // The second rank's pictures are nowhere.
    let mut second = common::slotcon();
    second.args([
        "pretrain",
        "--data",
        "/nowhere/at/all",
        "--device",
        "cpu",
        "--out",
    ]);
    second.arg(place.path("run"));
    let second = rank(second, 1, 2, port).spawn().unwrap();
    let (first, second) = (end(first, LIMIT), end(second, LIMIT));
    // Its recipe is another one, too: whichever is found first.
    let words = said(&first);
    assert!(
        words.contains("[rank 0] error: rank 1 (") && words.contains("ended with an error"),
        "{words}"
    );
    assert!(said(&second).contains("[rank 1] error: "));
    assert!(!place.path("run").exists(), "nothing is left behind");
}

/// A limit on a process's memory stands for a machine that is full.
#[test]
fn a_rank_without_memory_is_named() {
    let place = Place::new(12);
    let port = free_port();
    let more = [
        "--steps",
        "50",
        "--set",
        PATIENCE,
        "--set",
        "model.dim_hidden=20000",
    ];
    let first = rank(place.pretrain("run", &more), 0, 2, port).spawn().unwrap();
    let hungry = place.pretrain("run", &more);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 3000000; exec \"$@\"", "sh"]);
    limited.arg(hungry.get_program()).args(hungry.get_args());
    let second = rank(limited, 1, 2, port).spawn().unwrap();
    let (first, second) = (end(first, LIMIT), end(second, LIMIT));
    let words = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(!first.status.success() && !second.status.success());
    assert!(words.contains("[rank 0] error: rank 1 ("), "{words}");
}

#[test]
fn ranks_that_do_not_mean_the_same_run_say_so_before_the_first_step() {
    let place = Place::new(12);
    let fewer = Place::new(8);
    let both = |first: Command, second: Command, sizes: [usize; 2]| -> [String; 2] {
        let port = free_port();
        let first = rank(first, 0, sizes[0], port).spawn().unwrap();
        let second = rank(second, 1, sizes[1], port).spawn().unwrap();
        let outputs = [end(first, LIMIT), end(second, LIMIT)];
        assert!(outputs.iter().all(|o| !o.status.success()));
        assert!(!place.path("run").exists(), "nothing is left behind");
        outputs.map(|o| said(&o))
    };
    let run =
        |more: &[&str]| place.pretrain("run", &[&["--steps", "5", "--set", PATIENCE][..], more].concat());

    let [a, b] = both(run(&[]), run(&["--set", "model.prototypes=9"]), [2, 2]);
    for words in [a, b] {
        assert!(
            words.contains("model.prototypes differs between ranks: 8 on rank 0, 9 on rank 1"),
            "{words}"
        );
    }
    let [a, b] = both(run(&[]), run(&[]), [2, 3]);
    assert!(
        a.contains("rank 1 (") && a.contains("world size 3, rank 0 has 2"),
        "{a}"
    );
    assert!(
        b.contains("rank 0 (") && b.contains("world size 2, rank 1 has 3"),
        "{b}"
    );
    let other = fewer.pretrain("other", &["--steps", "5", "--set", PATIENCE]);
    let [a, b] = both(run(&[]), other, [2, 2]);
    for words in [a, b] {
        assert!(
            words.contains("the number of pictures differs between ranks: 12 on rank 0, 8 on rank 1"),
            "{words}"
        );
    }
    let odd = fail(&mut place.pretrain("run", &["--steps", "5", "--ranks", "3"]));
    assert!(
        odd.contains("optim.batch") && odd.contains("multiple of 3") && odd.contains("3 or 6"),
        "{odd}"
    );
    // The number of threads is a machine's own affair.
    let port = free_port();
    let children = [0, 1].map(|r| {
        let threads = format!("data.threads={}", r + 1);
        rank(run(&["--set", &threads]), r, 2, port).spawn().unwrap()
    });
    for child in children {
        let output = end(child, Duration::from_secs(120));
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn ranks_that_cannot_meet_say_why() {
    let place = Place::new(8);
    let run = |rank_timeout: &str| {
        let setting = format!("run.rank_timeout={rank_timeout}");
        place.pretrain("run", &["--steps", "2", "--set", &setting])
    };
    // Something else has the port.
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let words = said(&end(rank(run("2"), 0, 2, port).spawn().unwrap(), LIMIT));
    assert!(
        words.contains(&format!("port {port}")) && words.contains("in use") && words.contains("MASTER_PORT"),
        "{words}"
    );
    // That program takes connections, and never answers.
    let start = Instant::now();
    let words = said(&end(rank(run("2"), 1, 2, port).spawn().unwrap(), LIMIT));
    assert!(
        words.contains("rank 1 found no store at") && words.contains("2 s"),
        "{words}"
    );
    // Nobody has the port.
    drop(taken);
    let words = said(&end(rank(run("2"), 1, 2, port).spawn().unwrap(), LIMIT));
    assert!(words.contains("rank 1 found no store at"), "{words}");
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    // The others do not come.
    let words = said(&end(rank(run("2"), 0, 3, free_port()).spawn().unwrap(), LIMIT));
    assert!(
        words.contains("1 of 3 ranks") && words.contains("missing: rank 1, 2"),
        "{words}"
    );
    // Two of the same number.
    let port = free_port();
    let first = rank(run("4"), 0, 3, port).spawn().unwrap();
    let twins = [(); 2].map(|()| rank(run("4"), 1, 3, port).spawn().unwrap());
    let words: String = twins.map(|child| said(&end(child, LIMIT))).concat();
    assert!(words.contains("is rank 1 already"), "{words}");
    end(first, LIMIT);
    let mut lost = run("2");
    let words = fail(lost.env("WORLD_SIZE", "2"));
    assert!(words.contains("RANK is not"), "{words}");
    assert!(!place.path("run").exists());
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

/// Processes whose parent is `process`.
fn children_of(process: u32) -> Vec<u32> {
    let output = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &process.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn the_launcher_names_a_killed_rank_and_leaves_none_behind() {
    let place = Place::new(12);
    let more = ["--steps", "500", "--ranks", "2", "--set", PATIENCE];
    let mut launcher = place
        .pretrain("run", &more)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&place, "run", 4, std::slice::from_mut(&mut launcher));
    let ranks = children_of(launcher.id());
    assert_eq!(ranks.len(), 2);
    signal("-KILL", ranks[1]);
    let output = end(launcher, LIMIT);
    let words = said(&output);
    assert!(!output.status.success());
    assert!(words.contains("was killed by signal 9"), "{words}");
    assert!(
        words.contains("[rank 0] error: rank 1 (process")
            || words.contains("[rank 1] error: rank 0 (process"),
        "{words}"
    );
    for rank in ranks {
        let gone = Command::new("kill")
            .args(["-0", &rank.to_string()])
            .stderr(Stdio::null())
            .status();
        assert!(!gone.unwrap().success(), "process {rank} is still there");
    }
}

/// A real torchrun, where there is one: `SLOTCON_TORCHRUN`, or in `PATH`.
fn torchrun() -> Option<String> {
    let name = std::env::var("SLOTCON_TORCHRUN").unwrap_or_else(|_| "torchrun".into());
    let found = Command::new(&name)
        .arg("--help")
        .output()
        .is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("IGNORED: no torchrun in PATH; set SLOTCON_TORCHRUN to one");
    }
    found.then_some(name)
}

#[test]
fn under_torchrun_a_run_heals_by_itself() {
    let Some(torchrun) = torchrun() else { return };
    let place = Place::new(12);
    let own = place.pretrain("run", &["--steps", "14", "--resume-if-any", "--set", PATIENCE]);
    let mut command = Command::new(torchrun);
    command
        .args([
            "--no-python",
            "--nproc-per-node",
            "2",
            "--max-restarts",
            "2",
            "--master-port",
        ])
        .arg(free_port().to_string())
        .arg(own.get_program())
        .args(own.get_args())
        .env("OMP_NUM_THREADS", "1");
    let mut agent = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&place, "run", 5, std::slice::from_mut(&mut agent));
    let ranks = children_of(agent.id());
    assert_eq!(ranks.len(), 2, "{ranks:?}");
    signal("-KILL", ranks[1]);
    let output = end(agent, Duration::from_secs(180));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert_eq!(step_of(&place, "run"), 14);
    let metrics = place.metrics("run");
    assert_eq!(metrics.len(), 14);
    assert!(metrics.iter().zip(1..).all(|(m, step)| m["step"] == step));
    assert!(
        words.contains(", from step"),
        "the second attempt went on from a checkpoint:\n{words}"
    );
}
