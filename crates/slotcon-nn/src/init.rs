//! How parameters start.

use tch::Tensor;

/// The distribution of a parameter's first values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// One value.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Normal with variance 2 / fan-out, where fan-out is the first dimension times the kernel's area: PyTorch's
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")`, detectron2's `c2_msra_fill`.
    KaimingFanOut,
    /// Uniform in ±√(3 / fan-in), where fan-in is the product of all dimensions but the first: PyTorch's
    /// `kaiming_uniform_(a=1)`, detectron2's `c2_xavier_fill`.
    Xavier,
}

impl Init {
    /// Fills `tensor` in place, random numbers from libtorch's generator of its device.
    pub(crate) fn fill(self, tensor: Tensor) -> Tensor {
        let shape = tensor.size();
        let area: i64 = shape.iter().skip(2).product();
        let fan_out = shape.first().copied().unwrap_or(1) * area;
        let fan_in: i64 = shape.iter().skip(1).product();
        let mut tensor = tensor;
        match self {
            Init::Constant(value) => tensor.fill_(value),
            Init::Normal(std) => tensor.normal_(0.0, std),
            Init::KaimingFanOut => tensor.normal_(0.0, (2.0 / fan_out as f64).sqrt()),
            Init::Xavier => {
                let bound = (3.0 / fan_in as f64).sqrt();
                tensor.uniform_(-bound, bound)
            }
        }
    }
}
