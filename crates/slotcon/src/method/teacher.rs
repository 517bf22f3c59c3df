//! The teacher: a moving average of the student (section 3.4), slower and slower towards the end.

use std::f64::consts::PI;

use slotcon_torch::multi_tensor::lerp;
use tch::Tensor;

/// Momentum of iteration `step` of `total`: from `base` up to 1 on a cosine.
pub fn momentum(base: f64, step: u64, total: u64) -> f64 {
    1.0 - (1.0 - base) * ((PI * step as f64 / total as f64).cos() + 1.0) * 0.5
}

/// The parameters of student and teacher, by position.
#[derive(Debug)]
pub struct MovingAverage {
    student: Vec<Tensor>,
    teacher: Vec<Tensor>,
}

impl MovingAverage {
    /// Starts with the teacher equal to the student.
    pub fn new(pairs: Vec<(Tensor, Tensor)>) -> Self {
        let (student, teacher) = pairs.into_iter().unzip();
        let average = Self { student, teacher };
        let _guard = tch::no_grad_guard();
        for (student, teacher) in average.student.iter().zip(&average.teacher) {
            teacher.shallow_clone().copy_(student);
        }
        average
    }

    /// teacher = momentum * teacher + (1 - momentum) * student, in place.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn update(&self, momentum: f64) -> Result<(), slotcon_torch::Error> {
        lerp(&self.teacher, &self.student, 1.0 - momentum)
    }
}
