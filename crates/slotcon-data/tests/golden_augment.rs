//! The augmentation against golden values: every case of `augment.json` / `augment.safetensors` in the fixtures folder.
//!
//! The folder is named by `SLOTCON_FIXTURES` (default `../shared/fixtures` from the project's root). Where it is missing
//! the one test here is reported as ignored.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_data::Picture;
use slotcon_data::augment::color::{self, Change};
use slotcon_data::augment::{JitterOp, ViewPlan, Workspace, blur, make_view};
use slotcon_data::geometry::{CropBox, mirror_coords, overlap_coords};
use slotcon_data::resize::{Filter, Scratch, resize_crop};

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

/// How far values may lie from the golden ones: at most `most`, and at most `usual` for 99 % of them.
struct Tolerance {
    usual: u8,
    most: u8,
}

/// Rounding of a single operation.
const CLOSE: Tolerance = Tolerance { usual: 1, most: 1 };
/// Hue goes through 8-bit HSV, blur through six rounded passes.
const LOOSE: Tolerance = Tolerance { usual: 2, most: 4 };

fn compare(what: &str, got: &[u8], want: &[u8], tolerance: &Tolerance) -> Result<(), Failed> {
    if got.len() != want.len() {
        return Err(format!("{what}: {} values instead of {}", got.len(), want.len()).into());
    }
    let gaps: Vec<u8> = got.iter().zip(want).map(|(a, b)| a.abs_diff(*b)).collect();
    let most = gaps.iter().max().copied().unwrap_or(0);
    let beyond = gaps.iter().filter(|&&g| g > tolerance.usual).count();
    let exact = gaps.iter().filter(|&&g| g == 0).count();
    println!(
        "{what}: largest difference {most}, {:.3} % equal",
        100.0 * exact as f64 / gaps.len() as f64
    );
    if most > tolerance.most || beyond * 100 > gaps.len() {
        return Err(format!(
            "{what}: differs by up to {most} (allowed {}), {beyond} of {} values by more than {}",
            tolerance.most,
            gaps.len(),
            tolerance.usual
        )
        .into());
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
    compare(&name(""), &crop, golden("")?, &CLOSE)?;

    let alone = |suffix: &str, tolerance: &Tolerance, op: &dyn Fn(&mut [u8])| -> Result<(), Failed> {
        let mut view = golden("")?.to_vec();
        op(&mut view);
        compare(&name(suffix), &view, golden(suffix)?, tolerance)
    };
    let change = |suffix: &str, tolerance: &Tolerance, change: Change| {
        alone(suffix, tolerance, &|v| color::apply(v, &[change]))
    };
    change(
        ".brightness",
        &CLOSE,
        Change::Jitter(JitterOp::Brightness(case.brightness)),
    )?;
    change(
        ".contrast",
        &CLOSE,
        Change::Jitter(JitterOp::Contrast(case.contrast)),
    )?;
    change(
        ".saturation",
        &CLOSE,
        Change::Jitter(JitterOp::Saturation(case.saturation)),
    )?;
    change(".hue", &LOOSE, Change::Jitter(JitterOp::Hue(case.hue)))?;
    change(".grayscale", &CLOSE, Change::Gray)?;
    change(".solarize", &CLOSE, Change::Solarize(128))?;
    alone(".blur", &LOOSE, &|v| {
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
    compare(
        &format!("image{}.view{}", case.image, case.view),
        &view,
        &bytes,
        &LOOSE,
    )?;

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

fn fixtures() -> PathBuf {
    match std::env::var_os("SLOTCON_FIXTURES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let folder = fixtures();
    if !folder.join("augment.json").is_file() {
        eprintln!(
            "NOT TESTED: no augment.json in {}; set SLOTCON_FIXTURES to the golden values",
            folder.display()
        );
        let trial = Trial::test("augment_equals_the_golden_values", || Ok(())).with_ignored_flag(true);
        libtest_mimic::run(&arguments, vec![trial]).exit();
    }
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let cases: Vec<Case> =
        serde_json::from_slice(&read("augment.json")).unwrap_or_else(|e| panic!("augment.json: {e}"));
    assert!(!cases.is_empty(), "augment.json holds no case");
    let bytes: &'static [u8] = read("augment.safetensors").leak();
    let trials = cases.iter().map(|case| {
        let other = cases
            .iter()
            .find(|o| o.image == case.image && o.view != case.view)
            .cloned();
        let case = case.clone();
        Trial::test(
            format!("augment::image{}::view{}", case.image, case.view),
            move || {
                let tensors = SafeTensors::deserialize(bytes)?;
                run_case(&tensors, &case, &other.ok_or("the case has no other view")?)
            },
        )
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
