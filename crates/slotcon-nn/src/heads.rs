//! The heads of SlotCon: projector and slot predictor (upstream `DINOHead2d` and `DINOHead`).

use slotcon_torch::Error;
use tch::Tensor;

use crate::layers::{BatchNorm, Linear};
use crate::store::Path;

/// Shape of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MlpConfig {
    /// Input features.
    pub input: i64,
    /// Features of both hidden layers.
    pub hidden: i64,
    /// Output features.
    pub output: i64,
    /// Whether the official weights are 1x1 convolutions (`[out, in, 1, 1]`): the projector.
    pub conv: bool,
}

/// Linear, batch norm, GELU, twice; then linear. On positions it is the official chain of 1x1 convolutions,
/// computed as matrix products.
#[derive(Debug)]
pub struct Mlp {
    linear: [Linear; 3],
    norm: [BatchNorm; 2],
}

impl Mlp {
    /// Builds `mlp.0` … `mlp.6` below `path`.
    pub fn new(path: &Path, config: MlpConfig) -> Self {
        let MlpConfig {
            input,
            hidden,
            output,
            conv,
        } = config;
        let mlp = path.sub("mlp");
        let first = Linear::new(&mlp.sub(0), input, hidden, conv);
        let first_norm = BatchNorm::new(&mlp.sub(1), hidden);
        let second = Linear::new(&mlp.sub(3), hidden, hidden, conv);
        let second_norm = BatchNorm::new(&mlp.sub(4), hidden);
        let third = Linear::new(&mlp.sub(6), hidden, output, conv);
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
    pub fn forward(&self, x: &Tensor, views: &[i64], train: bool) -> Result<Tensor, Error> {
        self.chain(x, |norm, x| match views {
            [_] => norm.forward(x, train),
            _ => {
                let parts = x.f_split_with_sizes(views, 0)?;
                let parts: Result<Vec<_>, _> = parts.iter().map(|x| norm.forward(x, train)).collect();
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
