//! Keeps running statistics finite: a batch that overflows spoils them although its step is skipped.

use slotcon_nn::{Role, Store};
use tch::Tensor;

/// The buffers of a model with their last good values.
#[derive(Debug)]
pub struct BufferGuard {
    buffers: Vec<(Tensor, Tensor)>,
}

impl BufferGuard {
    /// Takes the present values as good.
    pub fn new(store: &Store) -> Self {
        let buffers = store.entries().into_iter().filter(|e| e.role == Role::Buffer);
        Self {
            buffers: buffers.map(|e| (e.tensor.copy(), e.tensor)).collect(),
        }
    }

    /// Puts back the last good values of every buffer that is not finite; remembers the others if the step was `sound`.
    pub fn check(&mut self, sound: bool) {
        let _guard = tch::no_grad_guard();
        for (good, buffer) in &mut self.buffers {
            let kept = buffer.where_self(&buffer.isfinite(), good);
            buffer.copy_(&kept);
            if sound {
                good.copy_(&kept);
            }
        }
    }
}
