//! Measures the data pipeline without libtorch:
//! `cargo run --release -p slotcon-data --example bench_data -- --data FOLDER [--threads N] [--seconds S] [--json]`.

use std::process::ExitCode;
use std::sync::Arc;

use slotcon_data::bench::{BenchConfig, run};
use slotcon_data::{AugmentConfig, Dataset, Layout};

fn main() -> ExitCode {
    let (mut roots, mut config, mut json) = (Vec::new(), BenchConfig::default(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut number = || arguments.next().and_then(|v| v.parse::<f64>().ok());
        match name.as_str() {
            "--data" => roots.extend(arguments.next().map(Into::into)),
            "--threads" => config.threads = number().unwrap_or(1.0) as usize,
            "--seconds" => config.seconds = number().unwrap_or(10.0),
            "--json" => json = true,
            other => {
                eprintln!("{other}: unknown; give --data FOLDER, --threads N, --seconds S, --json");
                return ExitCode::FAILURE;
            }
        }
    }
    let report = Dataset::open(&roots, Layout::Folder)
        .and_then(|data| run(&Arc::new(data), &AugmentConfig::default(), &config));
    match report {
        Ok(report) if json => println!("{}", serde_json::json!(report)),
        Ok(report) => println!("{report:#?}"),
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
