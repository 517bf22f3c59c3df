//! The run directory: what a run leaves behind, and where.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use slotcon_weights::atomic_file::{UNFINISHED, write_atomically};

use crate::error::Error;

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    root: PathBuf,
}

impl RunDirectory {
    /// The run at `root`, whether it exists or not.
    pub fn at(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything resolved, loadable as it is.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// One JSON object a logged step.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Where and with what it was made, a line a start.
    pub fn environment(&self) -> PathBuf {
        self.root.join("environment.jsonl")
    }

    /// Curves, health, samples: one page.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Details of the last validation as JSON, for tasks that have any.
    pub fn validation(&self) -> PathBuf {
        self.root.join("validation.json")
    }

    /// What was said.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.txt")
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.checkpoints().join("last.safetensors")
    }

    /// The checkpoint with the best validation.
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    /// The best checkpoint, where the task measures, else the newest; none before the first.
    pub fn best_or_last(&self) -> Option<PathBuf> {
        [self.best(), self.last()].into_iter().find(|file| file.exists())
    }

    /// The checkpoint after `step` steps.
    pub fn step(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step:08}.safetensors"))
    }

    /// The numbered checkpoints, the newest first.
    ///
    /// # Errors
    /// What the file system says.
    pub fn numbered(&self) -> Result<Vec<PathBuf>, Error> {
        let mut numbered = self.list(&self.checkpoints(), |name| {
            name.starts_with("step-") && is_checkpoint(name)
        })?;
        numbered.sort();
        numbered.reverse();
        Ok(numbered)
    }

    /// Whether something of a run is here.
    pub fn holds_a_run(&self) -> bool {
        self.recipe().exists() || self.metrics().exists() || self.checkpoints().exists()
    }

    /// Makes the folder itself and keeps other runs out of it for as long as the result lives.
    ///
    /// # Errors
    /// Another run that is using it; what the file system says.
    pub fn lock(&self) -> Result<File, Error> {
        fs::create_dir_all(&self.root).map_err(Error::write(&self.root, "cannot make the folder"))?;
        let folder = File::open(&self.root).map_err(Error::write(&self.root, "cannot open the folder"))?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::InUse(self.root.clone())),
            // A file system without locks (some network ones) cannot tell.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(folder),
        }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(&self) -> Result<(), Error> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(Error::write(&checkpoints, "cannot make the folder"))
    }

    /// Writes the recipe, as an atomic file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_recipe(&self, toml: &str) -> Result<(), Error> {
        let path = self.recipe();
        write_atomically(&path, |unfinished| fs::write(unfinished, toml))
            .map_err(Error::write(&path, "cannot write"))
    }

    /// Writes the details of a validation, as an atomic file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_validation(&self, json: &str) -> Result<(), Error> {
        let path = self.validation();
        write_atomically(&path, |unfinished| fs::write(unfinished, json))
            .map_err(Error::write(&path, "cannot write"))
    }

    /// Removes what an earlier run left here, and nothing else.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear(&self) -> Result<(), Error> {
        let mut files = vec![
            self.recipe(),
            self.metrics(),
            self.log(),
            self.environment(),
            self.report(),
            self.validation(),
        ];
        files.extend(self.list(&self.root, |name| name.starts_with("events.out.tfevents."))?);
        let checkpoints = self.checkpoints();
        files.extend(self.list(&checkpoints, |name| {
            is_checkpoint(name) || name.starts_with(UNFINISHED)
        })?);
        for file in files {
            match fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::write(&file, "cannot remove the old file")(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes `last.safetensors` the checkpoint after `step`, then removes all but the newest `keep` numbered ones
    /// and what a killed program left unfinished.
    ///
    /// # Errors
    /// What the file system says.
    pub fn publish(&self, step: u64, keep: usize) -> Result<(), Error> {
        let folder = self.checkpoints();
        self.link(step, &self.last())?;

        let mut numbered = self.list(&folder, |name| name.starts_with("step-") && is_checkpoint(name))?;
        numbered.sort();
        let old = numbered.len().saturating_sub(keep.max(1));
        let unfinished = self.list(&folder, |name| name.starts_with(UNFINISHED))?;
        for file in numbered.drain(..old).chain(unfinished) {
            fs::remove_file(&file).map_err(Error::write(&file, "cannot remove the old checkpoint"))?;
        }
        Ok(())
    }

    /// Makes the checkpoint after `step` the best one, too.
    ///
    /// # Errors
    /// What the file system says.
    pub fn publish_best(&self, step: u64) -> Result<(), Error> {
        self.link(step, &self.best())
    }

    /// Gives the checkpoint after `step` a second name.
    fn link(&self, step: u64, name: &Path) -> Result<(), Error> {
        let newest = self.step(step);
        let link = self.checkpoints().join(format!("{UNFINISHED}link"));
        let _ = fs::remove_file(&link);
        // A second name costs no space; a file system without hard links gets a copy.
        fs::hard_link(&newest, &link)
            .or_else(|_| fs::copy(&newest, &link).map(drop))
            .and_then(|()| fs::rename(&link, name))
            .map_err(Error::write(name, "cannot write"))
    }

    fn list(&self, folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::write(folder, "cannot list")(e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::write(folder, "cannot list"))?;
            if wanted(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

fn is_checkpoint(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == "safetensors")
}
