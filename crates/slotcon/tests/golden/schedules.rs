//! Learning rate and teacher momentum of every iteration against the official implementation: `schedules.json`.

use std::error::Error;

use libtest_mimic::{Failed, Trial};
use serde::Deserialize;
use slotcon::method::teacher::momentum;
use slotcon_golden as golden;
use slotcon_train::schedule::{Decay, LearningRate};

#[derive(Debug, Clone, Deserialize)]
struct Case {
    epochs: u64,
    iters_per_epoch: u64,
    warmup_epochs: u64,
    warmup_multiplier: f64,
    lr: f64,
    teacher_momentum: f64,
    lrs: Vec<f64>,
    teacher_momenta: Vec<f64>,
}

/// One trial a schedule.
pub fn trials(record: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(&record.file)?)?;
    let named = cases.into_iter().enumerate();
    Ok(named
        .map(|(i, case)| Trial::test(format!("{}::{i}", record.name()), move || check(&case)))
        .collect())
}

fn check(case: &Case) -> Result<(), Failed> {
    let total = case.epochs * case.iters_per_epoch;
    let rate = LearningRate {
        peak: case.lr,
        warmup_multiplier: case.warmup_multiplier,
        warmup: case.warmup_epochs * case.iters_per_epoch,
        total,
        decay: Decay::Cosine { end: 1e-6 },
    };
    if case.lrs.len() as u64 != total || case.teacher_momenta.len() as u64 != total {
        return Err(format!(
            "{} rates and {} momenta for {total} steps",
            case.lrs.len(),
            case.teacher_momenta.len()
        )
        .into());
    }
    for step in 0..total {
        let (lr, expected) = (rate.at(step), case.lrs[step as usize]);
        if (lr - expected).abs() > 1e-12 * expected {
            return Err(format!("step {step}: learning rate {lr}, recorded {expected}").into());
        }
        let (m, expected) = (
            momentum(case.teacher_momentum, step, total),
            case.teacher_momenta[step as usize],
        );
        if (m - expected).abs() > 1e-12 {
            return Err(format!("step {step}: momentum {m}, recorded {expected}").into());
        }
    }
    Ok(())
}
