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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_rises_on_a_cosine() {
        for (step, expected) in [
            (0, 0.99),
            (25, 1.0 - 0.01 * (0.5 + 0.125f64.sqrt())),
            (50, 0.995),
            (100, 1.0),
        ] {
            let m = momentum(0.99, step, 100);
            assert!((m - expected).abs() < 1e-15, "{m} at step {step} for {expected}");
        }
    }

    #[test]
    fn the_teacher_starts_equal_and_moves_by_the_rest() {
        let (student, teacher) = (Tensor::from_slice(&[1.0, 5.0]), Tensor::from_slice(&[9.0, 9.0]));
        let numbers = || Vec::<f64>::try_from(&teacher).unwrap();
        let average = MovingAverage::new(vec![(student.shallow_clone(), teacher.shallow_clone())]);
        assert_eq!(numbers(), [1.0, 5.0]);
        student.shallow_clone().copy_(&Tensor::from_slice(&[3.0, 1.0]));
        average.update(0.75).unwrap();
        // 3/4 of 1 and 1/4 of 3; 3/4 of 5 and 1/4 of 1.
        assert_eq!(numbers(), [1.5, 4.0]);
    }
}
