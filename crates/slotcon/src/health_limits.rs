//! What is normal for the health of the groups: the one table behind the warnings of a run and the advice in its report.
//! docs/reading-a-run.md says it in words.

/// Normal range of `groups.balance` after the first hundreds of steps.
pub const BALANCE: (f64, f64) = (0.8, 1.0);
/// `groups.balance` below this over the last fifth of a run is a collapse.
pub const BALANCE_BAD: f64 = 0.5;
/// `groups.balance` below this in a single batch is a collapse.
pub const BALANCE_COLLAPSED: f64 = 0.05;
/// Normal range of `groups.uncertainty` after the first hundreds of steps.
pub const UNCERTAINTY: (f64, f64) = (0.05, 0.8);
/// `groups.uncertainty` above this over the last fifth of a run means that no groups have formed.
pub const UNCERTAINTY_BAD: f64 = 0.9;
/// Normal range of `groups.agreement` after the first hundreds of steps.
pub const AGREEMENT: (f64, f64) = (0.4, 0.95);

/// Normal range of `groups.in_use` for K = `prototypes`: few prototypes all show up in a batch, of thousands only some can.
pub fn in_use(prototypes: i64) -> (f64, f64) {
    (if prototypes <= 64 { 0.7 } else { 0.2 }, 1.0)
}

/// Whether a share `in_use` of K = `prototypes` amounts to no more than one prototype.
pub fn one_prototype_takes_all(in_use: f64, prototypes: i64) -> bool {
    in_use * prototypes as f64 <= 1.5
}

/// Whether the assignments of a single batch are as even as if there were no groups at all.
pub fn without_groups(uncertainty: f64, balance: f64) -> bool {
    uncertainty > 0.98 && balance > 0.99
}

/// Both group losses together when student and teacher share nothing: 2 ln K.
pub fn group_loss_without_agreement(prototypes: i64) -> f64 {
    2.0 * (prototypes.max(1) as f64).ln()
}
