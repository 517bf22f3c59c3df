//! An annotated set of drawn rectangles, and a small detector that learns them in seconds.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Place, REPEATABLE, slotcon, succeed};

const SIDE: u32 = 96;

/// A set in COCO's layout: `count` grey pictures with a white rectangle each, of one category or the other; one of the outlines is
/// run lengths.
pub fn set(count: i64) -> Place {
    let place = Place::new(1);
    let root = place.path("set");
    let (images, annotations) = (root.join("train"), root.join("annotations"));
    std::fs::create_dir_all(&images).unwrap();
    std::fs::create_dir_all(&annotations).unwrap();
    let mut listed = Vec::new();
    let mut objects = Vec::new();
    for i in 0..count {
        let (x, y, w, h) = (8 + i as u32 * 5 % 30, 6 + i as u32 * 7 % 30, 40, 36);
        let mut pixels = vec![90; (SIDE * SIDE) as usize];
        for row in y..y + h {
            let from = (row * SIDE + x) as usize;
            pixels[from..from + w as usize].fill(if i % 2 == 0 { 240 } else { 10 });
        }
        let name = format!("{i}.png");
        let file = std::fs::File::create(images.join(&name)).unwrap();
        let mut encoder = png::Encoder::new(file, SIDE, SIDE);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        listed.push(json!({"id": i + 10, "file_name": name, "width": SIDE, "height": SIDE}));
        let outline = if i == 0 {
            let before = x * SIDE + y;
            let mut counts = vec![before];
            for _ in 0..w {
                counts.extend([h, SIDE - h]);
            }
            *counts.last_mut().unwrap() = SIDE * SIDE - before - (w - 1) * SIDE - h;
            json!({"size": [SIDE, SIDE], "counts": counts})
        } else {
            json!([[x, y, x + w, y, x + w, y + h, x, y + h]])
        };
        objects.push(json!({
            "id": i + 1, "image_id": i + 10, "category_id": if i % 2 == 0 { 3 } else { 7 }, "iscrowd": 0,
            "bbox": [x, y, w, h], "area": w * h, "segmentation": outline,
        }));
    }
    let file = json!({
        "images": listed, "annotations": objects,
        "categories": [{"id": 7, "name": "dark"}, {"id": 3, "name": "light"}],
    });
    std::fs::write(annotations.join("instances_train.json"), file.to_string()).unwrap();
    place
}

/// `slotcon finetune instances` of a small network on the set, into `run`.
pub fn finetune(place: &Place, run: &str, more: &[&str]) -> Command {
    let mut command = slotcon();
    command.args([
        "finetune",
        "instances",
        "--device",
        "cpu",
        "--train",
        "train",
        "--val",
        "train",
    ]);
    command.arg("--data").arg(place.path("set"));
    command.arg("--out").arg(place.path(run));
    for setting in [
        "data.short_sides=[64, 96]",
        "data.long_side=96",
        "data.threads=2",
        "model.channels=16",
        "model.features=32",
        "model.anchors=32",
        "model.regions=16",
        "model.precise_batches=2",
        "test.short_side=96",
        "test.long_side=96",
        "optim.batch=4",
        "optim.warmup_steps=2",
        "run.steps=6",
        "run.save_every=2",
        "run.validate_every=2",
    ]
    .into_iter()
    .chain(REPEATABLE)
    {
        command.args(["--set", setting]);
    }
    command.args(more);
    command
}

/// What `evaluate instances` says of a checkpoint on the set.
pub fn evaluated(place: &Place, checkpoint: &Path) -> Value {
    let mut evaluate = slotcon();
    evaluate.args([
        "evaluate",
        "instances",
        "--device",
        "cpu",
        "--val",
        "train",
        "--json",
    ]);
    // As many threads as the runs have: another number sums in another order.
    evaluate.env("OMP_NUM_THREADS", "1");
    evaluate.arg("--checkpoint").arg(checkpoint);
    evaluate.arg("--data").arg(place.path("set"));
    let output = succeed(evaluate.arg("--results").arg(place.path("results.json")));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}
