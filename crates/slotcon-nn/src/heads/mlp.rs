//! The heads of SlotCon: projector and slot predictor (upstream `DINOHead2d` and `DINOHead`).

use slotcon_torch::Error;
use tch::Tensor;

use crate::layers::{BatchNorm, BatchNormMode, Linear};
use crate::store::Path;

/// Widths of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MlpConfig {
    /// Input features.
    pub input: i64,
    /// Features of both hidden layers.
    pub hidden: i64,
    /// Output features.
    pub output: i64,
}

/// Linear, batch norm, GELU, twice; then linear. On positions it is the official chain of 1x1 convolutions,
/// computed as matrix products.
#[derive(Debug)]
pub struct Mlp {
    linear: [Linear; 3],
    norm: [BatchNorm; 2],
}

impl Mlp {
    /// Builds `mlp.0` … `mlp.6` below `path`, weights as `[output, input]` (the slot predictor).
    pub fn new(path: &Path, config: MlpConfig) -> Self {
        Self::built(path, config, |path, input, output| {
            Linear::new(path, input, output, Linear::HEAD)
        })
    }

    /// The same with weights as those of 1x1 convolutions, `[output, input, 1, 1]` (the projector).
    pub fn pointwise(path: &Path, config: MlpConfig) -> Self {
        Self::built(path, config, |path, input, output| {
            Linear::pointwise(path, input, output, Linear::HEAD)
        })
    }

    fn built(path: &Path, config: MlpConfig, linear: impl Fn(&Path, i64, i64) -> Linear) -> Self {
        let MlpConfig {
            input,
            hidden,
            output,
        } = config;
        let mlp = path.sub("mlp");
        // In the order of the official state dict.
        let first = linear(&mlp.sub(0), input, hidden);
        let first_norm = BatchNorm::new(&mlp.sub(1), hidden);
        let second = linear(&mlp.sub(3), hidden, hidden);
        let second_norm = BatchNorm::new(&mlp.sub(4), hidden);
        let third = linear(&mlp.sub(6), hidden, output);
        Self {
            linear: [first, second, third],
            norm: [first_norm, second_norm],
        }
    }

    /// `[N, input]` to `[N, output]`. `x` holds the rows of one or more views one after the other, as many of each as
    /// `views` says; in training each view is normalised by its own statistics (over all ranks), as if the views came one
    /// by one, but they share the matrix products: those of the weights' gradients grow with the rows.
    ///
    /// # Errors
    /// Another number of features or rows, a rank that is gone.
    pub fn forward(&self, x: &Tensor, views: &[i64], mode: BatchNormMode) -> Result<Tensor, Error> {
        self.chain(x, |norm, x| match views {
            [_] => norm.forward(x, mode),
            _ => {
                let parts = x.f_split_with_sizes(views, 0)?;
                let parts: Result<Vec<_>, _> = parts.iter().map(|x| norm.forward(x, mode)).collect();
                Ok(Tensor::cat(&parts?, 0))
            }
        })
    }

    /// In training mode over the rows that `weights` `[N]` (1 or 0) selects; see [`BatchNorm::forward_selected`].
    ///
    /// # Errors
    /// Another number of features, a rank that is gone.
    pub fn forward_selected(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor, Error> {
        self.chain(x, |norm, x| norm.forward_selected(x, weights))
    }

    fn chain(
        &self,
        x: &Tensor,
        normalise: impl Fn(&BatchNorm, &Tensor) -> Result<Tensor, Error>,
    ) -> Result<Tensor, Error> {
        let mut x = x.shallow_clone();
        for (linear, norm) in self.linear.iter().zip(&self.norm) {
            x = normalise(norm, &linear.forward(&x)?)?.gelu("none");
        }
        self.linear[2].forward(&x)
    }
}
