//! Whether a run is healthy: the figures of its last fifth beside what is normal, and what to change where they are not.
//! The same ranges and advice as in docs/reading-a-run.md.

use super::record::Record;
use crate::curve::number;
use crate::page::percent;

/// How a figure looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should.
    Good,
    /// Worth a look; early in a run often just early.
    Watch,
    /// Wrong.
    Bad,
}

impl State {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "healthy",
            Self::Watch => "watch",
            Self::Bad => "unhealthy",
        }
    }

    /// Its class in the page.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Watch => "watch",
            Self::Bad => "bad",
        }
    }
}

/// What one figure says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What is judged.
    pub name: &'static str,
    /// How it looks.
    pub state: State,
    /// The figures.
    pub found: String,
    /// What they mean and what to change; empty where all is well.
    pub advice: &'static str,
}

/// Normal ranges after the first hundreds of steps, by key; `prototypes` is K.
pub fn normal(key: &str, prototypes: i64) -> Option<(f64, f64)> {
    Some(match key {
        // Few prototypes all show up in a batch; of thousands only some can.
        "groups.in_use" => (if prototypes <= 64 { 0.7 } else { 0.2 }, 1.0),
        "groups.balance" => (0.8, 1.0),
        "groups.uncertainty" => (0.05, 0.8),
        "groups.agreement" => (0.4, 0.95),
        _ => return None,
    })
}

/// Both group losses together when student and teacher share nothing: 2 ln K.
pub fn group_loss_of_nothing(prototypes: i64) -> f64 {
    2.0 * (prototypes.max(1) as f64).ln()
}

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
const SKIPPED: &str = "Losses or gradients overflowed. Use --precision bf16 instead of f16, halve optim.base_lr, or lengthen \
                       optim.warmup_epochs. A few at the start are normal in f16.";
const PICTURES: &str = "Files that are no whole pictures; others were taken in their place. They are named below and in log.txt.";

/// All verdicts on a run of K = `prototypes`, in the order of reading.
pub fn verdicts(record: &Record, prototypes: i64) -> Vec<Verdict> {
    let mut all = Vec::new();
    if record.lines >= FEW {
        all.extend(
            [
                grouping(record),
                balance(record),
                in_use(record, prototypes),
                agreement(record, prototypes),
                group_loss(record, prototypes),
                slot_loss(record),
            ]
            .into_iter()
            .flatten(),
        );
    }
    if record.lines > 0 {
        all.push(skipped(record));
        all.push(pictures(record));
    }
    all
}

/// Good up to the first limit, to be watched up to the second, bad beyond.
fn rising(value: f64, good: f64, watch: f64) -> State {
    match value {
        v if v <= good => State::Good,
        v if v <= watch => State::Watch,
        _ => State::Bad,
    }
}

fn verdict(name: &'static str, state: State, found: String, advice: &'static str) -> Verdict {
    Verdict {
        name,
        state,
        found,
        advice: if state == State::Good { "" } else { advice },
    }
}

fn grouping(record: &Record) -> Option<Verdict> {
    let value = record.curve("groups.uncertainty").recent()?;
    let found = format!("uncertainty {value:.2}, normal 0.05 to 0.8 (0: every place is sure of its group)");
    let (state, advice) = match value {
        v if v < 0.05 => (State::Watch, SURE),
        v => (rising(v, 0.8, 0.9), NO_GROUPS),
    };
    Some(verdict("Groups have formed", state, found, advice))
}

fn balance(record: &Record) -> Option<Verdict> {
    let value = record.curve("groups.balance").recent()?;
    let found = format!("balance {value:.2}, normal 0.8 to 1 (1: all groups equally large)");
    let state = rising(-value, -0.8, -0.5);
    let advice = if state == State::Bad { COLLAPSE } else { UNEVEN };
    Some(verdict("Groups share the pictures", state, found, advice))
}

