//! What a run has written while it went: `metrics.jsonl` and `log.txt`, read line by line in bounded memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::series::Series;

/// Longest line that is read; ours have a few hundred bytes.
const LINE: u64 = 1 << 16;

/// What is kept of `metrics.jsonl`: some curves, how many lines, the last of them.
#[derive(Debug, Clone, Default)]
pub struct Record {
    curves: Vec<(&'static str, Series)>,
    /// Logged steps.
    pub lines: u64,
    /// Lines that are no logged step.
    pub unreadable: u64,
    /// The last logged step.
    pub last: Option<Value>,
}

impl Record {
    /// Reads the curves of `keys` from `path`; a dot in a key leads into a section. A file that is not there is an empty
    /// record.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn read(path: &Path, keys: &[&'static str]) -> Result<Self, Error> {
        let mut record = Self {
            curves: keys.iter().map(|&key| (key, Series::default())).collect(),
            ..Self::default()
        };
        each_line(path, |line| record.add(line))?;
        Ok(record)
    }

    fn add(&mut self, line: &[u8]) {
        let value: Option<Value> = serde_json::from_slice(line).ok();
        let Some((value, step)) = value.and_then(|v| {
            let step = v.get("step")?.as_f64()?;
            Some((v, step))
        }) else {
            self.unreadable += u64::from(!line.is_empty());
            return;
        };
        for (key, curve) in &mut self.curves {
            let at = key.split('.').try_fold(&value, |v, part| v.get(part));
            if let Some(number) = at.and_then(Value::as_f64) {
                curve.push(step, number);
            }
        }
        self.lines += 1;
        self.last = Some(value);
    }

    /// The curve of `key`; empty for a key that was not asked for.
    pub fn curve(&self, key: &str) -> Series {
        let found = self.curves.iter().find(|(k, _)| *k == key);
        found.map(|(_, series)| series.clone()).unwrap_or_default()
    }

    /// A whole number of the last logged step; 0 if there is none.
    pub fn count(&self, key: &str) -> u64 {
        self.last
            .as_ref()
            .and_then(|v| v.get(key))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }
}

/// Lines of one kind: how many, the first and the last of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// How many there are.
    pub count: u64,
    first: Vec<String>,
    last: VecDeque<String>,
}

/// Lines kept at each end.
const ENDS: usize = 12;

impl Lines {
    fn push(&mut self, line: &str) {
        self.count += 1;
        if self.first.len() < ENDS {
            self.first.push(line.to_owned());
            return;
        }
        self.last.push_back(line.to_owned());
        if self.last.len() > ENDS {
            self.last.pop_front();
        }
    }

    /// The first and the last of them.
    pub fn ends(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.last).map(String::as_str)
    }

    /// Lines between the first and the last that were not kept.
    pub fn left_out(&self) -> u64 {
        self.count - (self.first.len() + self.last.len()) as u64
    }
}

/// All of `log.txt`.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Pictures that could not be used.
    pub pictures: Lines,
    /// Every other warning.
    pub warnings: Lines,
    /// The time of the first line.
    pub begun: Option<String>,
    /// The time of the last line.
    pub ended: Option<String>,
}

impl Log {
    /// Reads `path`; a file that is not there is an empty log.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut log = Self::default();
        each_line(path, |line| log.add(&String::from_utf8_lossy(line)))?;
        Ok(log)
    }

    fn add(&mut self, line: &str) {
        // "2026-11-23 07:23:52+00:00 WARNING text"
        let Some((date, time, text)) = line.split_once(' ').and_then(|(date, rest)| {
            let (time, text) = rest.split_once(' ')?;
            Some((date, time, text))
        }) else {
            return;
        };
        let stamp = format!("{date} {time}");
        self.begun.get_or_insert_with(|| stamp.clone());
        self.ended = Some(stamp);
        if let Some(warning) = text.strip_prefix("WARNING ") {
            match warning.strip_prefix("picture replaced: ") {
                Some(picture) => self.pictures.push(picture),
                None => self.warnings.push(&format!("{time} {warning}")),
            }
        }
    }
}

/// Hands over each line without its end. Overlong lines are cut.
fn each_line(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
    let fail = |source| Error::Read {
        path: path.into(),
        source,
    };
    let mut reader = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => BufReader::new(other.map_err(fail)?),
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(LINE)
            .read_until(b'\n', &mut line)
            .map_err(fail)?;
        if read == 0 {
            return Ok(());
        }
        take(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_and_rubbish_are_counted_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text = "{\"step\":1,\"loss\":3.5,\"groups\":{\"in_use\":0.5}}\nrubbish\n{\"step\":2,\"loss\":null}\n{\"step\":3,\"lo";
        std::fs::write(&path, text).unwrap();
        let record = Record::read(&path, &["loss", "groups.in_use"]).unwrap();
        assert_eq!((record.lines, record.unreadable), (2, 2));
        assert_eq!(record.curve("loss").last(), Some(3.5));
        assert_eq!(record.curve("groups.in_use").last(), Some(0.5));
        assert_eq!(record.count("step"), 2);
        let none = Record::read(&folder.path().join("none"), &["loss"]).unwrap();
        assert_eq!((none.lines, none.curve("loss").last()), (0, None));
    }

    #[test]
    fn a_log_of_a_million_warnings_stays_small() {
        let mut log = Log::default();
        log.add("2026-01-01 10:00:00+00:00 slotcon: begins");
        for i in 0..1_000_000 {
            log.add(&format!(
                "2026-01-01 10:00:01+00:00 WARNING picture replaced: {i}.jpg: is empty"
            ));
        }
        log.add("2026-01-01 10:00:02+00:00 WARNING 3 of the steps up to 40 skipped");
        assert_eq!(
            (log.pictures.count, log.pictures.ends().count()),
            (1_000_000, 2 * ENDS)
        );
        assert_eq!(log.pictures.left_out(), 1_000_000 - 24);
        assert_eq!(log.pictures.ends().last(), Some("999999.jpg: is empty"));
        assert_eq!(
            log.warnings.ends().next(),
            Some("10:00:02+00:00 3 of the steps up to 40 skipped")
        );
        assert_eq!(log.begun.as_deref(), Some("2026-01-01 10:00:00+00:00"));
        assert_eq!(log.ended.as_deref(), Some("2026-01-01 10:00:02+00:00"));
    }
}
