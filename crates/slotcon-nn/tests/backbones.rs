//! Every backbone: size, output shape, initialisation.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use slotcon_nn::{Arch, OutputStride, ResNet, Role, Store};
use tch::{Device, Kind, Tensor};

fn build(arch: Arch) -> (Store, ResNet) {
    build_strided(arch, arch.output_stride())
}

fn build_strided(arch: Arch, output_stride: i64) -> (Store, ResNet) {
    tch::manual_seed(0);
    let store = Store::new(Device::Cpu, Kind::Float);
    let network = ResNet::new(&store.root(), arch, OutputStride::new(output_stride).unwrap());
    (store, network)
}

/// torchvision's and timm's published counts, less the classifier (513,000 or 2,049,000 parameters).
#[test]
fn parameter_counts_are_the_published_ones() {
    let published = [
        ("resnet18", 11_176_512),
        ("resnet34", 21_284_672),
        ("resnet50", 23_508_032),
        ("resnet101", 42_500_160),
        ("resnet152", 58_143_808),
        ("resnet18_d", 11_195_744),
        ("resnet34_d", 21_303_904),
        ("resnet50_d", 23_527_264),
        ("resnet101_d", 42_519_392),
        ("resnet152_d", 58_163_040),
        ("resnet50_16s", 23_508_032),
        ("resnext101_32x8d", 86_742_336),
    ];
    for (name, count) in published {
        let (store, _) = build(name.parse().unwrap());
        let entries = store.entries();
        let parameters = entries.iter().filter(|e| e.role == Role::Parameter);
        let found: usize = parameters.map(|e| e.tensor.numel()).sum();
        assert_eq!(found, count, "{name}");
    }
}

#[test]
fn output_shapes() {
    let _guard = tch::no_grad_guard();
    let own = Arch::ALL.iter().map(|&arch| (arch, arch.output_stride()));
    for (arch, stride) in own.chain([(Arch::ResNet18, 16), (Arch::ResNet18D, 8), (Arch::ResNet50, 8)]) {
        let (_, network) = build_strided(arch, stride);
        for side in [64, 71] {
            let out = network
                .forward(
                    &Tensor::randn([1, 3, side, side], (Kind::Float, Device::Cpu)),
                    false,
                )
                .unwrap();
            let expected = OutputStride::new(stride).unwrap().side(side);
            assert_eq!(
                out.size(),
                [1, arch.channels(), expected, expected],
                "{arch}, stride {stride}, {side} pixels"
            );
        }
    }
}

#[test]
fn initialisation_is_the_official_one() {
    for name in ["resnet18", "resnet50", "resnet50_d", "resnext101_32x8d"] {
        let (store, _) = build(name.parse().unwrap());
        for entry in store.entries() {
            let t = &entry.tensor;
            let last_norm = if name == "resnet18" {
                "bn2.weight"
            } else {
                "bn3.weight"
            };
            if t.dim() == 4 {
                let [out, _, k, _] = t.size()[..] else {
                    panic!("{}", entry.name)
                };
                let expected = (2.0 / (k * k * out) as f64).sqrt();
                let std = t.std(false).double_value(&[]);
                // Five standard errors of a standard deviation.
                let tolerance = 5.0 / (2.0 * t.numel() as f64).sqrt();
                assert!(
                    (std / expected - 1.0).abs() < tolerance,
                    "{}: std {std}, expected {expected}",
                    entry.name
                );
            } else if entry.name.contains("layer") && entry.name.ends_with(last_norm) {
                assert_eq!(t.abs().max().double_value(&[]), 0.0, "{}", entry.name);
            } else if entry.role == Role::Parameter {
                let expected = if entry.name.ends_with("weight") { 1.0 } else { 0.0 };
                assert_eq!(
                    (t - expected).abs().max().double_value(&[]),
                    0.0,
                    "{}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let error = "resnet51".parse::<Arch>().unwrap_err().to_string();
    assert!(
        error.contains("resnet51") && error.contains("resnet50_w2x"),
        "{error}"
    );
}
