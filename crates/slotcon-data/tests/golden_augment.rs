//! The augmentation against golden values: every view of every `augment*.json` / `.safetensors` of `fixtures/` and of the
//! folders that `SLOTCON_FIXTURES` adds.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_data::Picture;
use slotcon_data::augment::color::{self, Change};
use slotcon_data::augment::{JitterOp, ViewPlan, Workspace, blur, make_view};
use slotcon_data::geometry::{CropBox, mirror_coords, overlap_coords};
use slotcon_data::resize::{Filter, Scratch, resize_crop};
use slotcon_golden::{self as golden, Kind};

#[derive(Clone, Deserialize)]
struct Case {
    image: usize,
    view: usize,
    box_top_left_height_width: [u32; 4],
    size: u32,
    flip: bool,
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: f64,
    sigma: f64,
    order: Vec<String>,
    grayscale: bool,
    blur: bool,
    solarize: bool,
}

impl Case {
    fn crop(&self) -> CropBox {
        let [top, left, height, width] = self.box_top_left_height_width;
        CropBox {
            top,
            left,
            height,
            width,
        }
    }

    fn plan(&self) -> Result<ViewPlan, Failed> {
        let op = |name: &String| match name.as_str() {
            "brightness" => Ok(JitterOp::Brightness(self.brightness)),
            "contrast" => Ok(JitterOp::Contrast(self.contrast)),
            "saturation" => Ok(JitterOp::Saturation(self.saturation)),
            "hue" => Ok(JitterOp::Hue(self.hue)),
            other => Err(format!("unknown operation {other} in the fixture's order")),
        };
        let ops: Vec<JitterOp> = self.order.iter().map(op).collect::<Result<_, _>>()?;
        Ok(ViewPlan {
            crop: self.crop(),
            flip: self.flip,
            jitter: Some(
                ops.try_into()
                    .map_err(|_| "the order must name four operations")?,
            ),
            gray: self.grayscale,
            blur: self.blur.then_some(self.sigma),
            solarize: self.solarize.then_some(128),
        })
    }
}

/// Fails unless every value is the golden one.
fn compare(what: &str, got: &[u8], want: &[u8]) -> Result<(), Failed> {
    if got.len() != want.len() {
        return Err(format!("{what}: {} values instead of {}", got.len(), want.len()).into());
    }
    let gaps = || got.iter().zip(want).map(|(a, b)| a.abs_diff(*b));
    let (most, wrong) = (gaps().max().unwrap_or(0), gaps().filter(|&gap| gap > 0).count());
    if wrong > 0 {
        return Err(format!("{what}: {wrong} of {} values differ, by up to {most}", got.len()).into());
    }
    Ok(())
}

fn run_case(tensors: &SafeTensors, case: &Case, other: &Case) -> Result<(), Failed> {
    let name = |suffix: &str| format!("image{}.crop{}{suffix}", case.image, case.view);
    let golden = |suffix: &str| -> Result<&[u8], Failed> { Ok(tensors.tensor(&name(suffix))?.data()) };
    let source = tensors.tensor(&format!("image{}", case.image))?;
    let picture = Picture::new(
        source.shape()[1] as u32,
        source.shape()[0] as u32,
        source.data().to_vec(),
    );
    let side = case.size as usize;

    let mut crop = vec![0; side * side * 3];
    resize_crop(
        &picture,
        &case.crop(),
        (case.size, case.size),
        Filter::Bicubic,
        false,
        &mut crop,
        &mut Scratch::default(),
    );
    compare(&name(""), &crop, golden("")?)?;

    let alone = |suffix: &str, op: &dyn Fn(&mut [u8])| -> Result<(), Failed> {
        let mut view = golden("")?.to_vec();
        op(&mut view);
        compare(&name(suffix), &view, golden(suffix)?)
    };
    let change = |suffix: &str, change: Change| alone(suffix, &|v| color::apply(v, &[change]));
    change(
        ".brightness",
        Change::Jitter(JitterOp::Brightness(case.brightness)),
    )?;
    change(".contrast", Change::Jitter(JitterOp::Contrast(case.contrast)))?;
    change(
        ".saturation",
        Change::Jitter(JitterOp::Saturation(case.saturation)),
    )?;
    change(".hue", Change::Jitter(JitterOp::Hue(case.hue)))?;
    change(".grayscale", Change::Gray)?;
    change(".solarize", Change::Solarize(128))?;
    alone(".blur", &|v| {
        blur::gaussian_blur(v, side, side, case.sigma, &mut blur::Scratch::default());
    })?;

    // The golden view is normalised and has its channels first.
    let want = tensors.tensor(&format!("image{}.view{}", case.image, case.view))?;
    let want: Vec<f32> = want
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let mut bytes = vec![0; side * side * 3];
    for (i, byte) in bytes.iter_mut().enumerate() {
        let (pixel, channel) = (i / 3, i % 3);
        *byte = ((want[channel * side * side + pixel] * std[channel] + mean[channel]) * 255.0).round() as u8;
    }
    let mut view = vec![0; side * side * 3];
    make_view(
        &picture,
        &case.plan()?,
        case.size,
        &mut view,
        &mut Workspace::default(),
    );
    compare(&format!("image{}.view{}", case.image, case.view), &view, &bytes)?;

    let mut coords = overlap_coords(&case.crop(), &other.crop());
    if case.flip {
        coords = mirror_coords(coords);
    }
    let want = tensors.tensor(&format!("image{}.coords{}", case.image, case.view))?;
    let want: Vec<f32> = want
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    for (got, want) in coords.iter().zip(&want) {
        if (got - want).abs() > 1e-6 {
            return Err(format!("coordinates {coords:?} instead of {want:?}").into());
        }
    }
    Ok(())
}

/// One trial a view of `augment.json`.
fn trials(record: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(&record.file)?)?;
    if cases.is_empty() {
        return Err(format!("{} holds no view", record.file.display()).into());
    }
    let tensors: Arc<[u8]> = std::fs::read(record.with_ending("safetensors"))?.into();
    let mut trials = Vec::new();
    for case in &cases {
        let other = cases
            .iter()
            .find(|o| o.image == case.image && o.view != case.view);
        let (case, other, tensors) = (case.clone(), other.cloned(), Arc::clone(&tensors));
        let name = format!("{}::image{}::view{}", record.name(), case.image, case.view);
        trials.push(Trial::test(name, move || {
            let tensors = SafeTensors::deserialize(&tensors)?;
            run_case(&tensors, &case, &other.ok_or("the case has no other view")?)
        }));
    }
    Ok(trials)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::from_args();
    let kind = Kind {
        folder: "",
        prefix: "augment",
        ending: ".json",
        beside: &[],
    };
    let trials = golden::trials(kind, trials)?;
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
