//! Golden values of NumPy: retrieval and k nearest neighbours of every `neighbours*.json` (`benches/peers/neighbours.py`).

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_data::LabelMap;
use slotcon_data::rng::{Purpose, Stream};
use slotcon_eval::knn;
use slotcon_eval::neighbours::Likeness;
use slotcon_eval::retrieval::Places;
use slotcon_golden as golden;
use slotcon_metrics::neighbours::Vote;
use slotcon_metrics::{Confusion, SemanticScore};
use tch::{Kind, Tensor};

const IGNORE: u16 = 255;
/// Features are float32 here, and the softmax divides cosines by 0.02.
const TOLERANCE: f64 = 2e-5;

#[derive(Deserialize)]
struct Record {
    retrieval: Vec<Retrieval>,
    knn: Knn,
}

#[derive(Deserialize)]
struct Retrieval {
    likeness: String,
    k: usize,
    classes: usize,
    places: usize,
    probabilities: Vec<f64>,
    iou: Vec<Option<f64>>,
    miou: f64,
    pixel_accuracy: f64,
}

#[derive(Deserialize)]
struct Knn {
    classes: usize,
    by_k: Vec<ByK>,
}

#[derive(Deserialize)]
struct ByK {
    k: usize,
    top1: f64,
    top5: f64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let kind = golden::Kind {
        folder: "",
        prefix: "neighbours",
        ending: ".json",
        beside: &[],
    };
    let trials = golden::trials(kind, trials)?;
    Ok(libtest_mimic::run(&args, trials).exit_code())
}

fn trials(case: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let record: Record = serde_json::from_slice(&std::fs::read(&case.file)?)?;
    let tensors = case.with_ending("safetensors");
    let mut trials = Vec::new();
    for (number, retrieval) in record.retrieval.into_iter().enumerate() {
        let (name, tensors) = (
            format!("{}::retrieval ({})", case.name(), retrieval.likeness),
            tensors.clone(),
        );
        trials.push(Trial::test(name, move || {
            compare_retrieval(&retrieval, number, &tensors)
        }));
    }
    let name = format!("{}::knn", case.name());
    trials.push(Trial::test(name, move || compare_knn(&record.knn, &tensors)));
    Ok(trials)
}

/// The tensor `name` of a file.
fn tensor(file: &SafeTensors, name: &str, kind: Kind) -> Result<Tensor, Failed> {
    let view = file.tensor(name)?;
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Ok(Tensor::f_from_data_size(view.data(), &shape, kind)?)
}

fn label_maps(file: &SafeTensors, name: &str) -> Result<Vec<LabelMap>, Failed> {
    let view = file.tensor(name)?;
    let &[_, height, width] = view.shape() else {
        return Err(format!("{name} has shape {:?}", view.shape()).into());
    };
    let map = |ids: &[u8]| {
        let ids = ids.iter().map(|&id| u16::from(id)).collect();
        LabelMap::new(width as u32, height as u32, ids)
    };
    Ok(view.data().chunks_exact(height * width).map(map).collect())
}

fn near(what: &str, ours: f64, theirs: f64) -> Result<(), Failed> {
    match (ours - theirs).abs() <= TOLERANCE {
        true => Ok(()),
        false => Err(format!("{what}: {ours} for {theirs}").into()),
    }
}

fn compare_retrieval(case: &Retrieval, number: usize, tensors: &Path) -> Result<(), Failed> {
    let bytes = std::fs::read(tensors)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let features = |what: &str| tensor(&file, &format!("retrieval{number}.{what}"), Kind::Float);
    let (likeness, vote) = match case.likeness.as_str() {
        "cosine" => (Likeness::Cosine, Vote::Softmax(0.02)),
        "standardised" => (Likeness::Standardised, Vote::Equal),
        other => return Err(format!("likeness {other}").into()),
    };
    let mut places = Places::new(case.classes, IGNORE);
    let memory = features("memory")?;
    for (i, labels) in label_maps(&file, "memory_labels")?.iter().enumerate() {
        let mut random = Stream::new(0, 0, i as u64, Purpose::Positions, 0);
        places.add(&memory.get(i as i64), labels, usize::MAX, &mut random)?;
    }
    let memory = places.remember(likeness, case.k, vote)?;
    if memory.places() != case.places {
        return Err(format!("{} places for {}", memory.places(), case.places).into());
    }

    let queries = features("queries")?;
    let mut confusion = Confusion::new(case.classes, case.classes, IGNORE);
    let mut probabilities: Vec<f32> = Vec::new();
    for (i, labels) in label_maps(&file, "query_labels")?.iter().enumerate() {
        let asked = queries.get(i as i64);
        probabilities.extend(Vec::<f32>::try_from(
            memory.probabilities(&asked)?.flatten(0, -1),
        )?);
        let size = (labels.width(), labels.height());
        confusion.add(labels.ids(), &memory.label(&asked, size)?)?;
    }
    if probabilities.len() != case.probabilities.len() {
        return Err(format!("{} probabilities", probabilities.len()).into());
    }
    for (&ours, &theirs) in probabilities.iter().zip(&case.probabilities) {
        near("probability", f64::from(ours), theirs)?;
    }
    let score = SemanticScore::of(&confusion)?;
    near("mIoU", score.miou, case.miou)?;
    near("pixel accuracy", score.pixel_accuracy, case.pixel_accuracy)?;
    for (ours, theirs) in score.iou.iter().zip(&case.iou) {
        near("IoU", ours.unwrap_or(-1.0), theirs.unwrap_or(-1.0))?;
    }
    Ok(())
}

fn compare_knn(case: &Knn, tensors: &Path) -> Result<(), Failed> {
    let bytes = std::fs::read(tensors)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let side = |what: &str| -> Result<(Tensor, Vec<usize>), Failed> {
        let classes = file.tensor(&format!("knn.{what}_classes"))?;
        let classes = classes.data().iter().map(|&class| usize::from(class)).collect();
        let rows = match what {
            "query" => "knn.queries",
            _ => "knn.memory",
        };
        Ok((tensor(&file, rows, Kind::Float)?, classes))
    };
    let ((memory, memory_classes), (queries, query_classes)) = (side("memory")?, side("query")?);
    let found = knn::measure(
        (&memory, &memory_classes),
        (&queries, &query_classes),
        case.classes,
        case.by_k.iter().map(|by_k| by_k.k).collect(),
        knn::TEMPERATURE,
    )?;
    if found.len() != case.by_k.len() {
        return Err(format!("{found:?}").into());
    }
    for (ours, theirs) in found.iter().zip(&case.by_k) {
        near("k", ours.k as f64, theirs.k as f64)?;
        near("top1", ours.top1, theirs.top1)?;
        near("top5", ours.top5, theirs.top5)?;
    }
    Ok(())
}
