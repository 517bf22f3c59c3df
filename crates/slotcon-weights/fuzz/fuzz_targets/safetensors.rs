//! Any bytes at all, as a safetensors file and as the header of one with 64 bytes of tensors: read or refused with a
//! reason.
//!
//!     cargo install cargo-fuzz
//!     cd crates/slotcon-weights && mkdir -p fuzz/corpus/safetensors
//!     head -c 20000 RUN/checkpoints/last.safetensors | tail -c +9 > fuzz/corpus/safetensors/header
//!     cargo +nightly fuzz run safetensors -- -max_len=65536 -rss_limit_mb=4096 -malloc_limit_mb=512

#![no_main]

use libfuzzer_sys::fuzz_target;
use slotcon_weights::WeightFile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("file.safetensors");
    let with_header = [&(bytes.len() as u64).to_le_bytes()[..], bytes, &[7; 64]].concat();
    for content in [bytes, &with_header] {
        if std::fs::write(&path, content).is_err() {
            return;
        }
        if let Err(error) = WeightFile::open(&path) {
            assert!(error.to_string().contains("file.safetensors"), "an error names its file: {error}");
        }
    }
});
