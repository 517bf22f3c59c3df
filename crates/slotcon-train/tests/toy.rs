//! A task of some fifty lines, a linear layer on random rows, trains with all that the engine has: it is killed and resumes to
//! the bit, alone and over two ranks. Nothing of it is in the engine.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]
#![allow(
    clippy::exit,
    reason = "a process that the tests start and that hangs must end"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use slotcon_data::BadPicture;
use slotcon_nn::{Init, Store};
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use slotcon_train::recipe::{
    LoadingRecipe, OptimRecipe, OptimizerName, Precision, Published, RunRecipe, ScheduleName,
};
use slotcon_train::task::{Batches, Forward, Part, Position, Share, Validation};
use slotcon_train::{
    Checkpoint, Ending, Error, Launch, Numbers, Options, Outcome, RecipeError, RunDirectory, Start, Task,
    TaskRecipe, train,
};
use tch::{Device, Kind, Tensor};

// The task.

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ToyRecipe {
    data: LoadingRecipe,
    optim: OptimRecipe,
    run: RunRecipe,
}

impl Default for ToyRecipe {
    fn default() -> Self {
        let optim = OptimRecipe {
            optimizer: OptimizerName::Sgd,
            batch: 8,
            base_lr: 0.2,
            lr_batch: 0,
            warmup_epochs: 1.0,
            ..OptimRecipe::default()
        };
        let run = RunRecipe {
            steps: STEPS,
            save_every: 5,
            validate_every: 20,
            rank_timeout: 20.0,
            ..RunRecipe::default()
        };
        let data = LoadingRecipe::default();
        Self { data, optim, run }
    }
}

impl TaskRecipe for ToyRecipe {
    const TASK: &'static str = "toy";
    const PUBLISHED: &'static [Published] = &[];

    fn check(&self) -> Result<(), RecipeError> {
        self.optim.check()?;
        self.run.check(&self.optim)
    }
    fn optim(&self) -> &OptimRecipe {
        &self.optim
    }
    fn run(&self) -> &RunRecipe {
        &self.run
    }
    fn run_mut(&mut self) -> &mut RunRecipe {
        &mut self.run
    }
    fn loading(&self) -> &LoadingRecipe {
        &self.data
    }
}

/// Rows whose values follow from the step and the rank.
struct Rows {
    share: Share,
    step: u64,
}

impl Batches for Rows {
    type Batch = Tensor;

    fn steps_per_epoch(&self) -> u64 {
        10
    }
    fn next(&mut self, _: &Stopwatch) -> Result<(Tensor, Vec<BadPicture>), Error> {
        let first =
            self.step as usize * self.share.batch * self.share.ranks + self.share.rank * self.share.batch;
        let value = |i: usize| (((first * 4 + i) * 7919 % 1000) as f32) / 500.0 - 1.0;
        self.step += 1;
        let values = Vec::from_iter((0..self.share.batch * 4).map(value));
        Ok((Tensor::from_slice(&values).reshape([-1, 4]), Vec::new()))
    }
}

struct Toy {
    store: Store,
    weight: Tensor,
}

impl Task for Toy {
    type Recipe = ToyRecipe;
    type Sources = ();
    type Data = ();
    type Batches = Rows;
    type Output = Tensor;

