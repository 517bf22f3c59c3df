//! Names, order and shapes of every tensor against the official state dict: `checkpoint_layouts.json`.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use slotcon::method::group_loss::Temperatures;
use slotcon::method::{ModelConfig, SlotCon};
use slotcon_golden::Case;
use slotcon_nn::{Arch, OutputStride};
use tch::{Device, Kind};

/// One trial.
pub fn trials(case: &Case) -> Vec<Trial> {
    let path = case.file.clone();
    let name = format!("{}::names_of_the_official_state_dict", case.name());
    vec![Trial::test(name, move || check(&path))]
}

fn check(path: &Path) -> Result<(), Failed> {
    let layouts: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let arch: Arch = layouts["arch"].as_str().unwrap().parse()?;
    let official = layouts["official"].as_object().unwrap();
    let shape_of = |name: &str| -> Vec<i64> {
        let dims = official[&format!("module.{name}")]["shape"].as_array().unwrap();
        dims.iter().map(|d| d.as_i64().unwrap()).collect()
    };
    let (prototypes, dim_out) = (
        shape_of("grouping_q.slot_embed.weight")[0],
        shape_of("projector_q.mlp.6.bias")[0],
    );
    let config = ModelConfig {
        arch,
        output_stride: OutputStride::new(arch.spec().output_stride).unwrap(),
        dim_hidden: shape_of("projector_q.mlp.0.bias")[0],
        dim_out,
        prototypes,
        temperatures: Temperatures {
            student: 0.1,
            teacher: 0.07,
        },
        center_momentum: 0.9,
        group_loss_weight: 0.5,
    };
    let model = SlotCon::new(config, Device::Cpu, Kind::Float);
    let mut ours: Vec<(String, Vec<i64>)> = model
        .store()
        .entries()
        .into_iter()
        .map(|e| (e.name.clone(), e.tensor.size()))
        .collect();
    // "value" is the place in the official order, from 1.
    let mut theirs: Vec<(i64, String, Vec<i64>)> = official
        .iter()
        .map(|(name, entry)| {
            let name = name.strip_prefix("module.").unwrap();
            (entry["value"].as_i64().unwrap(), name.to_owned(), shape_of(name))
        })
        .collect();
    theirs.sort();
    let theirs: Vec<(String, Vec<i64>)> = theirs.into_iter().map(|(_, name, shape)| (name, shape)).collect();
    if ours == theirs {
        return Ok(());
    }
    ours.retain(|entry| !theirs.contains(entry));
    Err(format!(
        "{} tensors differ in name, shape or order, e.g. {:?}",
        ours.len(),
        ours.first()
    )
    .into())
}
