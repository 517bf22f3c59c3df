//! `slotcon inspect`: what a file with weights is.

use std::path::PathBuf;

use serde_json::json;
use slotcon::interop::{Inspection, inspect};

use crate::arguments::{JsonArg, weights_of};
use crate::status::Status;

/// Say what a file is (a checkpoint of this program or of the official one, safetensors, a file of torch.save, a pickle with
/// arrays), its architecture, step and recipe, and every tensor with shape, type and norm. No code in it is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: JsonArg,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that is not read.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let found = inspect(&weights_of(&args.file)?)?;
    if args.output.json {
        out!("{}", as_json(&found));
    } else {
        out!("{}", table(&found).trim_end());
    }
    Ok(Status::DONE)
}

fn as_json(found: &Inspection) -> serde_json::Value {
    let tensors: Vec<_> = found
        .tensors
        .iter()
        // JSON has no NaN or infinity: such a norm is null.
        .map(|t| json!({"name": t.name, "shape": t.shape, "dtype": t.dtype, "norm": t.norm}))
        .collect();
    json!({
        "kind": found.kind.name(),
        "arch": found.arch,
        "step": found.step,
        "written_by": found.written_by,
        "recipe": found.recipe,
        "tensors": tensors,
    })
}

fn table(found: &Inspection) -> String {
    let unknown = || "-".to_owned();
    let mut text = format!(
        "kind     {}\narch     {}\nstep     {}\ntensors  {}\n",
        found.kind.name(),
        found.arch.clone().unwrap_or_else(unknown),
        found.step.map_or_else(unknown, |n| n.to_string()),
        found.tensors.len()
    );
    if let Some(program) = found.written_by.as_deref().filter(|p| !p.is_empty()) {
        text += &format!("by       {program}\n");
    }
    if let Some(recipe) = &found.recipe {
        text += "recipe\n";
        for line in recipe.lines() {
            text += &format!("  {line}\n");
        }
    }
    let widest = found.tensors.iter().map(|t| t.name.len()).max().unwrap_or(0);
    for t in &found.tensors {
        let shape = format!("{:?}", t.shape);
        text += &format!("{:<widest$}  {shape:<20} {:<9} {:.6e}\n", t.name, t.dtype, t.norm);
    }
    text
}