    fn open(_: &(), _: &ToyRecipe) -> Result<(), Error> {
        Ok(())
    }
    fn samples(_: &()) -> u64 {
        80
    }
    fn folders(_: &()) -> Vec<PathBuf> {
        Vec::new()
    }
    fn new(_: &ToyRecipe, _: &(), device: Device, ranks: &Ranks) -> Result<Self, Error> {
        let store = Store::across(device, Kind::Float, ranks.clone());
        let weight = store.root().parameter("weight", &[1, 4], Init::Normal(1.0));
        Ok(Self { store, weight })
    }
    fn batches(_: &ToyRecipe, _: &(), share: &Share, _: Device) -> Result<Rows, Error> {
        let (share, step) = (*share, share.first_step);
        Ok(Rows { share, step })
    }
    fn store(&self) -> &Store {
        &self.store
    }
    fn forward(&mut self, rows: &Tensor, part: Part, _: Option<Kind>) -> Result<Forward<Tensor>, Error> {
        let range = part.range(rows.size()[0] as usize);
        let rows = rows.narrow(0, range.start as i64, range.len() as i64);
        // What is to be found: the sum of a row.
        let found = rows.linear(&self.weight, None::<Tensor>).squeeze();
        let loss = (&found - rows.sum_dim_intlist(1, false, None))
            .square()
            .mean(None);
        let parts = vec![("squared_loss", loss.shallow_clone())];
        Ok(Forward {
            loss,
            parts,
            output: found,
        })
    }
    fn metrics(&self, found: &Tensor, _: Position, _: &Ranks) -> Result<Numbers, Error> {
        Ok(vec![("sums/mean".into(), found.mean(None).double_value(&[]))])
    }
    fn description(&self) -> String {
        "a linear layer".into()
    }
    fn validates(&self) -> bool {
        true
    }
    fn validate(&mut self, _: Option<Kind>) -> Result<Option<Validation>, Error> {
        let error = (&self.weight - 1.0).square().mean(None).double_value(&[]);
        let numbers = vec![("error".into(), error)];
        Ok(Some(Validation {
            numbers,
            score: -error,
            details: None,
            warnings: Vec::new(),
        }))
    }
}

// The test.

const STEPS: u64 = 60;
const OUT: &str = "SLOTCON_TOY_OUT";
const SLOWLY: &str = "SLOTCON_TOY_SLOWLY";
const BUDGETED: &str = "SLOTCON_TOY_BUDGETED";

fn run(out: &Path, start: Start, launch: Launch) -> Result<Outcome, Error> {
    run_as(ToyRecipe::default(), out, start, launch)
}

fn run_as(recipe: ToyRecipe, out: &Path, start: Start, launch: Launch) -> Result<Outcome, Error> {
    run_for(recipe, out, start, launch, None)
}

fn run_for(
    recipe: ToyRecipe,
    out: &Path,
    start: Start,
    launch: Launch,
    budget: Option<Duration>,
) -> Result<Outcome, Error> {
    let options = Options {
        start,
        launch,
        budget,
        device: "cpu".into(),
        ..Options::new(out)
    };
    train::<Toy>(Some(recipe), &(), &options).map_err(|error| error.source)
}

/// The body of the processes that the tests start; nothing in the test run itself.
#[test]
fn child() {
    let Some(out) = std::env::var_os(OUT) else { return };
    if std::env::var_os(SLOWLY).is_some() {
        // Time enough to be killed in.
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(60));
            std::process::exit(3);
        });
        let checkpoint = RunDirectory::at(Path::new(&out)).step(15);
        while_watched(&checkpoint);
    }
    let budget = std::env::var_os(BUDGETED).map(|_| Duration::from_millis(500));
    run_for(
        ToyRecipe::default(),
        Path::new(&out),
        Start::ResumeOrNew,
        Launch::from_environment().unwrap(),
        budget,
    )
    .unwrap();
}

/// Ends this process the hard way as soon as `checkpoint` is there.
fn while_watched(checkpoint: &Path) {
    let checkpoint = checkpoint.to_path_buf();
    std::thread::spawn(move || {
        loop {
            if checkpoint.exists() {
                // What `kill -9` does, from inside: nothing is flushed, nobody is told.
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    });
}

fn command(out: &Path, rank: usize, ranks: usize, port: u16) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child"])
        .env(OUT, out)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.env("OMP_NUM_THREADS", "1");
    if ranks > 1 {
        command
            .env("RANK", rank.to_string())
            .env("WORLD_SIZE", ranks.to_string());
        command
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string());
    }
    command
}

