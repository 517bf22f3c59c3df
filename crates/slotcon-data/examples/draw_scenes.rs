//! Writes a folder of drawn scenes with their label maps: `cargo run --release -p slotcon-data --example draw_scenes -- FOLDER`.

use std::path::PathBuf;

use clap::Parser;

/// Write a folder of drawn scenes with their label maps.
#[derive(Debug, Parser)]
struct Args {
    /// The folder to write.
    folder: PathBuf,
    /// How many scenes to learn from; a quarter as many are held out.
    #[arg(default_value_t = 16)]
    count: u64,
    /// Side of a scene in pixels.
    #[arg(long, default_value_t = 160)]
    size: u32,
    /// Seed of the scenes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> Result<(), slotcon_data::Error> {
    let args = Args::parse();
    slotcon_data::scenes::write_folder(&args.folder, args.seed, args.count, args.count / 4, args.size)
}
