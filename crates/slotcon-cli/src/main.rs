//! The `slotcon` command: one file a subcommand.

mod demo;
mod evaluate;
mod pretrain;
mod segment;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Pretrain(args) => pretrain::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Segment(args) => segment::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
