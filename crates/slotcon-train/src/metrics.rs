//! Everything known about a logged step, over all ranks.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Figures by name, in the order in which they are shown. A name may have one slash: what comes before it is the group.
pub type Numbers = Vec<(Cow<'static, str>, f64)>;

/// One logged step. Its keys in `metrics.jsonl` are for scripts to rely on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics {
    /// Steps done, this one included.
    pub step: u64,
    /// Passes over the data so far.
    pub epoch: f64,
    /// Loss of this step's batch.
    pub loss: f64,
    /// Its parts.
    pub losses: Numbers,
    /// Learning rate of this step.
    pub lr: f64,
    /// Loss scale (f16 only; 1 otherwise).
    pub loss_scale: f64,
    /// Steps skipped so far because something was not finite.
    pub skipped_steps: u64,
    /// Pictures replaced so far because they could not be used.
    pub bad_pictures: u64,
    /// Since the last logged step.
    pub pictures_per_second: f64,
    /// The task's own figures, of this step's batch.
    pub task: Numbers,
    /// Of a validation after this step, in the group `validation`; empty where there was none.
    pub validation: Numbers,
    /// In a few words, for people; not stored.
    pub summary: String,
}

impl Metrics {
    /// The task's figure, loss part or validation figure of this name.
    pub fn number(&self, name: &str) -> Option<f64> {
        let all = self.losses.iter().chain(&self.task).chain(&self.validation);
        all.into_iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// Every figure with its name, in order; those of a group are `group/name`.
    pub fn numbers(&self) -> Numbers {
        let mut all = Numbers::new();
        let mut add = |name: &'static str, value: f64| all.push((name.into(), value));
        add("step", self.step as f64);
        add("epoch", self.epoch);
        add("loss", self.loss);
        all.extend(self.losses.iter().cloned());
        let mut add = |name: &'static str, value: f64| all.push((name.into(), value));
        add("lr", self.lr);
        add("loss_scale", self.loss_scale);
        add("skipped_steps", self.skipped_steps as f64);
        add("bad_pictures", self.bad_pictures as f64);
        add("pictures_per_second", self.pictures_per_second);
        all.extend(self.task.iter().cloned());
        all.extend(self.validation.iter().cloned());
        all
    }
}

/// As one object; the figures of a group are an object in it. Numbers that are not finite are null.
impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = self.numbers();
        let mut map = serializer.serialize_map(None)?;
        let mut written: Vec<&str> = Vec::new();
        for (name, value) in &numbers {
            match (name.as_ref(), name.split_once('/')) {
                // Counts are whole numbers in the file, too.
                ("step", _) => map.serialize_entry("step", &self.step)?,
                ("skipped_steps", _) => map.serialize_entry("skipped_steps", &self.skipped_steps)?,
                ("bad_pictures", _) => map.serialize_entry("bad_pictures", &self.bad_pictures)?,
                (name, None) => map.serialize_entry(name, value)?,
                (_, Some((group, _))) if written.contains(&group) => {}
                (_, Some((group, _))) => {
                    written.push(group);
                    map.serialize_entry(
                        group,
                        &Group {
                            group,
                            numbers: &numbers,
                        },
                    )?;
                }
            }
        }
        map.end()
    }
}

/// The figures of one group.
struct Group<'a> {
    group: &'a str,
    numbers: &'a Numbers,
}

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.numbers.iter().filter_map(|(name, value)| {
            let (group, name) = name.split_once('/')?;
            (group == self.group).then_some((name, value))
        });
        serializer.collect_map(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_become_objects_and_what_is_not_finite_null() {
        let metrics = Metrics {
            step: 10,
            loss: f64::NAN,
            losses: vec![("slot_loss".into(), 2.0)],
            task: vec![
                ("groups/in_use".into(), 0.5),
                ("momentum".into(), 0.99),
                ("groups/balance".into(), 1.0),
            ],
            ..Metrics::default()
        };
        assert_eq!(
            serde_json::to_string(&metrics).unwrap(),
            r#"{"step":10,"epoch":0.0,"loss":null,"slot_loss":2.0,"lr":0.0,"loss_scale":0.0,"skipped_steps":0,"bad_pictures":0,"pictures_per_second":0.0,"groups":{"in_use":0.5,"balance":1.0},"momentum":0.99}"#
        );
        assert_eq!(metrics.number("groups/in_use"), Some(0.5));
    }
}
