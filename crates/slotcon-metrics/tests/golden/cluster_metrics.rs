//! Golden values of SciPy's assignment and of the scores that follow: every case of every `cluster_metrics*.json` in
//! the fixtures folder.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use slotcon_metrics::cluster_score::ClusterScore;
use slotcon_metrics::confusion::Confusion;
use slotcon_metrics::matching::Protocol;

const IGNORE: u16 = 255;
const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Case {
    classes: usize,
    clusters: usize,
    images: usize,
    assignment: Vec<(usize, usize)>,
    iou: Vec<Option<f64>>,
    miou: f64,
    pixel_accuracy: f64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("SLOTCON_FIXTURES")
        .map_or_else(|| root.join("../shared/fixtures"), |value| root.join(value));
    let mut trials = if folder.is_dir() {
        trials(&folder)?
    } else {
        Vec::new()
    };
    if trials.is_empty() {
        eprintln!(
            "IGNORED: no cluster_metrics*.json in {}; set SLOTCON_FIXTURES to a folder that has them",
            folder.display()
        );
        trials.push(Trial::test("cluster_metrics (no fixtures)", || Ok(())).with_ignored_flag(true));
    }
    Ok(libtest_mimic::run(&args, trials).exit_code())
}

fn trials(folder: &Path) -> Result<Vec<Trial>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(stem) = name
            .strip_suffix(".json")
            .filter(|stem| stem.starts_with("cluster_metrics"))
        {
            files.push((stem.to_owned(), entry.path()));
        }
    }
    files.sort();
    let mut trials = Vec::new();
    for (stem, file) in files {
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(&file)?)?;
        for (index, case) in cases.into_iter().enumerate() {
            let tensors = file.with_extension("safetensors");
            let name = format!(
                "{stem}::case{index} ({} classes, {} clusters)",
                case.classes, case.clusters
            );
            trials.push(Trial::test(name, move || run(&case, index, &tensors)));
        }
    }
    Ok(trials)
}

fn run(case: &Case, index: usize, tensors: &Path) -> Result<(), Failed> {
    let bytes = std::fs::read(tensors)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let label = maps(&file, &format!("case{index}.label"))?;
    let prediction = maps(&file, &format!("case{index}.prediction"))?;
    check(label.len() == case.images, || {
        format!("{} maps for {} images", label.len(), case.images)
    })?;

    // Counted in two parts, as several threads would.
    let mut confusion = Confusion::new(case.classes, case.clusters, IGNORE);
    let mut second = confusion.clone();
    for (i, (label, prediction)) in label.iter().zip(&prediction).enumerate() {
        let part = if i % 2 == 0 { &mut confusion } else { &mut second };
        part.add(label, prediction)?;
    }
    confusion.merge(&second)?;
    let score = ClusterScore::of(&confusion, Protocol::Hungarian).ok_or("no pixel was counted")?;

    // Pairs without a common pixel are arbitrary where several are left over.
    let sure = |pairs: &[(usize, usize)]| -> Vec<(usize, usize)> {
        pairs
            .iter()
            .copied()
            .filter(|&(class, cluster)| confusion.count(class, cluster) > 0)
            .collect()
    };
    let ours = score.assignment.pairs();
    check(ours.len() == case.assignment.len(), || {
        format!("{ours:?} for {:?}", case.assignment)
    })?;
    check(sure(&ours) == sure(&case.assignment), || {
        format!("{ours:?} for {:?}", case.assignment)
    })?;

    check(score.iou.len() == case.iou.len(), || {
        format!("{} IoUs for {}", score.iou.len(), case.iou.len())
    })?;
    for (class, (ours, theirs)) in score.iou.iter().zip(&case.iou).enumerate() {
        let equal = match (ours, theirs) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() <= TOLERANCE,
            (None, None) => true,
            _ => false,
        };
        check(equal, || format!("IoU of class {class}: {ours:?} for {theirs:?}"))?;
    }
    for (name, ours, theirs) in [
        ("mIoU", score.miou, case.miou),
        ("pixel accuracy", score.pixel_accuracy, case.pixel_accuracy),
    ] {
        check((ours - theirs).abs() <= TOLERANCE, || {
            format!("{name}: {ours} for {theirs}")
        })?;
    }
    Ok(())
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// The maps of a `[pictures, height, width]` tensor of bytes.
fn maps(file: &SafeTensors, name: &str) -> Result<Vec<Vec<u16>>, Failed> {
    let view = file.tensor(name)?;
    let &[_, height, width] = view.shape() else {
        return Err(format!("{name} has shape {:?}", view.shape()).into());
    };
    check(view.dtype() == Dtype::U8, || {
        format!("{name} is {:?}", view.dtype())
    })?;
    let maps = view.data().chunks_exact(height * width);
    Ok(maps
        .map(|map| map.iter().map(|&id| u16::from(id)).collect())
        .collect())
}
