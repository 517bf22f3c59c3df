//! The `slotcon` command: one file a subcommand.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

/// Prints a line to standard output. A reader that has gone (`| head`) ends the program without a word: it has what it wanted.
macro_rules! out {
    ($($text:tt)*) => {
        crate::display::line(format_args!($($text)*))
    };
}

mod arguments;
mod bench;
mod demo;
mod detect;
mod display;
mod embed;
mod evaluate;
mod export;
mod finetune;
mod group;
mod import;
mod inspect;
mod pretrain;
mod progress_bar;
mod ranks;
mod report;
mod results;
mod run_arguments;
mod segment;
mod slots;
mod status;
mod sweep;
mod what_next;

use clap::{Parser, Subcommand};
use slotcon_train::process_group::heartbeat::{rank_tag, report_failure};

use crate::status::Status;

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
    Finetune(finetune::Args),
    Demo(demo::Args),
    Evaluate(evaluate::Args),
    Segment(segment::Args),
    Detect(detect::Args),
    Group(group::Args),
    Slots(slots::Args),
    Report(report::Args),
    Embed(embed::Args),
    Export(export::Args),
    Import(import::Args),
    Inspect(inspect::Args),
    Bench(bench::Args),
    Sweep(sweep::Args),
}

fn main() {
    std::panic::set_hook(Box::new(complain));
    slotcon_torch::keep_freed_memory();
    let outcome = match Cli::parse().command {
        Command::Pretrain(args) => pretrain::run(args),
        Command::Finetune(args) => finetune::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Segment(args) => segment::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Group(args) => group::run(&args),
        Command::Slots(args) => slots::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Sweep(args) => sweep::run(&args),
    };
    let status = outcome.unwrap_or_else(|error| {
        eprintln!("{}error: {}", rank_tag(), told_once(&error));
        Status::FAILED
    });
    status.end()
}

/// An error with its causes, each told once: messages of our own errors have those of their causes in them already.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match () {
            () if text.is_empty() => cause,
            () if text.contains(&cause) => text,
            () => format!("{text}: {cause}"),
        }
    })
}

/// Says what a panic is about: its first line, since those of libtorch carry a C++ stack trace. One that is handled where it
/// happens (a picture's decoder, a refusal of libtorch in a step) is none of a user's business. One that is not ends a rank
/// at once, with the others told: its threads may wait for them for ever.
fn complain(info: &std::panic::PanicHookInfo) {
    if slotcon_data::caught::is_handled() {
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
    let tag = rank_tag();
    eprintln!("{tag}error: {first}{place}");
    if !tag.is_empty() {
        report_failure(first);
        slotcon_torch::end_process(101);
    }
}
