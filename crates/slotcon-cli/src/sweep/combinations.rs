//! What is varied: keys with their values, and every combination of them.

use anyhow::bail;

/// A key of the recipe and the values that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vary {
    key: String,
    values: Vec<String>,
}

impl Vary {
    /// `section.key=a,b,c`; commas inside brackets part nothing.
    ///
    /// # Errors
    /// Another form, no value, or one twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text}: expected section.key=value,value,…, e.g. model.prototypes=16,24,48");
        let (key, list) = text.split_once('=').ok_or_else(form)?;
        let (mut values, mut depth) = (vec![String::new()], 0i32);
        for c in list.chars() {
            match c {
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    values.push(String::new());
                    continue;
                }
                _ => {}
            }
            if let Some(value) = values.last_mut() {
                value.push(c);
            }
        }
        let values: Vec<String> = values.iter().map(|value| value.trim().to_owned()).collect();
        if key.split('.').count() < 2 || values.iter().any(String::is_empty) {
            return Err(form());
        }
        if let Some(twice) = (1..values.len()).find(|&i| values[..i].contains(&values[i])) {
            return Err(format!("{text}: {} is there twice", values[twice]));
        }
        Ok(Self {
            key: key.trim().to_owned(),
            values,
        })
    }

    /// The settings of its values, one after the other.
    pub fn settings(&self) -> impl Iterator<Item = String> {
        self.values.iter().map(|value| format!("{}={value}", self.key))
    }
}

/// A value for every varied key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// Its settings as one reads them, `the recipe as it is` where nothing is varied.
    pub title: String,
    /// The name of its folder.
    pub folder: String,
    /// `section.key=value` of each.
    pub settings: Vec<String>,
}

/// All of them; the first key changes slowest.
///
/// # Errors
/// A key that is varied twice, or is the seed's; two combinations whose folders would have one name.
pub fn combinations(varied: &[Vary]) -> anyhow::Result<Vec<Combination>> {
    for (i, vary) in varied.iter().enumerate() {
        if vary.key == "run.seed" {
            bail!("--vary run.seed: seeds are given by --seeds N, so that means are over them");
        }
        if varied[..i].iter().any(|other| other.key == vary.key) {
            bail!(
                "--vary {}: is varied twice; give all its values at once",
                vary.key
            );
        }
    }
    let mut all = vec![Vec::new()];
    for vary in varied {
        all = all
            .into_iter()
            .flat_map(|before: Vec<String>| {
                vary.settings()
                    .map(move |setting| [before.clone(), vec![setting]].concat())
            })
            .collect();
    }
    let mut found: Vec<Combination> = Vec::new();
    for settings in all {
        let folder = match settings.is_empty() {
            true => "recipe".into(),
            false => file_name(&settings.join("_")),
        };
        if let Some(other) = found.iter().find(|other| other.folder == folder) {
            bail!(
                "{} and {} would both lie in {folder}: choose values that differ in more than punctuation",
                other.title,
                settings.join(" ")
            );
        }
        found.push(Combination {
            title: match settings.is_empty() {
                true => "the recipe as it is".into(),
                false => settings.join(" "),
            },
            folder,
            settings,
        });
    }
    Ok(found)
}

/// `text` with what not every file system takes replaced.
fn file_name(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "._=-+".contains(c);
    text.chars().map(|c| if keep(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_meets_every_other() {
        let varied = ["model.prototypes=16,24", "run.x=[1, 2],[3]"].map(|text| Vary::parse(text).unwrap());
        let all = combinations(&varied).unwrap();
        let folders: Vec<&str> = all.iter().map(|one| one.folder.as_str()).collect();
        assert_eq!(
            folders,
            [
                "model.prototypes=16_run.x=-1--2-",
                "model.prototypes=16_run.x=-3-",
                "model.prototypes=24_run.x=-1--2-",
                "model.prototypes=24_run.x=-3-"
            ]
        );
        assert_eq!(all[0].settings, ["model.prototypes=16", "run.x=[1, 2]"]);
        assert_eq!(combinations(&[]).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_varied_is_told() {
        for text in [
            "model.prototypes",
            "prototypes=1,2",
            "a.b=",
            "a.b=1,,2",
            "a.b=1,1",
        ] {
            assert!(Vary::parse(text).unwrap_err().contains(text), "{text}");
        }
        let vary = |text| Vary::parse(text).unwrap();
        let refused = |list: &[Vary]| combinations(list).unwrap_err().to_string();
        assert!(refused(&[vary("run.seed=1,2")]).contains("--seeds"));
        assert!(refused(&[vary("a.b=1"), vary("a.b=2")]).contains("twice"));
        assert!(refused(&[vary("a.b=x/y,x y")]).contains("x-y"));
    }
}
