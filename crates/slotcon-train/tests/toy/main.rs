//! A task of some fifty lines, a linear layer on random rows, trains with all that the engine has: it is killed and resumes to
//! the bit, alone and over two ranks. Nothing of it is in the engine.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]
#![allow(
    clippy::exit,
    reason = "a process that the tests start and that hangs must end"
)]

mod task;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use slotcon_torch::distributed::Store;
use slotcon_train::process_group::keep_store;
use slotcon_train::recipe::{Precision, ScheduleName};
use slotcon_train::{
    Checkpoint, Ending, Error, Launch, Options, Outcome, RunDirectory, Start, TaskRecipe, train,
};
use task::{STEPS, Toy, ToyRecipe};

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

/// Processes that train together, and what keeps the store at which they meet: this process, at a port that no other can take in between.
struct Started {
    children: Vec<Child>,
    _store: Option<Store>,
}

/// Starts `ranks` processes that run [`child`], each as `prepare` has it.
fn start(out: &Path, ranks: usize, prepare: impl Fn(usize, &mut Command)) -> Started {
    let store = (ranks > 1).then(|| keep_store("toy/0", Duration::from_secs(60)).unwrap());
    let one = |rank: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child"]).stdout(Stdio::null());
        command.env(OUT, out).env("OMP_NUM_THREADS", "1");
        if let Some(store) = &store {
            command.envs([
                ("RANK", rank.to_string().as_str()),
                ("WORLD_SIZE", ranks.to_string().as_str()),
                ("MASTER_ADDR", "127.0.0.1"),
                ("MASTER_PORT", store.port().to_string().as_str()),
                ("TORCHELASTIC_USE_AGENT_STORE", "True"),
                ("TORCHELASTIC_RUN_ID", "toy"),
                ("TORCHELASTIC_RESTART_COUNT", "0"),
            ]);
        }
        prepare(rank, &mut command);
        command.spawn().unwrap()
    };
    let children = (0..ranks).map(one).collect();
    Started {
        children,
        _store: store,
    }
}

impl Started {
    /// Waits until all have come to a good end.
    fn finish(mut self) {
        for child in &mut self.children {
            let status = child.wait().unwrap();
            assert!(status.success(), "{status}");
        }
    }
}

/// Runs to the end over `ranks`; returns the last checkpoint's bytes.
fn straight(ranks: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    start(&out, ranks, |_, _| ()).finish();
    std::fs::read(RunDirectory::at(&out).last()).unwrap()
}

fn killed_and_resumed(ranks: usize) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut started = start(&out, ranks, |rank, command| {
        if rank == 0 {
            command.env(SLOWLY, "1");
        }
    });
    let children = &mut started.children;
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
    start(&out, ranks, |_, _| ()).finish();
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
    start(&out, 2, |_, command| {
        command.env(BUDGETED, "1");
    })
    .finish();
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
