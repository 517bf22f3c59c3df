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

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn what_is_not_finite_falls_back_to_the_last_sound_value() {
        let store = Store::new(Device::Cpu, Kind::Double);
        let mean = store.root().buffer("running_mean", &[3], 0.0);
        let set = |values: [f64; 3]| mean.shallow_clone().copy_(&Tensor::from_slice(&values));
        let values = || Vec::<f64>::try_from(&mean).unwrap();
        let mut guard = BufferGuard::new(&store);

        set([1.0, 2.0, 3.0]);
        guard.check(true);
        // Finite values of a step that is skipped stay, and are not remembered as good ones.
        set([4.0, f64::NAN, f64::INFINITY]);
        guard.check(false);
        assert_eq!(values(), [4.0, 2.0, 3.0]);
        set([f64::NAN, 5.0, 6.0]);
        guard.check(true);
        assert_eq!(values(), [1.0, 5.0, 6.0]);
    }
}
