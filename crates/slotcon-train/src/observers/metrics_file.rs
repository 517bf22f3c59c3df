//! `metrics.jsonl`: a line a logged step.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::Observer;
use crate::error::Error;
use crate::metrics::Metrics;

/// `metrics.jsonl`: a line is written whole, and a resumed run drops the lines after its checkpoint.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens `path` and keeps the lines up to `step`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path, step: u64) -> Result<Self, Error> {
        let fail = |action| Error::write(path, action);
        let keep = kept_length(path, step).map_err(fail("cannot read"))?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(fail("cannot open for writing"))?;
        file.set_len(keep)
            .map_err(fail("cannot cut off the lines after the checkpoint"))?;
        Ok(Self {
            path: path.into(),
            file,
        })
    }
}

/// Bytes of the leading lines that are whole and belong to steps up to `step`.
fn kept_length(path: &Path, step: u64) -> std::io::Result<u64> {
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut reader = BufReader::new(file);
    let (mut kept, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        let value: Option<serde_json::Value> = serde_json::from_slice(&line).ok();
        let of = value
            .as_ref()
            .and_then(|v| v.get("step"))
            .and_then(serde_json::Value::as_u64);
        if line.last() != Some(&b'\n') || of.is_none_or(|s| s > step) {
            return Ok(kept);
        }
        kept += read;
    }
}

impl Observer for MetricsFile {
    fn logged(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let fail = |e: std::io::Error| Error::write(&self.path, "cannot write")(e);
        let mut line = serde_json::to_vec(metrics).map_err(|e| fail(e.into()))?;
        line.push(b'\n');
        (&self.file).write_all(&line).map_err(fail)
    }
}
