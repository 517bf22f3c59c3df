//! Where the time of a step goes; off except in benchmarks.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tch::{Cuda, Device};

/// Adds up the time of named parts. Measuring waits for the device after every part; a stopwatch that is off costs nothing.
#[derive(Debug, Default)]
pub struct Stopwatch {
    device: Option<Device>,
    parts: RefCell<Vec<(&'static str, Duration)>>,
}

impl Stopwatch {
    /// One that measures on `device`.
    pub fn on(device: Device) -> Self {
        Self {
            device: Some(device),
            parts: RefCell::default(),
        }
    }

    /// Runs `f` as part of `name`. Parts do not nest.
    pub fn time<T>(&self, name: &'static str, f: impl FnOnce() -> T) -> T {
        let Some(device) = self.device else { return f() };
        let start = Instant::now();
        let result = f();
        if let Device::Cuda(index) = device {
            Cuda::synchronize(index as i64);
        }
        let mut parts = self.parts.borrow_mut();
        let spent = start.elapsed();
        match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += spent,
            None => parts.push((name, spent)),
        }
        result
    }

    /// Names and times in the order of their first use; starts again from zero.
    pub fn take(&self) -> Vec<(&'static str, Duration)> {
        self.parts.take()
    }
}
