//! Any bytes at all as an annotation file and as run lengths: nothing may break, and what is accepted must be usable.
//!
//!     cd crates/slotcon-data
//!     mkdir -p fuzz/corpus/annotations && cp COCO/annotations/instances_val2017.json fuzz/corpus/annotations
//!     cargo +nightly fuzz run annotations

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use slotcon_data::annotations::{Annotations, Shape};
use slotcon_data::augment::instances::{InstancePlan, shortest_edge};
use slotcon_data::rle::Runs;

/// Pictures above this would take all the time.
const PIXELS: u64 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let side = bytes.len() as u32 % 64 + 1;
        if let Ok(runs) = Runs::from_text(side, side, text) {
            assert_eq!(Runs::from_text(side, side, &runs.text()), Ok(runs.clone()));
            assert_eq!(runs.rows().iter().map(|&v| u64::from(v)).sum::<u64>(), runs.area());
        }
    }
    let Ok(read) = Annotations::read(bytes, Path::new("")) else { return };
    for picture in &read.pictures {
        let (width, height) = (picture.width, picture.height);
        for object in &picture.objects {
            assert!(object.class < read.categories.len());
            let [x1, y1, x2, y2] = object.bounds;
            assert!(0.0 <= x1 && x1 < x2 && x2 <= f64::from(width));
            assert!(0.0 <= y1 && y1 < y2 && y2 <= f64::from(height));
            if let Shape::Pixels(runs) = &object.shape {
                assert_eq!((runs.width(), runs.height()), (width, height));
            }
        }
        if u64::from(width) * u64::from(height) <= PIXELS {
            let plan = InstancePlan { size: shortest_edge((width, height), 40, 60), mirror: true };
            plan.objects(picture, true);
            plan.objects(picture, false);
        }
    }
});
