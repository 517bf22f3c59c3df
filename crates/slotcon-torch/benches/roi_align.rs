//! RoIAlign of 1024 boxes on two maps of 256 channels, forward and backward, by our kernel and by libtorch's operations, in turn:
//! `cargo bench -p slotcon-torch --bench roi_align`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its times"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark may end in a panic")]

use std::time::Instant;

use slotcon_torch::{Backend, RoiAlign, channels_last};
use tch::{Device, Kind, Tensor};

const ROUNDS: usize = 5;

fn seconds(backend: Backend, features: &Tensor, boxes: &Tensor, pictures: &Tensor) -> [f64; 2] {
    let pool = RoiAlign {
        bins: (7, 7),
        scale: 0.25,
        sampling: 0,
        aligned: true,
    };
    let x = features.detach().set_requires_grad(true);
    let start = Instant::now();
    let out = pool.apply_by(backend, &x, boxes, pictures).unwrap();
    let forward = start.elapsed().as_secs_f64();
    let gradient = out.ones_like();
    let start = Instant::now();
    let _ = Tensor::run_backward(&[(out * gradient).sum(None)], &[&x], false, false);
    [forward, start.elapsed().as_secs_f64()]
}

fn main() {
    slotcon_torch::keep_freed_memory();
    tch::manual_seed(0);
    let cpu = (Kind::Float, Device::Cpu);
    let features = channels_last(&Tensor::randn([2, 256, 160, 240], cpu));
    let corner = Tensor::rand([1024, 2], cpu) * Tensor::from_slice(&[800f32, 500.0]);
    let size = Tensor::rand([1024, 2], cpu) * 150 + 10;
    let boxes = Tensor::cat(&[&corner, &(&corner + size)], 1);
    let pictures = Tensor::arange(1024, (Kind::Int64, Device::Cpu)).fmod(2);
    println!("{} threads", tch::get_num_threads());
    for round in 1..=ROUNDS {
        let operations = seconds(Backend::Operations, &features, &boxes, &pictures);
        let kernel = seconds(Backend::Fastest, &features, &boxes, &pictures);
        let part = |name: &str, i: usize| {
            format!(
                "{name}: operations {:.0} ms, kernel {:.0} ms, ratio {:.2}",
                operations[i] * 1e3,
                kernel[i] * 1e3,
                kernel[i] / operations[i]
            )
        };
        println!("round {round}: {}; {}", part("forward", 0), part("backward", 1));
    }
}
