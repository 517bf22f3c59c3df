//! Any bytes at all, decoded and made into two views: nothing may break, and what comes out must be whole.
//!
//!     cargo install cargo-fuzz
//!     cd crates/slotcon-data
//!     mkdir -p fuzz/corpus/decode_augment && cp tests/pictures/*.* fuzz/corpus/decode_augment
//!     cargo +nightly fuzz run decode_augment

#![no_main]

use libfuzzer_sys::fuzz_target;
use slotcon_data::loader::make_pair;
use slotcon_data::rng::{Purpose, Stream};
use slotcon_data::{Augment, AugmentConfig};

fuzz_target!(init: allow_foreign_panics(), |bytes: &[u8]| {
    let config = AugmentConfig { image_size: 32, max_pixels: 1 << 18, exif_orientation: true, ..Default::default() };
    let Ok(augment) = Augment::new(config) else { return };
    let mut random = Stream::new(0, 0, bytes.len() as u64, Purpose::Augment, 0);
    if let Ok((plan, views)) = make_pair(bytes, &augment, &mut random) {
        assert!(plan.views.iter().all(|v| v.crop.width > 0 && v.crop.height > 0));
        assert!(views.iter().all(|v| v.len() == augment.view_bytes()));
    }
});

/// A decoder of another crate that panics (png 0.18.1 does on some broken palettes) costs its picture only, as in a run:
/// what is looked for are panics of our own code, which end the fuzzing.
fn allow_foreign_panics() {
    let end = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_none_or(|place| !place.file().contains("registry")) {
            end(info);
        }
    }));
}
