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
