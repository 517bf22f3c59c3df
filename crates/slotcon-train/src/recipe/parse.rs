//! From TOML text and `section.key=value` settings to a recipe; unknown keys are refused with the nearest known.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::TaskRecipe;

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither a published recipe nor a file.
    #[error("no recipe named '{name}' and no such file; published recipes: {known}{hint}")]
    Unknown {
        /// As given.
        name: String,
        /// All published names.
        known: String,
        /// The nearest of them, if any is near.
        hint: String,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{place}: {reason}")]
    Syntax {
        /// The file or the setting.
        place: String,
        /// Line, key and what was expected.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key '{key}'{hint}")]
    UnknownKey {
        /// The file or the setting.
        place: String,
        /// With its section.
        key: String,
        /// The nearest known key.
        hint: String,
    },
    /// A value that cannot work, or two that contradict each other.
    #[error("{key} = {value}: {reason}")]
    Value {
        /// With its section.
        key: String,
        /// As given.
        value: String,
        /// What would be right.
        reason: String,
    },
}

/// See [`TaskRecipe::load`].
pub(super) fn load<R: TaskRecipe>(name: &str, settings: &[String]) -> Result<R, RecipeError> {
    let (place, text) = source::<R>(name)?;
    let mut table = text.parse::<Table>().map_err(|e| syntax(&place, &e))?;
    drop_retired::<R>(&mut table)?;
    known_keys::<R>(&place, &table)?;
    typed::<R>(&place, &table)?;
    set::<R>(&mut table, settings)?;
    let recipe: R = typed(&place, &table)?;
    recipe.check()?;
    Ok(recipe)
}

/// See [`TaskRecipe::with`].
pub(super) fn with<R: TaskRecipe>(recipe: &R, settings: &[String]) -> Result<R, RecipeError> {
    let mut table = table(recipe)?;
    set::<R>(&mut table, settings)?;
    let recipe: R = typed("the settings", &table)?;
    recipe.check()?;
    Ok(recipe)
}

/// See [`TaskRecipe::from_toml`].
pub(super) fn from_toml<R: TaskRecipe>(text: &str, place: &str) -> Result<R, RecipeError> {
    let mut table = text.parse::<Table>().map_err(|e| syntax(place, &e))?;
    drop_retired::<R>(&mut table)?;
    known_keys::<R>(place, &table)?;
    typed(place, &table)
}

/// See [`TaskRecipe::to_toml`].
pub(super) fn to_toml<R: TaskRecipe>(recipe: &R) -> Result<String, RecipeError> {
    toml::to_string_pretty(recipe).map_err(|e| unwritable(&e))
}

/// Every key with its value, by section.
pub(crate) fn table<R: TaskRecipe>(recipe: &R) -> Result<Table, RecipeError> {
    Table::try_from(recipe).map_err(|e| unwritable(&e))
}

fn unwritable(error: &toml::ser::Error) -> RecipeError {
    RecipeError::Syntax {
        place: "the recipe".into(),
        reason: format!("it cannot be written as TOML: {error}"),
    }
}

fn source<R: TaskRecipe>(name: &str) -> Result<(String, String), RecipeError> {
    if let Some(recipe) = R::PUBLISHED.iter().find(|r| r.name == name) {
        return Ok((format!("recipe {name}"), recipe.text.into()));
    }
    let path = Path::new(name);
    if path.exists() {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Read {
            path: path.into(),
            source,
        })?;
        return Ok((path.display().to_string(), text));
    }
    let names: Vec<&str> = R::PUBLISHED.iter().map(|r| r.name).collect();
    let hint = did_you_mean(name, names.iter().copied());
    Err(RecipeError::Unknown {
        name: name.into(),
        known: names.join(", "),
        hint,
    })
}

/// The task's defaults with `given` over them.
fn typed<R: TaskRecipe>(place: &str, given: &Table) -> Result<R, RecipeError> {
    let over_defaults = |change: Table| -> Result<Table, RecipeError> {
        let mut all = table(&R::default())?;
        merge(&mut all, change);
        Ok(all)
    };
    let wrong = |section: &str, e: toml::de::Error| RecipeError::Syntax {
        place: place.into(),
        reason: format!("[{section}] {}", e.message()),
    };
    // Section by section first, so that an error can name it.
    for (section, value) in given {
        let alone = Table::from_iter([(section.clone(), value.clone())]);
        let alone: Result<R, _> = over_defaults(alone)?.try_into();
        alone.map_err(|e| wrong(section, e))?;
    }
    over_defaults(given.clone())?
        .try_into()
        .map_err(|e| syntax(place, &e))
}

