//! Going on with a run: what must be as it was, and what may change.

use std::collections::BTreeMap;

use toml::Value;

use crate::error::Error;
use crate::recipe::{LoadingRecipe, RecipeError, TaskRecipe, table};

/// Keys that change neither the pictures nor the arithmetic of a step, beside those of loading and the task's own.
const FREE: [&str; 11] = [
    "run.threads",
    // A run may be made longer; what follows from it is told.
    "run.steps",
    "run.epochs",
    "run.stop_at",
    "run.log_every",
    "run.save_every",
    "run.save_every_epochs",
    "run.keep",
    "run.patience",
    "run.max_bad_steps",
    "run.rank_timeout",
];

/// Keys that may differ between the ranks of a run, since machines do.
const OF_THE_MACHINE: [&str; 3] = ["data.threads", "data.prefetch", "run.threads"];

/// Refuses `now` if it differs from `then`, the recipe of the checkpoint, in anything that the result depends on.
///
/// # Errors
/// The first key that differs, with both values.
pub fn same_run<R: TaskRecipe>(now: &R, then: &R) -> Result<(), Error> {
    let free = [&FREE[..], &LoadingRecipe::KEYS, R::FREE].concat();
    match difference(now, then, &free)? {
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
pub fn same_on_all_ranks<R: TaskRecipe>(own: &R, of_first: &R, rank: usize) -> Result<(), Error> {
    match difference(own, of_first, &OF_THE_MACHINE)? {
        None => Ok(()),
        Some((what, own, first)) => Err(Error::ProcessGroup(format!(
            "{what} differs between ranks: {first} on rank 0, {own} on rank {rank}; start all ranks alike"
        ))),
    }
}

/// The first key, other than `free` ones, whose values differ: its name and both.
#[allow(clippy::type_complexity, reason = "a name and two values")]
fn difference<R: TaskRecipe>(
    a: &R,
    b: &R,
    free: &[&str],
) -> Result<Option<(String, String, String)>, RecipeError> {
    let (a, b) = (by_key(a)?, by_key(b)?);
    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".into(), Value::to_string);
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    let differs = |key: &&String| a.get(*key) != b.get(*key) && !free.contains(&key.as_str());
    let found = keys.into_iter().find(differs);
    Ok(found.map(|key| (key.clone(), text(a.get(key)), text(b.get(key)))))
}

/// Values by `section.key`.
fn by_key<R: TaskRecipe>(recipe: &R) -> Result<BTreeMap<String, Value>, RecipeError> {
    let mut all = BTreeMap::new();
    for (section, keys) in table(recipe)? {
        match keys {
            Value::Table(keys) => all.extend(
                keys.into_iter()
                    .map(|(key, value)| (format!("{section}.{key}"), value)),
            ),
            other => drop(all.insert(section, other)),
        }
    }
    Ok(all)
}
