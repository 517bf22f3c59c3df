//! The teacher: a moving average of the student (section 3.4), slower and slower towards the end.

use std::f64::consts::PI;

use tch::Tensor;

/// Momentum of iteration `step` of `total`: from `base` up to 1 on a cosine.
pub fn momentum(base: f64, step: u64, total: u64) -> f64 {
    1.0 - (1.0 - base) * ((PI * step as f64 / total as f64).cos() + 1.0) * 0.5
}

/// Pairs of a student's parameter and the teacher's of the same place.
#[derive(Debug)]
pub struct MovingAverage {
    pairs: Vec<(Tensor, Tensor)>,
}

impl MovingAverage {
    /// Starts with the teacher equal to the student.
    pub fn new(pairs: Vec<(Tensor, Tensor)>) -> Self {
        let average = Self { pairs };
        average.update(0.0);
        average
    }

    /// teacher = momentum * teacher + (1 - momentum) * student, in place.
    pub fn update(&self, momentum: f64) {
        let _guard = tch::no_grad_guard();
        for (student, teacher) in &self.pairs {
            let mut teacher = teacher.shallow_clone();
            if momentum == 0.0 {
                teacher.copy_(student);
            } else {
                let _ = teacher.lerp_(student, 1.0 - momentum);
            }
        }
    }
}
