//! Ranks that do not find one another, or do not mean the same run.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Place, fail};
use crate::support::{LIMIT, PATIENCE, end, free_port, rank, said};

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
        words.contains("1 of 3 ranks came") && words.contains("missing: rank 1, 2"),
        "{words}"
    );
    assert!(words.contains("waiting: 1 of 3 ranks have come"), "{words}");
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
