//! Writes a folder of synthetic scenes: `cargo run --release -p slotcon-data --example draw_scenes -- FOLDER [COUNT]`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), count) = (arguments.next(), arguments.next()) else {
        eprintln!("give the folder to write, and how many scenes (default 16)");
        return ExitCode::FAILURE;
    };
    let count = count.and_then(|c| c.parse().ok()).unwrap_or(16);
    match slotcon_data::scenes::write_folder(Path::new(&folder), 0, count, count / 4, 160) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
