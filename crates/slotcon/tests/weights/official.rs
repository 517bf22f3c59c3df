//! The official checkpoint: every tensor arrives where it belongs, and goes out as the official converters name it.

use serde_json::Value;
use slotcon::Checkpoint;
use slotcon::interop::{FileKind, Format, Imported, export, inspect};
use slotcon::method::Branch;
use slotcon_golden::Case;
use slotcon_train::checkpoint::LossScaleState;
use slotcon_weights::WeightFile;
use tch::Kind;

use crate::support;

/// Name, shape and the one value of every tensor.
type Layout = Vec<(String, Vec<i64>, f64)>;

fn expected(layouts: &Value, part: &str) -> Layout {
    let mut list: Layout = layouts[part]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, entry)| {
            let shape = entry["shape"].as_array().unwrap().iter();
            (
                name.clone(),
                shape.map(|n| n.as_i64().unwrap()).collect(),
                entry["value"].as_f64().unwrap(),
            )
        })
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

/// What is in `file` below `prefix`; every tensor must be constant.
fn found(file: &WeightFile, prefix: &str) -> Layout {
    let mut list: Layout = file
        .tensors
        .iter()
        .filter_map(|(name, tensor)| {
            let name = name.strip_prefix(prefix)?;
            let tensor = tensor.to_kind(Kind::Double);
            let value = tensor.max().double_value(&[]);
            assert_eq!(tensor.min().double_value(&[]), value, "{name} is not constant");
            Some((name.to_owned(), tensor.size(), value))
        })
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

pub fn check(case: &Case) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let official = support::official(&case.file, folder.path());
    let text = std::fs::read_to_string(case.beside("checkpoint_layouts.json")).unwrap();
    let layouts: Value = serde_json::from_str(&text).unwrap();

    let seen = inspect(&official).unwrap();
    assert_eq!(seen.kind, FileKind::Official);
    assert_eq!(seen.arch.as_deref(), layouts["arch"].as_str());
    assert_eq!(seen.step, Some(300));
    assert_eq!(
        found(&WeightFile::open(&official).unwrap(), "model."),
        expected(&layouts, "official")
    );

    // In: 3 epochs of 100 steps.
    let imported = Imported::read(&official, &[]).unwrap();
    assert_eq!(imported.report.missing, []);
    assert_eq!(imported.report.unexpected, []);
    assert_eq!(
        (imported.progress.step, imported.progress.total_steps),
        (300, 800)
    );
    assert_eq!(
        imported.progress.loss_scale,
        LossScaleState {
            value: 65536.0,
            good_steps: 7
        }
    );
    assert_eq!(imported.recipe.optim.batch, 10);
    let ours = at("ours.safetensors");
    imported.save(&ours).unwrap();
    let file = WeightFile::open(&ours).unwrap();
    assert_eq!(FileKind::of(&file), FileKind::Checkpoint);
    let plain: Layout = expected(&layouts, "official")
        .into_iter()
        .map(|(name, shape, value)| (name.trim_start_matches("module.").to_owned(), shape, value))
        .collect();
    assert_eq!(found(&file, "model."), plain);
    // The momentum of trained parameter number n is n + 1/2, in the order of the state dict, students only.
    let momentum = found(&file, "optimizer.momentum.");
    let value = |name: &str| momentum.iter().find(|(n, ..)| n == name).unwrap().2;
    assert_eq!(momentum.len(), 81);
    assert_eq!(value("encoder_q.conv1.weight"), 0.5);
    assert_eq!(value("projector_q.mlp.0.weight"), 60.5);
    assert_eq!(value("grouping_q.slot_embed.weight"), 70.5);
    assert_eq!(value("predictor_slot.mlp.6.bias"), 80.5);

    // Out: the official converters take the teacher.
    for (format, out, inner, part) in [
        (Format::Detectron2, "d2.pkl", "model.", "detectron2"),
        (Format::Mmsegmentation, "mm.pth", "state_dict.", "mmsegmentation"),
        (Format::Official, "official_again.pth", "model.", "official"),
    ] {
        export(&ours, format, Branch::Teacher, None, &at(out)).unwrap();
        let file = WeightFile::open(&at(out)).unwrap();
        assert_eq!(found(&file, inner), expected(&layouts, part), "{part}");
    }
    let matching = WeightFile::open(&at("d2.pkl")).unwrap();
    assert_eq!(
        matching.values.get("matching_heuristics"),
        Some(&slotcon_weights::Value::Bool(true))
    );

    // The official layout says all that ours does.
    let again = at("again.safetensors");
    let back = Imported::read(&at("official_again.pth"), &[]).unwrap();
    back.save(&again).unwrap();
    assert!(
        std::fs::read(&ours).unwrap() == std::fs::read(&again).unwrap(),
        "there and back again is not the same"
    );
    assert_eq!(Checkpoint::open(&again).unwrap().progress, imported.progress);

    // A setting that makes another network is found out.
    let other = Imported::read(&official, &["model.dim_out=64".into()])
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("projector_q.mlp.6.weight [32, 64, 1, 1]"),
        "{other}"
    );
}
