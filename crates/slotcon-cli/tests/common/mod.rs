//! Running the `slotcon` program as a user does, on scenes that it draws itself.

#![allow(dead_code, reason = "each test uses what it needs")]

pub mod rectangles;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A network that takes a tenth of a second a step.
pub const SETTINGS: [&str; 9] = [
    "data.image_size=64",
    "data.threads=2",
    "model.arch=resnet18",
    "model.dim_hidden=32",
    "model.dim_out=16",
    "model.prototypes=8",
    "optim.batch=4",
    "optim.warmup_epochs=0.5",
    "run.save_every=3",
];

/// What every run has here, so that it computes the same wherever it is tested and tells each step: what `auto` becomes depends on the
/// machine, and what is measured of a run afterwards is in f32.
pub const REPEATABLE: [&str; 3] = ["run.precision=f32", "run.threads=1", "run.log_every=1"];

/// A folder with scenes and room for runs; removed at the end.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// With `pictures` scenes of 64 pixels.
    pub fn new(pictures: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        slotcon_data::scenes::write_folder(&folder.path().join("scenes"), 1, pictures, 1, 64).unwrap();
        Self { folder }
    }

    pub fn pictures(&self) -> PathBuf {
        self.folder.path().join("scenes/images/train")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `slotcon pretrain` of a small network ([`SETTINGS`], [`REPEATABLE`]) into `run`.
    pub fn pretrain(&self, run: &str, more: &[&str]) -> Command {
        let mut command = slotcon();
        command
            .arg("pretrain")
            .arg("--data")
            .arg(self.pictures())
            .arg("--out")
            .arg(self.path(run));
        command.args(["--device", "cpu"]);
        for setting in SETTINGS.into_iter().chain(REPEATABLE) {
            command.args(["--set", setting]);
        }
        command.args(more);
        command
    }

    /// The metrics of `run`, without what depends on the clock.
    pub fn metrics(&self, run: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines
            .map(|mut value| {
                value.as_object_mut().unwrap().remove("pictures_per_second");
                value
            })
            .collect()
    }
}

/// Waits until `child`, which trains into `run`, has logged `steps` steps.
pub fn wait_for(place: &Place, run: &str, steps: usize, child: &mut Child) {
    let start = Instant::now();
    while place.metrics(run).len() < steps {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before step {steps}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "step {steps} was never reached"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts `command`, which trains into `run`, and kills it once it has logged `steps` steps.
pub fn kill_after(command: &mut Command, place: &Place, run: &str, steps: usize) {
    let mut child = command.spawn().unwrap();
    wait_for(place, run, steps, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The program.
pub fn slotcon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotcon"));
    command.stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

/// Runs to the end; it must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs to the end; it must fail without a panic. Returns what it said.
pub fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "expected an error:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// All bytes of a file.
pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
