//! What golden cases of the FCN head do not reach: dropout, and the classifier alone.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use slotcon_nn::{BatchNormMode, Fcn, FcnConfig, Store};
use tch::{Device, Kind, Tensor};

const PROBE: FcnConfig = FcnConfig {
    input: 64,
    channels: 16,
    convolutions: 0,
    dilation: 1,
    concat_input: false,
    dropout: 0.0,
    classes: 64,
};

fn head(config: FcnConfig) -> (Store, Fcn) {
    let store = Store::new(Device::Cpu, Kind::Double);
    let head = Fcn::new(&store.root(), config);
    (store, head)
}

#[test]
fn without_convolutions_it_is_a_linear_probe_with_bias() {
    let (store, probe) = head(PROBE);
    let names: Vec<String> = store.entries().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["conv_seg.weight", "conv_seg.bias"]);
    let x = Tensor::randn([2, 64, 3, 5], (Kind::Double, Device::Cpu));
    let y = probe.forward(&x, BatchNormMode::Train).unwrap();
    let weight = store.entries()[0].tensor.flatten(1, -1);
    let expected = x.permute([0, 2, 3, 1]).matmul(&weight.tr()).permute([0, 3, 1, 2]);
    assert!((y - expected).abs().max().double_value(&[]) < 1e-12);
}

#[test]
fn dropout_leaves_out_whole_channels_and_only_in_training() {
    let config = FcnConfig {
        dropout: 0.25,
        ..PROBE
    };
    let (store, dropping) = head(config);
    {
        // The classifier hands its input through.
        let _guard = tch::no_grad_guard();
        let weight = store.entries()[0].tensor.shallow_clone();
        let identity = Tensor::eye(64, (Kind::Double, Device::Cpu));
        weight.shallow_clone().copy_(&identity.view_as(&weight));
    }
    tch::manual_seed(1);
    let x = Tensor::ones([40, 64, 2, 3], (Kind::Double, Device::Cpu));
    assert_eq!(dropping.forward(&x, BatchNormMode::Eval).unwrap(), x);
    assert_eq!(dropping.forward(&x, BatchNormMode::Frozen).unwrap(), x);
    let y = dropping.forward(&x, BatchNormMode::Train).unwrap();
    let of_channel = y.flatten(2, -1);
    // A channel is gone as a whole, or multiplied by 1 / (1 - 0.25) as a whole.
    assert_eq!(of_channel.amax([2], false), of_channel.amin([2], false));
    let gone = of_channel
        .amax([2], false)
        .eq(0.0)
        .to_kind(Kind::Double)
        .mean(None);
    assert!((gone.double_value(&[]) - 0.25).abs() < 0.04, "{gone:?}");
    assert!((of_channel.max().double_value(&[]) - 4.0 / 3.0).abs() < 1e-12);
}
