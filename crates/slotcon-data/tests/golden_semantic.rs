//! Golden values of OpenCV and MMSegmentation: resizing of pictures and labels, photometric stages and HSV of every `ops*.json`
//! in the folder `transfer`, to the byte.

use std::error::Error;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_data::augment::photometric::{Photometric, to_hsv};
use slotcon_data::resize::opencv::{Region, resize_linear, resize_nearest};
use slotcon_golden::{Case, Kind};

/// The stages of a record; those without them say nothing about them.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    photometric: Vec<Stages>,
}

#[derive(Deserialize, Clone, Copy)]
struct Stages {
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: i32,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let kind = Kind {
        folder: "transfer",
        prefix: "ops",
        ending: ".json",
        beside: &[],
    };
    let trials = slotcon_golden::trials(kind, trials)?;
    Ok(libtest_mimic::run(&args, trials).exit_code())
}

/// What a trial does with the tensors of its record.
type Check = Box<dyn Fn(&SafeTensors) -> Result<(), Failed> + Send>;

fn trials(case: &Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let Record { photometric } = serde_json::from_slice(&std::fs::read(&case.file)?)?;
    let tensors = case.with_ending("safetensors");
    let bytes = std::fs::read(&tensors)?;
    let names = SafeTensors::deserialize(&bytes)?;
    let mut trials = Vec::new();
    let mut add = |what: String, run: Check| {
        let tensors = tensors.clone();
        trials.push(Trial::test(format!("{}::{what}", case.name()), move || {
            let bytes = std::fs::read(&tensors)?;
            run(&SafeTensors::deserialize(&bytes)?)
        }));
    };
    let ratios = names.names().into_iter().filter_map(|name| {
        let ratio = name.strip_prefix("resize.")?.strip_suffix(".picture_rgb")?;
        Some(ratio.to_owned())
    });
    for ratio in ratios {
        add(
            format!("resize {ratio}"),
            Box::new(move |file| resize(file, &ratio)),
        );
    }
    for (number, stages) in photometric.into_iter().enumerate() {
        add(
            format!("photometric {number}"),
            Box::new(move |file| distort(file, number, stages)),
        );
    }
    if names.tensor("hsv.bgr").is_ok() {
        add("hsv".into(), Box::new(hsv));
    }
    Ok(trials)
}

/// Bytes of a tensor with its height and width.
fn bytes<'a>(file: &'a SafeTensors, name: &str) -> Result<(&'a [u8], (u32, u32)), Failed> {
    let view = file.tensor(name)?;
    let &[height, width, ..] = view.shape() else {
        return Err(format!("{name} has shape {:?}", view.shape()).into());
    };
    Ok((view.data(), (width as u32, height as u32)))
}

/// How many values differ, and by how much at most.
fn same(what: &str, found: &[u8], wanted: &[u8]) -> Result<(), Failed> {
    if found.len() != wanted.len() {
        return Err(format!("{what}: {} bytes instead of {}", found.len(), wanted.len()).into());
    }
    let differences = found.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b));
    let (count, most) = differences.fold((0, 0), |(count, most), d| {
        (count + usize::from(d > 0), most.max(d))
    });
    if count == 0 {
        Ok(())
    } else {
        Err(format!(
            "{what}: {count} of {} values differ, by {most} at most",
            found.len()
        )
        .into())
    }
}

fn resize(file: &SafeTensors, ratio: &str) -> Result<(), Failed> {
    let (rgb, size) = bytes(file, "resize.picture_rgb")?;
    let (wanted, new) = bytes(file, &format!("resize.{ratio}.picture_rgb"))?;
    let all = Region::all(new.0, new.1);
    let mut found = vec![0; wanted.len()];
    resize_linear(rgb, size, new, all, false, &mut found, new.0 as usize);
    same("picture", &found, wanted)?;
    let (labels, _) = bytes(file, "resize.labels")?;
    let (wanted, _) = bytes(file, &format!("resize.{ratio}.labels"))?;
    let mut found = vec![0; wanted.len()];
    resize_nearest(labels, size, new, all, false, &mut found, new.0 as usize);
    same("labels", &found, wanted)
}

fn distort(file: &SafeTensors, number: usize, stages: Stages) -> Result<(), Failed> {
    let (rgb, (width, _)) = bytes(file, "resize.picture_rgb")?;
    let mut found = rgb.to_vec();
    let none = Photometric::default();
    for (name, stage) in [
        (
            "brightness",
            Photometric {
                brightness: Some(stages.brightness),
                ..none
            },
        ),
        (
            "contrast",
            Photometric {
                contrast: Some(stages.contrast),
                ..none
            },
        ),
        (
            "saturation",
            Photometric {
                saturation: Some(stages.saturation),
                ..none
            },
        ),
        (
            "hue",
            Photometric {
                hue: Some(stages.hue),
                ..none
            },
        ),
    ] {
        let before = found.clone();
        found
            .chunks_exact_mut(width as usize * 3)
            .for_each(|row| stage.apply(row));
        let (wanted, _) = bytes(file, &format!("photometric.{number}.{name}_rgb"))?;
        if let Err(error) = same(name, &found, wanted) {
            let at = found.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(0) / 3 * 3;
            return Err(format!(
                "{}; first {:?} became {:?}, wanted {:?}",
                error.message().unwrap_or_default(),
                &before[at..at + 3],
                &found[at..at + 3],
                &wanted[at..at + 3]
            )
            .into());
        }
    }
    Ok(())
}

fn hsv(file: &SafeTensors) -> Result<(), Failed> {
    let (bgr, _) = bytes(file, "hsv.bgr")?;
    let (wanted, _) = bytes(file, "hsv.hsv")?;
    let found = Vec::from_iter(
        bgr.chunks_exact(3)
            .flat_map(|bgr| to_hsv([bgr[2], bgr[1], bgr[0]].map(f32::from)).map(|v| v as u8)),
    );
    same("hsv", &found, wanted)
}
