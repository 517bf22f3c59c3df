//! Gradients averaged over ranks, bucket by bucket, while the backward pass goes on (c10d's `Reducer`, the engine of
//! PyTorch's `DistributedDataParallel`).

use std::fmt;

use cxx::UniquePtr;
use tch::Tensor;

use super::ranks::Ranks;
use crate::error::Error;
use crate::ffi::{at, bridge, lend};

/// Averages the gradients of a fixed list of parameters. Does nothing where there is one rank.
pub struct Reducer(Option<UniquePtr<bridge::Reducer>>);

impl fmt::Debug for Reducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Reducer"
        } else {
            "Reducer(alone)"
        })
    }
}

impl Reducer {
    /// Over `parameters`, the same on all ranks. `find_unused`: whether a backward pass may leave some of them out;
    /// costs a walk over the graph in every step.
    ///
    /// # Errors
    /// Parameters that take no gradient, or a rank that is gone.
    pub fn new(ranks: &Ranks, parameters: &[Tensor], find_unused: bool) -> Result<Self, Error> {
        let Some(group) = ranks.group() else {
            return Ok(Self(None));
        };
        let reducer = bridge::new_reducer(group, &lend(parameters), find_unused)?;
        Ok(Self(Some(reducer)))
    }

    /// Backward pass from `loss`; with `average` every parameter's gradient is then the mean over ranks of what this
    /// pass and those since the last average added up. Without it nothing is sent.
    ///
    /// # Errors
    /// A rank that is gone or late, or what libtorch refuses.
    pub fn backward(&self, loss: &Tensor, average: bool) -> Result<(), Error> {
        if let (Some(reducer), true) = (&self.0, average) {
            reducer.prepare(at(loss))?;
        }
        loss.f_backward()?;
        Ok(())
    }
}
