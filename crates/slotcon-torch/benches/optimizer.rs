//! A step of LARS over the parameters of a ResNet-50 with heads of 4096 features (71 million), by our kernel and by libtorch's
//! operations, in turn: `cargo bench -p slotcon-torch --bench optimizer`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its times"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark may end in a panic")]

use std::time::Instant;

use slotcon_torch::Backend;
use slotcon_torch::multi_tensor::{OptimizerStep, Rule, TensorGroup};
use tch::{Device, Kind, Tensor};

const ROUNDS: usize = 5;
const STEPS: usize = 10;

fn group() -> TensorGroup {
    let mut group = TensorGroup::new(Rule {
        lars: Some(0.001),
        lr: 0.01,
        momentum: 0.9,
        weight_decay: 1e-5,
    });
    let convolutions = std::iter::repeat_n(vec![512, 512, 3, 3], 16);
    let products = std::iter::repeat_n(vec![4096, 4096], 2);
    let scales = std::iter::repeat_n(vec![512], 100);
    for shape in convolutions.chain(products).chain(scales) {
        let random = || Tensor::randn(&shape, (Kind::Float, Device::Cpu));
        let parameter = random();
        group.push(&parameter, random(), &parameter.zeros_like());
    }
    group
}

fn seconds(backend: Backend, groups: &[TensorGroup]) -> f64 {
    let mut found = Tensor::zeros([0i64; 0], (Kind::Float, Device::Cpu));
    let loss = Tensor::from(1f32);
    let start = Instant::now();
    for _ in 0..STEPS {
        let step = OptimizerStep::inspect_by(backend, groups, &loss, None, &mut found).unwrap();
        step.take(&found).unwrap();
    }
    start.elapsed().as_secs_f64() / STEPS as f64
}

fn main() {
    slotcon_torch::keep_freed_memory();
    let groups = [group()];
    let megabytes = groups[0].parameters.iter().map(Tensor::numel).sum::<usize>() as f64 * 4e-6;
    println!(
        "{megabytes:.0} MB of parameters, {} threads",
        tch::get_num_threads()
    );
    for round in 1..=ROUNDS {
        let operations = seconds(Backend::Operations, &groups);
        let kernel = seconds(Backend::Fastest, &groups);
        println!(
            "round {round}: operations {:.1} ms, kernel {:.1} ms ({:.1} GB/s over 7 passes), ratio {:.2}",
            operations * 1e3,
            kernel * 1e3,
            7.0 * megabytes / kernel / 1e3,
            kernel / operations
        );
    }
}
