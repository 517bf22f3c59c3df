//! When pictures that cannot be used end a run.

use std::collections::VecDeque;

use super::LoaderConfig;
use super::worker::Filling;
use crate::error::{Error, Result};

/// How many of the last bad pictures an error names.
const NAMED: usize = 3;

/// Counts pictures in the order of the batches, so that the judgement, too, does not depend on the threads.
#[derive(Debug)]
pub(super) struct BadPolicy {
    allowed: f64,
    grace: u64,
    seen: u64,
    bad: u64,
    last: VecDeque<String>,
}

impl BadPolicy {
    pub(super) fn new(config: &LoaderConfig) -> Result<Self> {
        let allowed = config.max_bad_fraction;
        if !(0.0..=1.0).contains(&allowed) {
            return Err(Error::Setting {
                name: "max_bad_fraction",
                value: allowed.to_string(),
                expected: "must be from 0 (none) to 1 (any number)",
            });
        }
        Ok(Self {
            allowed,
            grace: config.bad_grace,
            seen: 0,
            bad: 0,
            last: VecDeque::new(),
        })
    }

    pub(super) fn counts(&self) -> (u64, u64) {
        (self.seen, self.bad)
    }

    /// Refuses a batch for which no replacement was found, or with which there are too many bad pictures.
    pub(super) fn judge<I>(&mut self, made: &Filling<I>) -> Result<()> {
        self.seen += made.tried;
        self.bad += made.bad_count();
        for bad in made.bad() {
            self.last.push_back(bad.to_string());
            if self.last.len() > NAMED {
                self.last.pop_front();
            }
        }
        let too_many = self.seen >= self.grace && self.bad as f64 > self.allowed * self.seen as f64;
        if !too_many && !made.hopeless {
            return Ok(());
        }
        let last = self
            .last
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ");
        Err(Error::TooManyBad {
            bad: self.bad,
            seen: self.seen,
            allowed: self.allowed,
            last,
        })
    }
}
