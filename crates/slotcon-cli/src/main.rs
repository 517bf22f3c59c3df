//! The `slotcon` command: one file a subcommand.

mod arguments;
mod bench;
mod demo;
mod embed;
mod evaluate;
mod export;
mod import;
mod inspect;
mod pretrain;
mod progress_bar;
mod ranks;
mod report;
mod segment;
mod slots;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use slotcon::run::crew;

/// Learn visual representations and semantic groups from unlabelled photos (SlotCon, arXiv 2205.15288).
#[derive(Debug, Parser)]
#[command(name = "slotcon", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pretrain(pretrain::Args),
    Demo(demo::Args),
    Evaluate(evaluate::Args),
    Segment(segment::Args),
    Slots(slots::Args),
    Report(report::Args),
    Embed(embed::Args),
    Export(export::Args),
    Import(import::Args),
    Inspect(inspect::Args),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(complain));
    slotcon_torch::keep_freed_memory();
    let outcome = match Cli::parse().command {
        Command::Pretrain(args) => pretrain::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Segment(args) => segment::run(&args),
        Command::Slots(args) => slots::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let tag = crew::watch::tag();
            eprintln!("{tag}error: {error:#}");
            if !tag.is_empty() {
                // Threads may wait for other ranks for ever: nothing is torn down.
                slotcon_torch::end_process(1);
            }
            ExitCode::FAILURE
        }
    }
}

/// libtorch's refusals reach us as panics with a C++ stack trace; their first line is what a user needs. What breaks a
/// picture's decoder is handled where it happens.
fn complain(info: &std::panic::PanicHookInfo) {
    if std::thread::current()
        .name()
        .is_some_and(|name| name.starts_with("loader-"))
    {
        return;
    }
    let payload = info.payload();
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(payload.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("unknown").replace("\\n", "\n");
    let first = text.lines().next().unwrap_or_default();
    let place = info
        .location()
        .map(|l| format!(" ({}:{})", l.file(), l.line()))
        .unwrap_or_default();
    let tag = crew::watch::tag();
    eprintln!("{tag}error: {first}{place}");
    if first.contains("out of memory") || first.contains("can't allocate memory") {
        eprintln!("lower optim.batch, data.image_size or model.dim_hidden, or use run.precision = \"bf16\"");
    }
    if !tag.is_empty() {
        crew::watch::last_words(first);
        slotcon_torch::end_process(101);
    }
}
