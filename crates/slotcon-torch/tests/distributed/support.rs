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

/// Numbers that differ between names, the same on every rank.
pub fn numbers(shape: &[i64], name: u64, kind: Kind) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f64> = (0..count as u64)
        .map(|i| {
            let mixed = (i + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(name.wrapping_mul(0xbf58_476d_1ce4_e5b9));
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
        .collect();
    Tensor::from_slice(&values)
        .reshape(shape)
        .to_kind(kind)
        .to_device(Device::Cpu)
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
