//! Linear layers and 1x1 convolutions by oneDNN against libtorch's own: values, gradients, and where they hand over to it.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod numbers;

use slotcon_torch::{autocast, channels_last, convolve_1x1, linear};
use tch::{Device, Kind, Tensor};

use numbers::numbers;

const CPU: Device = Device::Cpu;

struct Layer {
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    fn random(rows: i64, input: i64, output: i64, kind: Kind) -> Self {
        let leaf = |shape: &[i64], name| numbers(shape, name, kind).set_requires_grad(true);
        Layer {
            x: leaf(&[rows, input], 1),
            weight: leaf(&[output, input], 2),
            bias: leaf(&[output], 3),
        }
    }

    fn ours(&self) -> Tensor {
        linear(&self.x, &self.weight, &self.bias).unwrap()
    }

    fn theirs(&self) -> Tensor {
        self.x.linear(&self.weight, Some(&self.bias))
    }

    /// Gradients of x, weight and bias, for a loss whose gradient differs at every output.
    fn gradients(&self, y: &Tensor) -> Vec<Tensor> {
        let slope = (Tensor::arange(y.numel() as i64, (y.kind(), CPU)) + 1)
            .sin()
            .view_as(y);
        let leaves = [&self.x, &self.weight, &self.bias];
        Tensor::run_backward(&[(y * slope).sum(None)], &leaves, false, false)
    }
}

/// Largest difference, as a part of the largest expected value.
fn error(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.size(), expected.size());
    let [got, expected] = [got, expected].map(|t| t.to_kind(Kind::Double));
    let largest = |t: Tensor| f64::try_from(t.abs().max()).unwrap();
    largest(&got - &expected) / largest(expected)
}

#[test]
fn values_and_gradients_are_those_of_the_same_layer_in_double_precision() {
    // One row, one output, and sizes that are no multiple of a vector.
    for (rows, input, output) in [(392, 512, 1024), (37, 19, 5), (1, 3, 1)] {
        let layer = Layer::random(rows, input, output, Kind::Float);
        let exact = Layer {
            x: layer.x.detach().to_kind(Kind::Double).set_requires_grad(true),
            weight: layer
                .weight
                .detach()
                .to_kind(Kind::Double)
                .set_requires_grad(true),
            bias: layer.bias.detach().to_kind(Kind::Double).set_requires_grad(true),
        };
        let (y, exact_y) = (layer.ours(), exact.theirs());
        assert!(error(&y, &exact_y) < 1e-5, "{rows} x {input} x {output}");
        for (got, expected) in layer.gradients(&y).iter().zip(exact.gradients(&exact_y)) {
            assert!(error(got, &expected) < 1e-5, "{rows} x {input} x {output}");
        }
    }
}

#[test]
fn gradients_that_come_transposed_or_expanded_are_taken() {
    let layer = Layer::random(24, 16, 8, Kind::Float);
    let leaves = [&layer.x, &layer.weight, &layer.bias];
    let of = |y: Tensor| {
        let transposed = (y.tr() * Tensor::arange(8 * 24, (Kind::Float, CPU)).view([8, 24])).sum(None);
        // The gradient of a plain sum is one number for all outputs.
        Tensor::run_backward(&[transposed + y.sum(None)], &leaves, false, false)
    };
    for (got, expected) in of(layer.ours()).iter().zip(of(layer.theirs())) {
        assert!(error(got, &expected) < 1e-6);
    }
}

#[test]
fn a_layer_that_nobody_learns_keeps_no_graph() {
    let layer = Layer::random(4, 3, 2, Kind::Float);
    assert!(!tch::no_grad(|| layer.ours()).requires_grad());
    let frozen = linear(&layer.x.detach(), &layer.weight.detach(), &layer.bias.detach()).unwrap();
    assert!(!frozen.requires_grad());
    // Pictures have no gradient; the weights behind them do.
    let y = linear(&layer.x.detach(), &layer.weight, &layer.bias).unwrap();
    let gradients = Tensor::run_backward(&[y.sum(None)], &[&layer.weight], false, false);
    assert_eq!(gradients[0].size(), [2, 3]);
}

#[test]
fn other_types_autocast_and_empty_inputs_are_libtorchs_own() {
    let double = Layer::random(5, 4, 3, Kind::Double);
    assert_eq!(double.ours(), double.theirs());
    let layer = Layer::random(5, 4, 3, Kind::Float);
    let y = autocast(CPU, Some(Kind::BFloat16), || layer.ours()).unwrap();
    assert_eq!(y.kind(), Kind::BFloat16);
    let none = Tensor::zeros([0, 4], (Kind::Float, CPU)).set_requires_grad(true);
    let y = linear(&none, &layer.weight, &layer.bias).unwrap();
    assert_eq!(y.size(), [0, 3]);
    let gradients = Tensor::run_backward(&[y.sum(None)], &[&layer.weight], false, false);
    assert_eq!(f64::try_from(gradients[0].abs().sum(None)).unwrap(), 0.0);
}

#[test]
fn shapes_that_do_not_fit_are_an_error() {
    let layer = Layer::random(5, 4, 3, Kind::Float);
    let narrow = Tensor::zeros([5, 3], (Kind::Float, CPU));
    let error = linear(&narrow, &layer.weight, &layer.bias).unwrap_err();
    assert!(error.to_string().contains("5x3"), "{error}");
}

#[test]
fn a_1x1_convolution_is_libtorchs_own_whatever_the_batch_and_the_layout() {
    // Few pictures on one thread go another way than many; channels first go that of libtorch.
    tch::set_num_threads(1);
    for (batch, last) in [(3, true), (16, true), (3, false)] {
        let leaf = |shape: &[i64], name| {
            let x = numbers(shape, name, Kind::Float);
            let x = if last { channels_last(&x) } else { x };
            x.set_requires_grad(true)
        };
        let (x, weight) = (leaf(&[batch, 20, 5, 7], 1), leaf(&[33, 20, 1, 1], 2));
        let slope = numbers(&[batch, 33, 5, 7], 3, Kind::Float);
        let gradients =
            |y: &Tensor| Tensor::run_backward(&[(y * &slope).sum(None)], &[&x, &weight], false, false);
        let ours = convolve_1x1(&x, &weight).unwrap();
        let theirs = x.conv2d(&weight, None::<Tensor>, 1, 0, 1, 1);
        assert!(error(&ours, &theirs) < 1e-5, "batch {batch}");
        assert_eq!(ours.stride(), theirs.stride(), "batch {batch}");
        for (got, expected) in gradients(&ours).iter().zip(gradients(&theirs)) {
            assert!(error(got, &expected) < 1e-5, "batch {batch}");
        }
    }
    let wide = Tensor::zeros([33, 21, 1, 1], (Kind::Float, CPU));
    let x = numbers(&[3, 20, 5, 7], 1, Kind::Float);
    assert!(convolve_1x1(&x, &wide).is_err());
}
