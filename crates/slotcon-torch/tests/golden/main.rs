//! Golden values of torchvision's operations: every `ops*` case of `fixtures/transfer` and of the folders that
//! `SLOTCON_FIXTURES` adds.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::error::Error;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::{Dtype, SafeTensors};
use slotcon_golden::Case;
use slotcon_torch::{Backend, RoiAlign, channels_last, nms_by};
use tch::{Kind, Tensor};

const BACKENDS: [(Backend, &str); 2] = [(Backend::Fastest, "kernel"), (Backend::Operations, "operations")];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let kind = slotcon_golden::Kind {
        folder: "transfer",
        prefix: "ops",
        ending: ".json",
        beside: &[],
    };
    let trials = slotcon_golden::trials(kind, |case| Ok(trials(case)))?;
    Ok(libtest_mimic::run(&args, trials).exit_code())
}

/// Both operations of a case, by both backends.
fn trials(case: &Case) -> Vec<Trial> {
    type Check = fn(&SafeTensors, Backend) -> Result<(), Failed>;
    let checks: [(&str, Check); 2] = [("roi_align", roi_align), ("nms", nms)];
    let mut trials = Vec::new();
    for (backend, by) in BACKENDS {
        for (what, check) in checks {
            let path = case.with_ending("safetensors");
            trials.push(Trial::test(format!("{}::{what}::{by}", case.name()), move || {
                let bytes = std::fs::read(&path)?;
                check(&SafeTensors::deserialize(&bytes)?, backend)
            }));
        }
    }
    trials
}

fn tensor(file: &SafeTensors, name: &str) -> Result<Tensor, Failed> {
    let view = file.tensor(name)?;
    let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
    let flat = match view.dtype() {
        Dtype::I64 => Tensor::from_slice(
            &view
                .data()
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
                .collect::<Vec<_>>(),
        ),
        _ => Tensor::from_slice(&slotcon_golden::values(file, name).unwrap()),
    };
    Ok(flat.reshape(shape))
}

fn roi_align(file: &SafeTensors, backend: Backend) -> Result<(), Failed> {
    let features = channels_last(&tensor(file, "roi_align.features")?).set_requires_grad(true);
    // Picture, x1, y1, x2, y2.
    let rois = tensor(file, "roi_align.rois")?;
    let (pictures, boxes) = (rois.select(1, 0).to_kind(Kind::Int64), rois.narrow(1, 1, 4));
    let pool = RoiAlign {
        bins: (7, 7),
        scale: 0.25,
        sampling: 0,
        aligned: true,
    };
    let output = pool.apply_by(backend, &features, &boxes, &pictures)?;
    (&output * tensor(file, "roi_align.output_gradient")?)
        .sum(None)
        .backward();
    near("output", &output, &tensor(file, "roi_align.output")?)?;
    near(
        "gradient",
        &features.grad(),
        &tensor(file, "roi_align.features_gradient")?,
    )
}

#[allow(clippy::print_stdout, reason = "a test may say what it saw")]
fn near(what: &str, got: &Tensor, expected: &Tensor) -> Result<(), Failed> {
    let difference = (got - expected).abs().max().double_value(&[]);
    println!("{what}: largest difference {difference:.1e}");
    if difference < 1e-10 {
        Ok(())
    } else {
        Err(format!("{what}: {difference:e} from what was recorded").into())
    }
}

fn nms(file: &SafeTensors, backend: Backend) -> Result<(), Failed> {
    let [boxes, scores, classes] =
        ["boxes", "scores", "classes"].map(|name| tensor(file, &format!("nms.{name}")));
    let (boxes, scores, classes) = (boxes?, scores?, classes?);
    let mut compared = 0;
    for name in file.names() {
        let (groups, threshold) = match (
            name.strip_prefix("nms.keep_"),
            name.strip_prefix("nms.batched_keep_"),
        ) {
            (Some(threshold), _) => (None, threshold),
            (_, Some(threshold)) => (Some(&classes), threshold),
            _ => continue,
        };
        let kept = nms_by(backend, &boxes, &scores, groups, threshold.parse()?)?;
        let (kept, expected) = (
            Vec::<i64>::try_from(kept)?,
            Vec::<i64>::try_from(tensor(file, name)?)?,
        );
        if kept != expected {
            return Err(format!("{name}: kept {kept:?}, recorded {expected:?}").into());
        }
        compared += 1;
    }
    if compared == 0 {
        return Err("no list of kept boxes is recorded".into());
    }
    Ok(())
}
