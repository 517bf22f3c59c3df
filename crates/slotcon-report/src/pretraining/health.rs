//! Whether groups have formed and share the pictures: the figures of the run's last fifth beside what is normal, and what to
//! change where they are not. The same advice as in docs/reading-a-run.md.

use slotcon::health_limits::{
    self, AGREEMENT, BALANCE, BALANCE_BAD, UNCERTAINTY, UNCERTAINTY_BAD, group_loss_without_agreement,
};

use crate::curve::number;
use crate::page::percent;
use crate::run::health_check::{HealthCheck, State};
use crate::run::record::Record;

/// Logged steps below which nothing is said about trends.
const FEW: u64 = 4;

const COLLAPSE: &str = "Some groups take everything. Raise model.teacher_temp towards 0.07, lower optim.base_lr, or lower \
                        model.center_momentum.";
const UNEVEN: &str = "Some groups are much larger than others. Where the pictures are so, too, that is as it should be; if it goes on \
                      falling, raise model.teacher_temp towards 0.07 or lower optim.base_lr.";
const NO_GROUPS: &str = "The assignments are too soft for the little that the features say yet. Lower model.teacher_temp \
                         (0.07 to 0.05 on small data), raise optim.base_lr (LARS on small batches wants 8 to 16), or train \
                         longer.";
const SURE: &str = "Every place is very sure of its group. That is well while the groups share the pictures; together with a \
                    falling balance it is a collapse: then raise model.teacher_temp towards 0.07.";
const FEW_IN_USE: &str = "Many prototypes win nothing in a batch. With K far above what a batch shows that is as it should be; \
                          else lower model.prototypes, or raise model.teacher_temp.";
const DISAGREE: &str = "Student and teacher see different groups. Early in a run that is so; if it stays, halve optim.base_lr, \
                        raise model.teacher_momentum, or train longer.";
const NO_FALL: &str = "It should fall from the start, by 20 to 40 % in the first hundreds of steps. Try twice or half \
                       optim.base_lr, or train longer.";
/// All checks of a run of K = `prototypes`, in the order of reading.
pub fn checks(record: &Record, prototypes: i64) -> Vec<HealthCheck> {
    if record.lines < FEW {
        return Vec::new();
    }
    let all = [
        grouping(record),
        balance(record),
        in_use(record, prototypes),
        agreement(record, prototypes),
        group_loss(record, prototypes),
        slot_loss(record),
    ];
    all.into_iter().flatten().collect()
}

fn grouping(record: &Record) -> Option<HealthCheck> {
    let value = record.curve("groups.uncertainty").recent()?;
    let (least, most) = UNCERTAINTY;
    let found =
        format!("uncertainty {value:.2}, normal {least} to {most} (0: every place is sure of its group)");
    let (state, advice) = match value {
        v if v < least => (State::Watch, SURE),
        v => (State::rising(v, most, UNCERTAINTY_BAD), NO_GROUPS),
    };
    Some(HealthCheck::new("Groups have formed", state, found, advice))
}

fn balance(record: &Record) -> Option<HealthCheck> {
    let value = record.curve("groups.balance").recent()?;
    let (least, most) = BALANCE;
    let found = format!("balance {value:.2}, normal {least} to {most} (1: all groups equally large)");
    let state = State::rising(-value, -least, -BALANCE_BAD);
    let advice = if state == State::Bad { COLLAPSE } else { UNEVEN };
    Some(HealthCheck::new(
        "Groups share the pictures",
        state,
        found,
        advice,
    ))
}

fn in_use(record: &Record, prototypes: i64) -> Option<HealthCheck> {
    let value = record.curve("groups.in_use").recent()?;
    let used = value * prototypes as f64;
    let found = format!("{used:.0} of {prototypes} prototypes win somewhere in a batch");
    if health_limits::one_prototype_takes_all(value, prototypes) {
        return Some(HealthCheck::new(
            "Prototypes are in use",
            State::Bad,
            found,
            COLLAPSE,
        ));
    }
    let (least, _) = health_limits::in_use(prototypes);
    let state = if value >= least { State::Good } else { State::Watch };
    Some(HealthCheck::new(
        "Prototypes are in use",
        state,
        found,
        FEW_IN_USE,
    ))
}

fn agreement(record: &Record, prototypes: i64) -> Option<HealthCheck> {
    let value = record.curve("groups.agreement").recent()?;
    let chance = 1.0 / prototypes as f64;
    let found = format!(
        "{} of the shared places are in the same group in both views, normally {} or more (by chance: {})",
        percent(value),
        percent(AGREEMENT.0),
        percent(chance)
    );
    let state = match value {
        v if v >= AGREEMENT.0 => State::Good,
        v if v >= (2.0 * chance).min(0.3) => State::Watch,
        _ => State::Bad,
    };
    Some(HealthCheck::new(
        "Student and teacher agree",
        state,
        found,
        DISAGREE,
    ))
}

