//! Going on with a run: what must be as it was, and what may change.

use toml::{Table, Value};

use crate::error::Error;
use crate::recipe::Recipe;

/// Keys that change neither the pictures nor the arithmetic of a step.
const FREE: [&str; 10] = [
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
];

/// Refuses `now` if it differs from `then`, the recipe of the checkpoint, in anything that the result depends on.
///
/// # Errors
/// The first key that differs, with both values.
pub fn same_run(now: &Recipe, then: &Recipe) -> Result<(), Error> {
    let (now, then) = (flat(now), flat(then));
    let different = now
        .iter()
        .zip(&then)
        .find(|((key, a), (_, b))| a != b && !FREE.contains(&key.as_str()));
    match different {
        None => Ok(()),
        Some(((key, now), (_, then))) => Err(Error::Differs {
            what: key.clone(),
            now: now.to_string(),
            then: then.to_string(),
            advice: "resume with the same value, or start another run from these weights with --init-from",
        }),
    }
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