fn syntax(place: &str, error: &toml::de::Error) -> RecipeError {
    RecipeError::Syntax {
        place: place.into(),
        reason: error.to_string().trim_end().into(),
    }
}

/// Keys that say the same in another unit and would have the last word: whoever sets the first means that.
const OVERRULED: [(&str, &str, &[&str]); 2] = [
    ("run", "epochs", &["steps", "stop_at"]),
    ("optim", "warmup_epochs", &["warmup_steps"]),
];

/// Puts `section.key=value` settings over `table`, each over those before it.
fn set<R: TaskRecipe>(table: &mut Table, settings: &[String]) -> Result<(), RecipeError> {
    for setting in settings {
        let place = format!("--set {setting}");
        let mut change = parse_setting(setting, &place)?;
        known_keys::<R>(&place, &change)?;
        for (section, key, others) in OVERRULED {
            let section = change.get_mut(section).and_then(Value::as_table_mut);
            if let Some(section) = section.filter(|section| section.contains_key(key)) {
                section.extend(others.iter().map(|&other| (other.to_owned(), Value::Integer(0))));
            }
        }
        merge(table, change);
        typed::<R>(&place, table)?;
    }
    Ok(())
}

/// `section.key=value`; a value that is not TOML is taken as a string, so that no quoting is needed in a shell.
fn parse_setting(setting: &str, place: &str) -> Result<Table, RecipeError> {
    let malformed = || RecipeError::Syntax {
        place: place.into(),
        reason: "expected section.key=value, e.g. optim.batch=64".into(),
    };
    let (key, value) = setting.split_once('=').ok_or_else(malformed)?;
    if key.split('.').count() < 2 {
        return Err(malformed());
    }
    let (key, value) = (key.trim(), value.trim());
    format!("{key} = {value}")
        .parse::<Table>()
        .or_else(|_| format!("{key} = {}", Value::from(value)).parse::<Table>())
        .map_err(|e| syntax(place, &e))
}

/// Puts `change` over `table`, section by section.
fn merge(table: &mut Table, change: Table) {
    for (key, value) in change {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Takes out what an older program wrote, where it asked for nothing.
fn drop_retired<R: TaskRecipe>(table: &mut Table) -> Result<(), RecipeError> {
    for retired in R::RETIRED {
        let Some((section, key)) = retired.key.split_once('.') else {
            continue;
        };
        let section = table.get_mut(section).and_then(Value::as_table_mut);
        let Some(value) = section.and_then(|section| section.remove(key)) else {
            continue;
        };
        let number = value.as_float().or(value.as_integer().map(|n| n as f64));
        if let Some(without) = retired.without
            && number != Some(without)
        {
            return Err(RecipeError::Value {
                key: retired.key.into(),
                value: value.to_string(),
                reason: format!("this program has no {}; only {without} can be read", retired.what),
            });
        }
    }
    Ok(())
}

/// Refuses keys that the complete default recipe does not have.
fn known_keys<R: TaskRecipe>(place: &str, given: &Table) -> Result<(), RecipeError> {
    let all = table(&R::default())?;
    let unknown = |key: String, known: Vec<String>| RecipeError::UnknownKey {
        place: place.into(),
        hint: did_you_mean(&key, known.iter().map(String::as_str)),
        key,
    };
    let every_key = || {
        all.iter()
            .flat_map(|(section, keys)| {
                let keys = keys.as_table().into_iter().flat_map(Table::keys);
                keys.map(move |key| format!("{section}.{key}"))
            })
            .collect::<Vec<_>>()
    };
    for (section, value) in given {
        let Some(Value::Table(keys)) = all.get(section) else {
            return Err(unknown(
                section.clone(),
                all.keys().cloned().chain(every_key()).collect(),
            ));
        };
        let Value::Table(given) = value else {
            return Err(RecipeError::Syntax {
                place: place.into(),
                reason: format!("'{section}' is a section: write [{section}] and its keys below"),
            });
        };
        if let Some(key) = given.keys().find(|key| !keys.contains_key(*key)) {
            return Err(unknown(format!("{section}.{key}"), every_key()));
        }
    }
    Ok(())
}

/// "; did you mean …?" for the nearest of `known`, or all of them when none is near.
fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let bare = |s: &str| s.rsplit('.').next().unwrap_or(s).to_string();
    known
        .map(|k| {
            (
                strsim::jaro_winkler(name, k).max(strsim::jaro_winkler(&bare(name), &bare(k)) - 0.01),
                k,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, k)| format!("; did you mean '{k}'?"))
}
