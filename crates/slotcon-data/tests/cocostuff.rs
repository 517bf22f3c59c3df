//! COCO-Stuff as it is published: the mapping that ships in the program, and real pixel maps read with it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use slotcon_data::labelled::{ClassTable, LabelLayout, pairs, read_label_map};
use slotcon_data::picture::DecodeOptions;

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = std::env::var_os("SLOTCON_DATA").map_or_else(|| root.join("../shared/data"), |v| root.join(v));
    let folder = data.join("cocostuff");
    let there = folder.join("fine_to_coarse.json").is_file();
    if !there {
        eprintln!(
            "IGNORED: no cocostuff/fine_to_coarse.json in {}; set SLOTCON_DATA",
            data.display()
        );
    }
    let trial = Trial::test("the mapping is the published one and fits real maps", move || {
        check(&folder);
        Ok(())
    });
    libtest_mimic::run(&args, vec![trial.with_ignored_flag(!there)]).exit_code()
}

fn check(folder: &Path) {
    let text = std::fs::read_to_string(folder.join("fine_to_coarse.json")).unwrap();
    let published: serde_json::Value = serde_json::from_str(&text).unwrap();
    let published: Vec<u16> = serde_json::from_value(published["fine_to_coarse"].clone()).unwrap();
    let classes = LabelLayout::CocoStuff.classes().unwrap();
    assert_eq!(classes.ids.as_ref(), Some(&published));
    let found = pairs(
        &folder.join("images"),
        &folder.join("labels"),
        LabelLayout::CocoStuff,
        None,
    )
    .unwrap()
    .all;
    assert!(found.len() >= 13, "{}", found.len());
    let table = ClassTable::new(&classes).unwrap();
    for pair in &found {
        let labels = pair.load(160, &table, &DecodeOptions::default()).unwrap().labels;
        let raw = read_label_map(&pair.labels).unwrap();
        assert!(labels.ids().iter().any(|&id| id < 27));
        assert!(raw.ids().iter().all(|&id| id < 182 || id == 255));
    }
}
