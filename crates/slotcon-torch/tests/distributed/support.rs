//! A test that is several processes.

use std::process::{Command, Stdio};
use std::time::Duration;

use slotcon_torch::distributed::{Join, Ranks, Store};
use tch::{Device, Kind, Tensor};

const RANK: &str = "SLOTCON_TEST_RANK";
const PORT: &str = "SLOTCON_TEST_PORT";

/// Runs `body` as every one of `size` ranks, in processes that repeat the test `name` alone. All must succeed.
pub fn on_ranks(name: &str, size: usize, body: impl Fn(&Ranks)) {
    on_ranks_within(name, size, Duration::from_secs(60), body);
}

/// The same with operations that wait for so long only.
pub fn on_ranks_within(name: &str, size: usize, timeout: Duration, body: impl Fn(&Ranks)) {
    if let Ok(rank) = std::env::var(RANK) {
        tch::set_num_threads(1);
        let port = std::env::var(PORT).unwrap().parse().unwrap();
        let store = Store::connect("localhost", port, Duration::from_secs(60), "test/").unwrap();
        let join = Join {
            store: &store,
            rank: rank.parse().unwrap(),
            size,
            timeout,
            address: "127.0.0.1",
            device: Device::Cpu,
        };
        body(&Ranks::join(&join).unwrap());
        return;
    }
    let store = Store::keep(0, Duration::from_secs(60), "test/").unwrap();
    let children: Vec<_> = (0..size)
        .map(|rank| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--nocapture"])
                .env(RANK, rank.to_string())
                .env(PORT, store.port().to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (rank, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "rank {rank}:\n{out}\n{err}");
        assert!(
            out.contains("1 passed"),
            "rank {rank} ran no test of the name {name}:\n{out}"
        );
    }
}

/// The largest difference of any two values.
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    if a.numel() == 0 {
        return 0.0;
    }
    let difference = (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max();
    f64::try_from(difference).unwrap()
}
