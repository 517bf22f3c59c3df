//! Single operations of detection: every `ops*` case. Anchors, matching, box coding, maps of boxes, mask targets, pasted masks.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_data::rle::Runs;
use slotcon_golden as golden;
use slotcon_nn::detection::Anchors;
use slotcon_transfer::instances::boxes::{OF_ANCHORS, OF_PROPOSALS, overlaps};
use slotcon_transfer::instances::matcher;
use slotcon_transfer::instances::{Shape, map_of, mask_targets, paste};
use tch::{Device, Kind, Tensor};

use crate::compare::Comparison;

/// f32 by other kernels: the logarithm and the exponential differ in their last bits.
const ROUNDING: f64 = 1e-6;

#[derive(Debug, Deserialize)]
struct Case {
    masks: Vec<Mask>,
}

#[derive(Debug, Deserialize)]
struct Mask {
    size: (u32, u32),
    polygons: Vec<Vec<f64>>,
    #[serde(rename = "box")]
    region: [f32; 4],
    rle: String,
    area: u64,
    bbox_of_rle: [f64; 4],
}

type Check = fn(&mut Comparison, &[Mask]) -> Result<(), Failed>;

const CHECKS: [(&str, Check); 6] = [
    ("anchors", anchors),
    ("matcher", matching),
    ("deltas", deltas),
    ("levels", levels),
    ("mask_targets", masks),
    ("paste", pasted),
];

/// A trial for each operation.
pub fn trials(case: &golden::Case) -> Vec<Trial> {
    let trial = |(what, check): (&str, Check)| {
        let (name, path) = (format!("{}::{what}", case.name()), case.file.clone());
        Trial::test(name.clone(), move || run(&path, &name, check))
    };
    CHECKS.map(trial).into()
}

fn run(path: &Path, name: &str, check: Check) -> Result<(), Failed> {
    let case: Case = serde_json::from_slice(&std::fs::read(path)?)?;
    let bytes = std::fs::read(path.with_extension("safetensors"))?;
    let mut all = Comparison::new(SafeTensors::deserialize(&bytes)?);
    check(&mut all, &case.masks)?;
    all.finish(name)
}

fn float(all: &Comparison, name: &str) -> Result<Tensor, Failed> {
    let found = all
        .recorded(name)
        .ok_or_else(|| format!("{name} is not recorded"))?;
    Ok(found.to_kind(Kind::Float))
}

fn all_anchors() -> Result<Vec<Tensor>, Failed> {
    let maps = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)];
    let of_map =
        |(level, (height, width))| Ok(Anchors::default().of_map(level, height, width, Device::Cpu)?);
    maps.into_iter().enumerate().map(of_map).collect()
}

fn anchors(all: &mut Comparison, _: &[Mask]) -> Result<(), Failed> {
    for (anchors, level) in all_anchors()?.iter().zip(2..) {
        all.check_equal(&format!("anchors.p{level}"), anchors);
    }
    Ok(())
}

fn matching(all: &mut Comparison, _: &[Mask]) -> Result<(), Failed> {
    let overlaps = overlaps(
        &float(all, "matcher.ground_truth")?,
        &Tensor::cat(&all_anchors()?, 0),
    )?;
    let matches = matcher::OF_ANCHORS.matches(&overlaps)?;
    all.check_equal("matcher.iou", &overlaps);
    all.check_equal("matcher.index", &matches.object);
    all.check_equal("matcher.label", &matches.label);
    Ok(())
}

fn deltas(all: &mut Comparison, _: &[Mask]) -> Result<(), Failed> {
    for (coding, weight) in [(OF_ANCHORS, 1), (OF_PROPOSALS, 10)] {
        let name = |what| format!("deltas.{weight}.{what}");
        let source = float(all, &name("source"))?;
        let encoded = coding.encode(&source, &float(all, &name("target"))?)?;
        let decoded = coding.decode(&source, &float(all, &name("wild"))?)?;
        all.check(&name("encoded"), &encoded, ROUNDING);
        all.check(&name("decoded"), &decoded, ROUNDING);
    }
    Ok(())
}

fn levels(all: &mut Comparison, _: &[Mask]) -> Result<(), Failed> {
    let boxes = float(all, "levels.boxes")?;
    let recorded = all
        .recorded("levels.level")
        .ok_or("levels.level is not recorded")?;
    // Whether the first map is 0 or 2.
    let first = if recorded.max().int64_value(&[]) > 3 { 2 } else { 0 };
    all.check_equal("levels.level", &(map_of(&boxes)? + first));
    Ok(())
}

fn masks(all: &mut Comparison, masks: &[Mask]) -> Result<(), Failed> {
    let (mut of_polygons, mut of_pixels) = (Vec::new(), Vec::new());
    for (i, mask) in masks.iter().enumerate() {
        let (height, width) = mask.size;
        let runs = Runs::from_polygons(width, height, &mask.polygons);
        if runs.text() != mask.rle || runs.area() != mask.area {
            all.differs(format!(
                "masks[{i}]: {} pixels, recorded {}",
                runs.area(),
                mask.area
            ));
        }
        if runs.bounding_box().map(f64::from) != mask.bbox_of_rle {
            let (got, expected) = (runs.bounding_box(), mask.bbox_of_rle);
            all.differs(format!("masks[{i}]: box {got:?}, recorded {expected:?}"));
        }
        if Runs::from_text(width, height, &mask.rle)? != runs {
            all.differs(format!("masks[{i}]: the text is not read back"));
        }
        of_polygons.extend(mask_targets(
            &Shape::Polygons(mask.polygons.clone()),
            &[mask.region],
            28,
        )?);
        of_pixels.extend(mask_targets(&Shape::Pixels(runs), &[mask.region], 28)?);
    }
    all.check_equal("mask_targets.polygons", &Tensor::from_slice(&of_polygons));
    all.check_equal("mask_targets.bitmaps", &Tensor::from_slice(&of_pixels));
    Ok(())
}

fn pasted(all: &mut Comparison, _: &[Mask]) -> Result<(), Failed> {
    let (masks, boxes) = (float(all, "paste.masks")?, float(all, "paste.boxes")?);
    let mut drawn = Vec::new();
    for i in 0..masks.size()[0] {
        let region = Vec::<f32>::try_from(boxes.get(i))?;
        drawn.extend(paste(&masks.get(i), region.try_into().unwrap(), (64, 80))?.rows());
    }
    all.check_equal("paste.output", &Tensor::from_slice(&drawn));
    Ok(())
}
