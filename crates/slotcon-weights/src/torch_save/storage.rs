//! From what a pickle says of its tensors to tensors: every length, stride and sum is checked before it is believed.

use std::collections::HashMap;

use tch::Tensor;

use crate::pickle::{ArrayRef, Problem, StorageRef, TensorRef, broken};

/// Where the bytes of storages are.
pub(crate) trait Storages {
    /// All bytes of the storage called `key`; exactly `bytes` of them, or an error.
    fn read(&mut self, key: &str, bytes: u64) -> Result<Vec<u8>, Problem>;
}

/// Makes the tensors of one file.
pub(crate) struct Maker<'a> {
    storages: &'a mut dyn Storages,
    /// Flat tensors by key, with the elements each has.
    read: HashMap<String, (Tensor, StorageRef)>,
    /// Bytes that tensors may still take: what the file has, twice, since tensors may share storages.
    room: u64,
}

impl<'a> Maker<'a> {
    /// For a file of `bytes` bytes.
    pub fn new(storages: &'a mut dyn Storages, bytes: u64) -> Self {
        Self {
            storages,
            read: HashMap::new(),
            room: bytes.saturating_mul(2),
        }
    }

    /// One tensor, dense, on the CPU.
    pub fn tensor(&mut self, claim: &TensorRef) -> Result<Tensor, Problem> {
        let numel = claim.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        let odd = || {
            Problem::Broken(format!(
                "a tensor of shape {:?}, strides {:?} and offset {} does not fit its storage of {} elements",
                claim.shape, claim.stride, claim.offset, claim.storage.numel
            ))
        };
        let numel = numel.ok_or_else(odd)?;
        // The furthest element that it reaches.
        let furthest = if numel == 0 {
            Some(0)
        } else {
            let steps = claim.shape.iter().zip(&claim.stride);
            let last = steps
                .filter(|(n, _)| **n > 1)
                .try_fold(claim.offset, |at, (n, stride)| {
                    at.checked_add((n - 1).checked_mul(*stride)?)
                });
            last.and_then(|at| at.checked_add(1))
        };
        let furthest = furthest.filter(|&end| end <= claim.storage.numel);
        // More elements than the storage has: they would repeat, which no saved weight does.
        if furthest.is_none() || numel > claim.storage.numel {
            return Err(odd());
        }
        let bytes = numel.saturating_mul(claim.storage.kind.size());
        let shape = signed(&claim.shape).ok_or_else(odd)?;
        let stride = signed(&claim.stride).ok_or_else(odd)?;
        let offset = i64::try_from(claim.offset).map_err(|_| odd())?;
        let storage = self.storage(&claim.storage)?;
        self.room = match self.room.checked_sub(bytes) {
            Some(rest) => rest,
            None => return broken("its tensors share storages until they would be larger than the file"),
        };
        if numel == 0 {
            return storage
                .f_slice(0, 0, 0, 1)
                .and_then(|t| t.f_reshape(shape))
                .map_err(torch);
        }
        let view = storage.f_as_strided(shape, stride, offset).map_err(torch)?;
        view.f_contiguous().map_err(torch)
    }

    fn storage(&mut self, claim: &StorageRef) -> Result<Tensor, Problem> {
        if let Some((tensor, before)) = self.read.get(&claim.key) {
            if before != claim {
                return broken(format!(
                    "storage {} is {} {:?} in one place and {} {:?} in another",
                    claim.key, before.numel, before.kind, claim.numel, claim.kind
                ));
            }
            return Ok(tensor.shallow_clone());
        }
        let Some(bytes) = claim.numel.checked_mul(claim.kind.size()) else {
            return broken(format!("storage {} claims {} elements", claim.key, claim.numel));
        };
        let data = self.storages.read(&claim.key, bytes)?;
        let flat =
            Tensor::f_from_data_size(&data, &[claim.numel as i64], claim.kind.kind()).map_err(torch)?;
        self.read
            .insert(claim.key.clone(), (flat.shallow_clone(), claim.clone()));
        Ok(flat)
    }

    /// A numpy array in the pickle itself.
    pub fn array(&mut self, buffer: &[u8], array: &ArrayRef) -> Result<Tensor, Problem> {
        let data = crate::pickle::bytes_of(buffer, &array.data);
        self.room = match self.room.checked_sub(data.len() as u64) {
            Some(rest) => rest,
            None => return broken("its arrays repeat until they would be larger than the file"),
        };
        let Some(shape) = signed(&array.shape) else {
            return broken("an array is too large");
        };
        Tensor::f_from_data_size(data, &shape, array.kind.kind()).map_err(torch)
    }
}

fn signed(sizes: &[u64]) -> Option<Vec<i64>> {
    sizes.iter().map(|&n| i64::try_from(n).ok()).collect()
}

fn torch(error: tch::TchError) -> Problem {
    let text = error.to_string();
    Problem::Broken(text.lines().next().unwrap_or_default().to_owned())
}
