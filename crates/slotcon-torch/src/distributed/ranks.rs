//! The ranks of a run: what they compute together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cxx::SharedPtr;
use tch::{Device, Kind, Tensor};

use super::store::{Store, millis};
use super::traffic::Traffic;
use crate::error::Error;
use crate::ffi::{at, bridge, lend, owned};

/// How to join the other ranks.
#[derive(Debug, Clone)]
pub struct Join<'a> {
    /// Where all of them meet.
    pub store: &'a Store,
    /// This process, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// How long an operation may wait for the others.
    pub timeout: Duration,
    /// Address of the network interface that Gloo uses; empty: the one that this machine's name stands for.
    pub address: &'a str,
    /// Where this rank computes; on a GPU NCCL takes part.
    pub device: Device,
}

/// This process among those that train one model; alone by default. Clones are cheap and stand for the same group.
///
/// All ranks must call the same operations in the same order.
#[derive(Clone, Default)]
pub struct Ranks(Option<Arc<Member>>);

struct Member {
    group: SharedPtr<bridge::Group>,
    rank: usize,
    size: usize,
}

// SAFETY: c10d's process groups may be used from any thread, one operation after the other.
#[allow(unsafe_code)]
unsafe impl Send for Member {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Member {}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

/// Whether this build has NCCL, without which GPUs cannot work together.
pub fn has_nccl() -> bool {
    bridge::has_nccl()
}

impl Ranks {
    /// One process, no others.
    pub fn alone() -> Self {
        Self::default()
    }

    /// Joins the others; all of them have to.
    ///
    /// # Errors
    /// Ranks that did not come in time, an address that is not of this machine, GPUs in a build without NCCL.
    pub fn join(join: &Join) -> Result<Self, Error> {
        let group = bridge::join_group(
            join.store.inner(),
            join.rank as i32,
            join.size as i32,
            millis(join.timeout),
            join.address,
            match join.device {
                Device::Cuda(index) => index as i32,
                _ => -1,
            },
        )?;
        Ok(Self(Some(Arc::new(Member {
            group,
            rank: join.rank,
            size: join.size,
        }))))
    }