fn start(out: &Path, rank: usize, ranks: usize, port: u16, slowly: bool) -> Child {
    let mut command = command(out, rank, ranks, port);
    if slowly {
        command.env(SLOWLY, "1");
    }
    command.spawn().unwrap()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Runs to the end over `ranks`; returns the last checkpoint's bytes.
fn straight(ranks: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    finish(&out, ranks);
    std::fs::read(RunDirectory::at(&out).last()).unwrap()
}

fn finish(out: &Path, ranks: usize) {
    let port = free_port();
    let children = Vec::from_iter((0..ranks).map(|rank| start(out, rank, ranks, port, false)));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

fn killed_and_resumed(ranks: usize) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let port = free_port();
    let mut children = Vec::from_iter((0..ranks).map(|rank| start(&out, rank, ranks, port, rank == 0)));
    let begun = Instant::now();
    let killed = children[0].wait().unwrap();
    assert!(!killed.success(), "{killed}: it was not killed in time");
    for child in &mut children[1..] {
        let _ = child.kill();
        let _ = child.wait();
    }
    assert!(begun.elapsed() < Duration::from_secs(50));
    let last = Checkpoint::<ToyRecipe>::open(&RunDirectory::at(&out).last()).unwrap();
    assert!((5..STEPS).contains(&last.progress.step), "{}", last.progress.step);
    finish(&out, ranks);
    let bytes = std::fs::read(RunDirectory::at(&out).last()).unwrap();
    assert!(
        bytes == straight(ranks),
        "a resumed run ends in another checkpoint"
    );
}

#[test]
fn alone_it_is_killed_and_resumes_to_the_bit() {
    killed_and_resumed(1);
}

#[test]
fn over_two_ranks_it_is_killed_and_resumes_to_the_bit() {
    killed_and_resumed(2);
}

#[test]
fn it_may_end_before_its_schedules_and_go_on_along_them() {
    let folder = tempfile::tempdir().unwrap();
    let (early, whole) = (folder.path().join("early"), folder.path().join("whole"));
    let mut recipe = ToyRecipe::default();
    recipe.run.stop_at = 20;
    let outcome = run_as(recipe, &early, Start::New, Launch::default()).unwrap();
    assert_eq!((outcome.step, outcome.end, outcome.total_steps), (20, 20, STEPS));
    assert!(!outcome.stopped());
    let outcome = run(&early, Start::Resume, Launch::default()).unwrap();
    assert_eq!((outcome.step, outcome.end), (STEPS, STEPS));
    run(&whole, Start::New, Launch::default()).unwrap();
    let metrics = |out: &Path| std::fs::read_to_string(RunDirectory::at(out).metrics()).unwrap();
    let last = |out: &Path| {
        let line = metrics(out).lines().last().unwrap().to_owned();
        let mut line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line.as_object_mut().unwrap().remove("pictures_per_second");
        line
    };
    assert_eq!(last(&early), last(&whole));
}

#[test]
fn without_a_better_validation_it_ends_when_patience_does() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut recipe = ToyRecipe::default();
    // Too small a rate to change a weight: no validation is better than the first.
    (recipe.optim.base_lr, recipe.optim.schedule) = (1e-30, ScheduleName::Constant);
    (recipe.run.validate_every, recipe.run.patience) = (5, 2);
    let outcome = run_as(recipe, &out, Start::New, Launch::default()).unwrap();
    assert_eq!((outcome.step, outcome.ending), (15, Ending::Patience));
    assert!(!outcome.stopped());
    let best = Checkpoint::<ToyRecipe>::open(&RunDirectory::at(&out).best()).unwrap();
    assert_eq!(best.progress.step, 5);
    // One that learns is not ended.
    let mut recipe = ToyRecipe::default();
    (recipe.run.validate_every, recipe.run.patience) = (20, 1);
    let outcome = run_as(recipe, &out, Start::Overwrite, Launch::default()).unwrap();
    assert_eq!((outcome.step, outcome.ending), (STEPS, Ending::Done));
}

/// The length that the recipe in `out` says.
fn length(out: &Path) -> u64 {
    let text = std::fs::read_to_string(RunDirectory::at(out).recipe()).unwrap();
    ToyRecipe::from_toml(&text, "recipe.toml").unwrap().run.steps
}

