//! `log.txt`: what was said, with the time.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Level, Observer};
use crate::error::Error;

/// Appends to the log of a run.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens `path` for appending.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(Error::write(path, "cannot open for writing"))?;
        Ok(Self {
            path: path.into(),
            file,
        })
    }
}

impl Observer for LogFile {
    fn said(&mut self, level: Level, text: &str) -> Result<(), Error> {
        let time = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S%:z");
        let mark = if level == Level::Warning { "WARNING " } else { "" };
        writeln!(self.file, "{time} {mark}{text}").map_err(Error::write(&self.path, "cannot write"))
    }
}
