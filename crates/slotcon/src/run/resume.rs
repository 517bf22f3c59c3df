//! Going on with a run: what must be as it was, and what may change.

use toml::{Table, Value};

use crate::error::Error;
use crate::recipe::Recipe;

/// Keys that change neither the pictures nor the arithmetic of a step.
const FREE: [&str; 11] = [
    "data.threads",
    "data.prefetch",
    "data.max_bad",
    "data.read_timeout",
    "run.threads",
    "run.log_every",
    "run.save_every",
    "run.save_every_epochs",
    "run.keep",
    "run.max_bad_steps",
    "run.rank_timeout",
];

/// Keys that may differ between the ranks of a run, since machines do.
const OF_THE_MACHINE: [&str; 3] = ["data.threads", "data.prefetch", "run.threads"];

/// Refuses `now` if it differs from `then`, the recipe of the checkpoint, in anything that the result depends on.
///
/// # Errors
/// The first key that differs, with both values.
pub fn same_run(now: &Recipe, then: &Recipe) -> Result<(), Error> {
    match difference(now, then, &FREE) {
        None => Ok(()),
        Some((what, now, then)) => Err(Error::Differs {
            what,
            now,
            then,
            advice: "resume with the same value, or start another run from these weights with --init-from",
        }),
    }
}

/// Refuses the recipe of `rank` if it is not that of rank 0.
///
/// # Errors
/// The first key that differs, with both values.
pub fn same_on_all_ranks(own: &Recipe, of_first: &Recipe, rank: usize) -> Result<(), Error> {
    match difference(own, of_first, &OF_THE_MACHINE) {
        None => Ok(()),
        Some((what, own, first)) => Err(Error::Ranks(format!(
            "{what} differs between ranks: {first} on rank 0, {own} on rank {rank}; start all ranks alike"
        ))),
    }
}

/// The first key, other than `free` ones, whose values differ: its name and both.
fn difference(a: &Recipe, b: &Recipe, free: &[&str]) -> Option<(String, String, String)> {
    let (a, b) = (flat(a), flat(b));
    let found = a
        .iter()
        .zip(&b)
        .find(|((key, a), (_, b))| a != b && !free.contains(&key.as_str()))?;
    let ((key, a), (_, b)) = found;
    Some((key.clone(), a.to_string(), b.to_string()))
}

/// `section.key` and value, in the order of the recipe.
fn flat(recipe: &Recipe) -> Vec<(String, Value)> {
    let table = Table::try_from(recipe).unwrap_or_default();
    table
        .into_iter()
        .flat_map(|(section, keys)| match keys {
            Value::Table(keys) => keys
                .into_iter()
                .map(|(key, value)| (format!("{section}.{key}"), value))
                .collect(),
            other => vec![(section, other)],
        })
        .collect()
}