#[test]
fn a_budget_of_time_becomes_a_number_of_steps_in_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let budget = Some(Duration::from_millis(300));
    let outcome = run_for(ToyRecipe::default(), &out, Start::New, Launch::default(), budget).unwrap();
    assert_eq!(
        (outcome.step, outcome.ending),
        (outcome.total_steps, Ending::Done)
    );
    // A step of the toy takes less than the 5 ms of which 60 would fill the budget.
    assert!(outcome.total_steps > STEPS, "{}", outcome.total_steps);
    assert_eq!(length(&out), outcome.total_steps);
    // A run that goes on has its length already.
    let recipe = Checkpoint::<ToyRecipe>::open(&outcome.checkpoint).unwrap().recipe;
    let again = run_for(recipe, &out, Start::Resume, Launch::default(), budget).unwrap();
    assert_eq!(
        (again.step, again.total_steps),
        (outcome.step, outcome.total_steps)
    );
}

#[test]
fn ranks_take_the_same_number_of_steps_from_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let port = free_port();
    let children = Vec::from_iter((0..2).map(|rank| {
        let mut command = command(&out, rank, 2, port);
        command.env(BUDGETED, "1").spawn().unwrap()
    }));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let last = Checkpoint::<ToyRecipe>::open(&RunDirectory::at(&out).last()).unwrap();
    assert_eq!(last.progress.step, length(&out));
}

#[test]
fn the_number_format_that_auto_became_is_the_one_a_run_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let auto = |steps| {
        let mut recipe = ToyRecipe::default();
        (recipe.run.precision, recipe.run.steps) = (Precision::Auto, steps);
        recipe
    };
    run_as(auto(10), &out, Start::New, Launch::default()).unwrap();
    let written = || {
        let text = std::fs::read_to_string(RunDirectory::at(&out).recipe()).unwrap();
        ToyRecipe::from_toml(&text, "recipe.toml").unwrap().run.precision
    };
    let became = written();
    assert_ne!(became, Precision::Auto);
    // As if it had begun on another machine.
    let other = [Precision::F32, Precision::Bf16]
        .into_iter()
        .find(|p| *p != became);
    let mut recipe = auto(10);
    recipe.run.precision = other.unwrap();
    run_as(recipe, &out, Start::Overwrite, Launch::default()).unwrap();
    run_as(auto(20), &out, Start::Resume, Launch::default()).unwrap();
    assert_eq!(Some(written()), other);
}

#[test]
fn it_learns_and_leaves_what_every_run_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let outcome = run(&out, Start::New, Launch::default()).unwrap();
    let last = outcome.last.unwrap();
    assert!(last.loss < 1e-2, "{last:?}");
    assert_eq!(last.number("squared_loss"), Some(last.loss));
    assert!(last.number("sums/mean").is_some() && last.number("validation/error").unwrap() < 1e-2);
    let directory = RunDirectory::at(&out);
    for path in [
        directory.recipe(),
        directory.metrics(),
        directory.log(),
        directory.environment(),
        directory.best(),
    ] {
        assert!(path.exists(), "{}", path.display());
    }
    let lines = std::fs::read_to_string(directory.metrics()).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    for key in [
        "step",
        "epoch",
        "loss",
        "lr",
        "squared_loss",
        "pictures_per_second",
        "skipped_steps",
        "sums",
    ] {
        assert!(first.get(key).is_some(), "{key} is not in {first}");
    }
    let best = Checkpoint::<ToyRecipe>::open(&directory.best()).unwrap();
    assert_eq!(best.progress.best.unwrap().step, STEPS);
    // A run in the same place is an error that leaves it alone.
    assert!(matches!(
        run(&out, Start::New, Launch::default()),
        Err(Error::Exists(_))
    ));
}

#[test]
fn parts_of_a_batch_make_the_same_step_as_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let weights = [1, 4].map(|accumulate| {
        let out = folder.path().join(format!("{accumulate}"));
        let mut recipe = ToyRecipe::default();
        (recipe.optim.accumulate, recipe.run.steps) = (accumulate, 20);
        let options = Options {
            device: "cpu".into(),
            ..Options::new(&out)
        };
        let outcome = train::<Toy>(Some(recipe), &(), &options).unwrap();
        let file = slotcon_weights::WeightFile::open(&outcome.checkpoint).unwrap();
        file.tensors[0].1.shallow_clone()
    });
    let distance = (&weights[0] - &weights[1]).abs().max().double_value(&[]);
    assert!(distance < 1e-6, "{distance}");
}
