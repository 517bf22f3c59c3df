//! Where and with what a run was made: one line for each time that it was started or resumed.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slotcon_data::source::readable;
use tch::Device;

use crate::error::Error;
use crate::{device, machine};

/// One start of a run; a line of `environment.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When, with the zone.
    pub time: String,
    /// Version of slotcon.
    pub version: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// In words.
    pub device: String,
    /// Threads of libtorch.
    pub threads: i64,
    /// Cores that the program may use.
    pub cores: usize,
    /// Operating system and processor family.
    pub system: String,
    /// Folders of pictures, absolute where that is known; see [`readable`] for names that are no text.
    pub data: Vec<String>,
    /// Pictures in them.
    pub pictures: u64,
    /// What lies beside the pictures and was not taken, in sentences.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Steps done before.
    pub from_step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
}

impl Session {
    /// What is so now.
    pub fn now(device: Device, data: &[PathBuf], pictures: u64, from_step: u64, total_steps: u64) -> Self {
        let absolute = |path: &PathBuf| readable(&std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        Self {
            time: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            libtorch: LIBTORCH.into(),
            device: device::describe(device),
            threads: i64::from(tch::get_num_threads()),
            cores: machine::cores(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            data: data.iter().map(absolute).collect(),
            pictures,
            left_out: Vec::new(),
            from_step,
            total_steps,
        }
    }

    /// Adds it to the file at `path`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&self, path: &Path) -> Result<(), Error> {
        let fail = |e: std::io::Error| Error::write(path, "cannot write")(e);
        let mut line = serde_json::to_vec(self).map_err(|e| fail(e.into()))?;
        line.push(b'\n');
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(&line)).map_err(fail)
    }

    /// All sessions in the file at `path`, the first one first; lines that cannot be read are left out, and a file that is
    /// not there holds none.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, Error> {
        match std::fs::read_to_string(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(Error::write(path, "cannot read")(e)),
            Ok(text) => Ok(text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()),
        }
    }
}

/// The version that this program is built for; another one is refused when it is compiled.
const LIBTORCH: &str = "2.11.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("environment.jsonl");
        assert_eq!(Session::read_all(&path).unwrap(), []);
        let first = Session::now(Device::Cpu, &["photos".into()], 10, 0, 100);
        let second = Session::now(Device::Cpu, &["photos".into()], 10, 40, 100);
        first.append(&path).unwrap();
        second.append(&path).unwrap();
        assert!(Path::new(&first.data[0]).is_absolute());
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"half a li").unwrap();
        assert_eq!(Session::read_all(&path).unwrap(), [first, second]);
    }
}