fn group_loss(record: &Record, prototypes: i64) -> Option<HealthCheck> {
    let value = record.curve("group_loss").recent()?;
    let nothing = group_loss_without_agreement(prototypes);
    let found = format!(
        "{}; 2 ln K = {} is that of no agreement at all",
        number(value),
        number(nothing)
    );
    let state = State::rising(value / nothing, 0.97, 1.1);
    Some(HealthCheck::new(
        "Group loss has left its start",
        state,
        found,
        NO_GROUPS,
    ))
}

fn slot_loss(record: &Record) -> Option<HealthCheck> {
    let curve = record.curve("slot_loss");
    let (start, value) = (curve.start()?, curve.recent()?);
    let fall = 1.0 - value / start;
    let found = format!(
        "{}, from {} at the first logged steps ({:+.0} %)",
        number(value),
        number(start),
        -100.0 * fall
    );
    Some(HealthCheck::new(
        "Slot loss falls",
        State::rising(-fall, -0.1, 0.1),
        found,
        NO_FALL,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::health_check::of_every_run;

    /// Ten logged steps; `last` are the health figures of the last ones, which the first ones approach.
    fn record(
        in_use: f64,
        balance: f64,
        uncertainty: f64,
        agreement: f64,
        losses: (f64, f64),
        skipped: u64,
    ) -> Record {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text: String = (1..=10)
            .map(|i| {
                let (group, slot) = if i < 3 { (6.9, 4.0) } else { losses };
                format!(
                    "{{\"step\":{i},\"group_loss\":{group},\"slot_loss\":{slot},\"skipped_steps\":{skipped},\"groups\":\
                     {{\"in_use\":{in_use},\"balance\":{balance},\"uncertainty\":{uncertainty},\"agreement\":{agreement}}}}}\n"
                )
            })
            .collect();
        std::fs::write(&path, text).unwrap();
        let keys = [
            "group_loss",
            "slot_loss",
            "groups.in_use",
            "groups.balance",
            "groups.uncertainty",
            "groups.agreement",
        ];
        Record::read(&path, &keys).unwrap()
    }

    /// What a report says of SlotCon's figures and of those that every run has.
    fn all(record: &Record) -> Vec<HealthCheck> {
        [checks(record, 32), of_every_run(record)].concat()
    }

    fn states(record: &Record) -> Vec<(&'static str, State)> {
        checks(record, 32)
            .into_iter()
            .map(|v| (v.name, v.state))
            .collect()
    }

    #[test]
    fn a_healthy_run_gets_no_advice() {
        let found = all(&record(0.9, 0.9, 0.5, 0.6, (4.0, 2.5), 0));
        assert_eq!(found.len(), 8);
        assert!(
            found
                .iter()
                .all(|v| v.state == State::Good && v.advice.is_empty()),
            "{found:?}"
        );
    }

    #[test]
    fn a_collapse_is_called_one() {
        let found = states(&record(1.0 / 32.0, 0.02, 0.05, 1.0, (0.1, 4.3), 0));
        assert!(
            found.contains(&("Groups share the pictures", State::Bad)),
            "{found:?}"
        );
        assert!(found.contains(&("Prototypes are in use", State::Bad)));
        assert!(found.contains(&("Slot loss falls", State::Watch)));
    }

    #[test]
    fn no_grouping_is_called_that() {
        let found = all(&record(1.0, 0.99, 0.97, 0.04, (6.9, 3.9), 5));
        let of = |name: &str| found.iter().find(|v| v.name == name).unwrap();
        assert_eq!(of("Groups have formed").state, State::Bad);
        assert!(of("Groups have formed").advice.contains("teacher_temp"));
        assert_eq!(of("Student and teacher agree").state, State::Bad);
        assert_eq!(of("Group loss has left its start").state, State::Watch);
        assert_eq!(of("Every step was taken").state, State::Bad);
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert!(all(&Record::default()).is_empty());
    }

    #[test]
    fn every_key_is_explained_in_the_docs() {
        let docs = include_str!("../../../../docs/reading-a-run.md");
        for key in [
            "in_use",
            "balance",
            "uncertainty",
            "agreement",
            "slots_per_picture",
            "group_loss",
            "slot_loss",
        ] {
            assert!(docs.contains(key), "{key}");
        }
    }
}
