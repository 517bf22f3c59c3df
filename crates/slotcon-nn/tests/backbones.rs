//! Every backbone: size, output shape, initialisation.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use slotcon_nn::{Arch, Backbone, BatchNormMode, OutputStride, ResNet, ResNetConfig, Role, Store};
use tch::{Device, Kind, Tensor};

fn build(arch: Arch) -> (Store, ResNet) {
    build_strided(arch, arch.spec().output_stride)
}

fn build_strided(arch: Arch, output_stride: i64) -> (Store, ResNet) {
    tch::manual_seed(0);
    let store = Store::new(Device::Cpu, Kind::Float);
    let network = ResNet::new(
        &store.root(),
        ResNetConfig::with_output_stride(arch, OutputStride::new(output_stride).unwrap()),
    );
    (store, network)
}

/// torchvision's and timm's published counts, less the classifier (513,000 or 2,049,000 parameters); of ResNet-10 the
/// count of torchvision's `ResNet(BasicBlock, [1, 1, 1, 1])`.
#[test]
fn parameter_counts_are_the_published_ones() {
    let published = [
        ("resnet10", 4_905_792),
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
        ("resnet18_c", 11_195_744),
        ("resnet50_c", 23_527_264),
        ("resnet101_c", 42_519_392),
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
    let own = Arch::ALL.iter().map(|&arch| (arch, arch.spec().output_stride));
    for (arch, stride) in own.chain([(Arch::ResNet18, 16), (Arch::ResNet18D, 8), (Arch::ResNet50, 8)]) {
        let (_, network) = build_strided(arch, stride);
        for side in [64, 71] {
            let out = network
                .forward(
                    &Tensor::randn([1, 3, side, side], (Kind::Float, Device::Cpu)),
                    BatchNormMode::Eval,
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

/// FCN's backbones at 65 pixels: strides (1,2,2,1) and (1,2,1,1) after the stem's 4.
#[test]
fn every_stage_has_the_channels_and_the_size_that_it_says() {
    let _guard = tch::no_grad_guard();
    let pictures = Tensor::randn([1, 3, 65, 65], (Kind::Float, Device::Cpu));
    let cases = [
        (
            Arch::ResNet18,
            [1, 2, 2, 1],
            [1, 1, 1, 2],
            [4, 8, 16, 16],
            [17, 9, 5, 5],
        ),
        (
            Arch::ResNet50,
            [1, 2, 1, 1],
            [1, 1, 2, 4],
            [4, 8, 8, 8],
            [17, 9, 9, 9],
        ),
    ];
    for (arch, strides, dilations, pixels, sides) in cases {
        let store = Store::new(Device::Cpu, Kind::Float);
        let network = ResNet::new(
            &store.root(),
            ResNetConfig::mmsegmentation(arch, strides, dilations),
        );
        assert_eq!(network.strides(), pixels, "{arch}");
        let stages = network.stages(&pictures, BatchNormMode::Eval).unwrap();
        for ((map, channels), side) in stages.iter().zip(network.channels()).zip(sides) {
            assert_eq!(map.size(), [1, channels, side, side], "{arch}");
        }
        let last = network.forward(&pictures, BatchNormMode::Eval).unwrap();
        assert_eq!(stages[3], last, "{arch}");
    }
}

/// A dilation shows in how far a picture's pixel reaches: weights of one and a single bright pixel.
#[test]
fn the_first_block_of_a_dilated_stage_has_half_of_the_dilation_where_asked_for() {
    let reach = |contract_dilation: bool, dilate_second: bool| {
        let store = Store::new(Device::Cpu, Kind::Double);
        let config = ResNetConfig {
            contract_dilation,
            dilate_second,
            ..ResNetConfig::mmsegmentation(Arch::ResNet18, [1, 1, 1, 1], [1, 1, 1, 4])
        };
        let network = ResNet::new(&store.root(), config);
        let _guard = tch::no_grad_guard();
        for entry in store.entries() {
            if entry.role == Role::Parameter {
                let value = if entry.name.ends_with("weight") { 1.0 } else { 0.0 };
                let _ = entry.tensor.shallow_clone().fill_(value);
            }
        }
        let picture = Tensor::zeros([1, 3, 257, 1], (Kind::Double, Device::Cpu));
        let _ = picture.narrow(2, 128, 1).fill_(1.0);
        let [_, _, third, fourth] = network.stages(&picture, BatchNormMode::Eval).unwrap();
        let wide = |map: &Tensor| map.get(0).get(0).gt(0.0).sum(Kind::Int64).int64_value(&[]);
        wide(&fourth) - wide(&third)
    };
    // Twice the sum of the dilations of the last stage's four convolutions.
    assert_eq!(reach(false, true), 2 * (4 + 4 + 4 + 4));
    assert_eq!(reach(false, false), 2 * (4 + 1 + 4 + 1));
    assert_eq!(reach(true, true), 2 * (2 + 2 + 4 + 4));
    assert_eq!(reach(true, false), 2 * (2 + 1 + 4 + 1));
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
