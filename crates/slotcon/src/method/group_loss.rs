//! Group loss (equation 2): every shared position should be assigned alike by student and teacher.

use tch::Tensor;

/// Cross-entropy of the student's assignment against the teacher's, mean over all positions.
///
/// `student`, `teacher`: aligned scores `[B, N, K]` of the two views; `center` `[1, K]` is taken off the teacher's,
/// which keeps one prototype from winning everywhere. Gradient to `student` only. A scalar.
pub fn group_loss(student: &Tensor, teacher: &Tensor, center: &Tensor, temps: Temperatures) -> Tensor {
    let log_p = (student / temps.student).log_softmax(-1, None);
    let target = ((teacher.detach() - center) / temps.teacher).softmax(-1, None);
    -(target * log_p).sum_dim_intlist(-1, false, None).mean(None)
}

/// τ_s and τ_t; the teacher's is lower, so that its assignment is sharper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperatures {
    /// τ_s.
    pub student: f64,
    /// τ_t.
    pub teacher: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPS: Temperatures = Temperatures {
        student: 0.1,
        teacher: 0.07,
    };

    /// Scores of one position whose softmax at temperature τ is (3/4, 1/4).
    fn three_to_one(temperature: f64) -> Tensor {
        Tensor::from_slice(&[temperature * 3f64.ln(), 0.0]).reshape([1, 1, 2])
    }

    fn assert_near(got: &Tensor, expected: f64) {
        let got = f64::try_from(got).unwrap();
        assert!((got - expected).abs() < 1e-12, "{got} for {expected}");
    }

    #[test]
    fn equal_assignments_cost_their_entropy() {
        let loss = group_loss(
            &three_to_one(0.1),
            &three_to_one(0.07),
            &Tensor::from_slice2(&[[0.0, 0.0]]),
            TEMPS,
        );
        assert_near(&loss, -(0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln()));
    }

    #[test]
    fn the_centre_is_taken_off_the_teacher_and_the_gradient_goes_to_the_student() {
        // The centre takes all of the teacher's preference: its assignment becomes (1/2, 1/2).
        let student = three_to_one(0.1).set_requires_grad(true);
        let teacher = three_to_one(0.07).set_requires_grad(true);
        let center = three_to_one(0.07).view([1, 2]);
        let loss = group_loss(&student, &teacher, &center, TEMPS);
        assert_near(&loss, -0.5 * (0.75f64.ln() + 0.25f64.ln()));
        loss.backward();
        // Of a softmax with cross-entropy: (p - t) / τ_s.
        assert_near(&student.grad().view([2]).get(0), (0.75 - 0.5) / 0.1);
        assert_near(&student.grad().view([2]).get(1), (0.25 - 0.5) / 0.1);
        assert!(!teacher.grad().defined());
    }
}