fn in_use(record: &Record, prototypes: i64) -> Option<Verdict> {
    let value = record.curve("groups.in_use").recent()?;
    let used = value * prototypes as f64;
    let found = format!("{used:.0} of {prototypes} prototypes win somewhere in a batch");
    if used <= 1.5 {
        return Some(verdict("Prototypes are in use", State::Bad, found, COLLAPSE));
    }
    let least = normal("groups.in_use", prototypes).map_or(0.0, |(least, _)| least);
    let state = if value >= least { State::Good } else { State::Watch };
    Some(verdict("Prototypes are in use", state, found, FEW_IN_USE))
}

fn agreement(record: &Record, prototypes: i64) -> Option<Verdict> {
    let value = record.curve("groups.agreement").recent()?;
    let chance = 1.0 / prototypes as f64;
    let found = format!(
        "{} of the shared places are in the same group in both views, normally 40 % or more (by chance: {})",
        percent(value),
        percent(chance)
    );
    let state = match value {
        v if v >= 0.4 => State::Good,
        v if v >= (2.0 * chance).min(0.3) => State::Watch,
        _ => State::Bad,
    };
    Some(verdict("Student and teacher agree", state, found, DISAGREE))
}

fn group_loss(record: &Record, prototypes: i64) -> Option<Verdict> {
    let value = record.curve("group_loss").recent()?;
    let nothing = group_loss_of_nothing(prototypes);
    let found = format!(
        "{}; 2 ln K = {} is that of no agreement at all",
        number(value),
        number(nothing)
    );
    let state = rising(value / nothing, 0.97, 1.1);
    Some(verdict("Group loss has left its start", state, found, NO_GROUPS))
}

fn slot_loss(record: &Record) -> Option<Verdict> {
    let curve = record.curve("slot_loss");
    let (start, value) = (curve.start()?, curve.recent()?);
    let fall = 1.0 - value / start;
    let found = format!(
        "{}, from {} at the first logged steps ({:+.0} %)",
        number(value),
        number(start),
        -100.0 * fall
    );
    Some(verdict(
        "Slot loss falls",
        rising(-fall, -0.1, 0.1),
        found,
        NO_FALL,
    ))
}

fn skipped(record: &Record) -> Verdict {
    let (count, steps) = (record.count("skipped_steps"), record.count("step"));
    let share = count as f64 / steps.max(1) as f64;
    let state = if count == 0 {
        State::Good
    } else {
        rising(share, 0.0, 0.02)
    };
    verdict(
        "Every step was taken",
        state,
        format!("{count} of {steps} steps skipped"),
        SKIPPED,
    )
}

fn pictures(record: &Record) -> Verdict {
    let count = record.count("bad_pictures");
    let state = if count == 0 { State::Good } else { State::Watch };
    verdict(
        "Every picture could be used",
        state,
        format!("{count} times a picture was replaced"),
        PICTURES,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
        Record::read(&path).unwrap()
    }

    fn states(record: &Record) -> Vec<(&'static str, State)> {
        verdicts(record, 32)
            .into_iter()
            .map(|v| (v.name, v.state))
            .collect()
    }

    #[test]
    fn a_healthy_run_gets_no_advice() {
        let all = verdicts(&record(0.9, 0.9, 0.5, 0.6, (4.0, 2.5), 0), 32);
        assert_eq!(all.len(), 8);
        assert!(
            all.iter().all(|v| v.state == State::Good && v.advice.is_empty()),
            "{all:?}"
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
        let all = verdicts(&record(1.0, 0.99, 0.97, 0.04, (6.9, 3.9), 5), 32);
        let of = |name: &str| all.iter().find(|v| v.name == name).unwrap();
        assert_eq!(of("Groups have formed").state, State::Bad);
        assert!(of("Groups have formed").advice.contains("teacher_temp"));
        assert_eq!(of("Student and teacher agree").state, State::Bad);
        assert_eq!(of("Group loss has left its start").state, State::Watch);
        assert_eq!(of("Every step was taken").state, State::Bad);
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert!(verdicts(&Record::default(), 32).is_empty());
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