    /// This process, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |m| m.rank)
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |m| m.size)
    }

    /// Whether there are no others.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// The sum over ranks, of `x`'s shape. Differentiable: every rank's gradient reaches every rank's `x`.
    ///
    /// # Errors
    /// A rank that is gone or late.
    pub fn sum(&self, x: &Tensor, traffic: Traffic) -> Result<Tensor, Error> {
        match &self.0 {
            None => Ok(x.shallow_clone()),
            Some(m) => Ok(owned(m.group.sum(at(x), traffic as u8)?)),
        }
    }

    /// The mean over ranks, of `x`'s shape. Differentiable.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn mean(&self, x: &Tensor, traffic: Traffic) -> Result<Tensor, Error> {
        match &self.0 {
            None => Ok(x.shallow_clone()),
            Some(m) => Ok(self.sum(x, traffic)? / m.size as f64),
        }
    }

    /// The largest over ranks, into `x`. Not differentiable.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn max_(&self, x: &mut Tensor, traffic: Traffic) -> Result<(), Error> {
        if let Some(m) = &self.0 {
            m.group.all_reduce(at(x), true, traffic as u8)?;
        }
        Ok(())
    }

    /// The sums over ranks of a few numbers that the processes themselves need.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn sum_numbers<const N: usize>(
        &self,
        numbers: [i64; N],
        traffic: Traffic,
    ) -> Result<[i64; N], Error> {
        let Some(m) = &self.0 else { return Ok(numbers) };
        let sums = Tensor::from_slice(&numbers);
        m.group.all_reduce(at(&sums), false, traffic as u8)?;
        let mut result = numbers;
        sums.copy_data(&mut result, N);
        Ok(result)
    }

    /// Every rank's rows one after the other: `[N_r, ...]` to `[sum N_r, ...]`, and where this rank's begin. The N_r
    /// may differ; what is sent is padded to the largest. Not differentiable.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn gather_rows(&self, x: &Tensor, traffic: Traffic) -> Result<(Tensor, i64), Error> {
        let Some(m) = &self.0 else {
            return Ok((x.shallow_clone(), 0));
        };
        let rows = x.size()[0];
        let own = Tensor::from_slice(&[rows]);
        let counts = owned(m.group.all_gather(at(&own), traffic as u8)?);
        let counts = Vec::<i64>::try_from(counts.view([-1]))?;
        let most = counts.iter().copied().max().unwrap_or_default();
        let mut shape = x.size();
        shape[0] = most;
        let padded = Tensor::zeros(&shape, (x.kind(), x.device()));
        padded.narrow(0, 0, rows).copy_(&x.detach());
        let all = owned(m.group.all_gather(at(&padded), traffic as u8)?);
        let parts: Vec<Tensor> = counts
            .iter()
            .enumerate()
            .map(|(rank, &count)| all.get(rank as i64).narrow(0, 0, count))
            .collect();
        let first = counts[..m.rank].iter().sum();
        Ok((Tensor::cat(&parts, 0), first))
    }

    /// The same for rows of which every rank has equally many: no counts are sent, and nothing waits for a GPU.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn gather_equal(&self, x: &Tensor, traffic: Traffic) -> Result<Tensor, Error> {
        match &self.0 {
            None => Ok(x.shallow_clone()),
            Some(m) => Ok(owned(m.group.all_gather(at(&x.detach()), traffic as u8)?).flatten(0, 1)),
        }
    }

    /// Copies rank 0's values into every rank's tensors, which have the same shapes everywhere.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn broadcast(&self, tensors: &[Tensor]) -> Result<(), Error> {
        let Some(m) = &self.0 else { return Ok(()) };
        // c10d packs tensors of one type and device, in the order of their memory only if that is row-major.
        let mut kinds: Vec<(Kind, Device)> = tensors.iter().map(|t| (t.kind(), t.device())).collect();
        kinds.sort_by_key(|(kind, device)| (*kind as i32, device.is_cuda()));
        kinds.dedup();
        let _guard = tch::no_grad_guard();
        for (kind, device) in kinds {
            let of_kind: Vec<&Tensor> = tensors
                .iter()
                .filter(|t| (t.kind(), t.device()) == (kind, device))
                .collect();
            let packed: Vec<Tensor> = of_kind.iter().map(|t| t.detach().contiguous()).collect();
            // A GPU's group has no CPU counters in it: each device has its own backend.
            m.group.broadcast(&lend(&packed))?;
            for (tensor, packed) in of_kind.iter().zip(&packed) {
                tensor.shallow_clone().copy_(packed);
            }
        }
        Ok(())
    }

    /// Batch norm in training mode over the rows of all ranks: `x` `[B, C, h, w]` or `[N, C]` to the same shape, the
    /// running statistics moved by `momentum`, the variance unbiased over all rows. Rows may differ between ranks and
    /// be none on a CPU. Differentiable. `None` where this process is alone: libtorch's own is the one to call.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn batch_norm(
        &self,
        x: &Tensor,
        [weight, bias]: [&Tensor; 2],
        [running_mean, running_var]: [&Tensor; 2],
        momentum: f64,
        eps: f64,
    ) -> Option<Result<Tensor, Error>> {
        let m = self.0.as_ref()?;
        let y = m.group.batch_norm(
            at(x),
            at(weight),
            at(bias),
            at(running_mean),
            at(running_var),
            momentum,
            eps,
        );
        Some(y.map(owned).map_err(Error::from))
    }

    /// Bytes that this rank has put into operations for `traffic` so far.
    pub fn bytes(&self, traffic: Traffic) -> u64 {
        self.0.as_ref().map_or(0, |m| m.group.bytes(traffic as u8) as u64)
    }

    /// A count of the operations so far.
    pub fn operations(&self) -> u64 {
        self.0.as_ref().map_or(0, |m| m.group.operations() as u64)
    }

    /// Whether an operation failed: the ranks are no longer together.
    pub fn broken(&self) -> bool {
        self.0.as_ref().is_some_and(|m| m.group.broken())
    }

    pub(super) fn group(&self) -> Option<&bridge::Group> {
        self.0.as_ref().map(|m| &*m.group)
    }
}
