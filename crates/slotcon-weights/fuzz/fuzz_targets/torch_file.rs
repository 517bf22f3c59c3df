//! Any bytes at all, as a file of `torch.save` or a pickle, and as the pickle in a whole archive of `torch.save`: they are
//! read or refused with a reason, never run, and never take more memory than a multiple of the file.
//!
//!     cargo install cargo-fuzz
//!     cd crates/slotcon-weights && mkdir -p fuzz/corpus/torch_file
//!     xz -dc ../../fixtures/official_checkpoint.pth.xz > fuzz/corpus/torch_file/official.pth
//!     cargo +nightly fuzz run torch_file -- -max_len=65536 -rss_limit_mb=4096 -malloc_limit_mb=512

#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use slotcon_weights::WeightFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("file");
    for content in [Some(bytes.to_vec()), archive(bytes)].into_iter().flatten() {
        if std::fs::write(&path, content).is_err() {
            return;
        }
        if let Err(error) = WeightFile::open(&path) {
            assert!(error.to_string().contains("file"), "an error names its file: {error}");
        }
    }
});

/// A whole archive with `pickle` in it and 64 bytes for storage 0. Its checksums are right, which no mutation would keep.
fn archive(pickle: &[u8]) -> Option<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [("archive/data.pkl", pickle), ("archive/data/0", &[7; 64])] {
        zip.start_file(name, stored).ok()?;
        zip.write_all(content).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}
