//! Files piece by piece, well-formed or not: archives of torch.save, their pickles, safetensors.

use std::io::Write;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn saved(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    archive(&[
        ("archive/data.pkl", pickle),
        ("archive/data/0", storage),
        ("archive/version", b"3\n"),
    ])
}

pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub fn text(text: &str) -> Vec<u8> {
    let mut out = vec![b'X'];
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
    out
}

fn int(n: i64) -> Vec<u8> {
    let mut out = vec![0x8a, 8];
    out.extend(n.to_le_bytes());
    out
}

pub fn tuple(items: &[i64]) -> Vec<u8> {
    let mut out = vec![b'('];
    items.iter().for_each(|&n| out.extend(int(n)));
    out.push(b't');
    out
}

/// `{"w": tensor}` over storage `key` of `numel` floats.
pub fn tensor(key: &str, numel: i64, offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
    [
        global("torch._utils", "_rebuild_tensor_v2"),
        b"((".to_vec(),
        text("storage"),
        global("torch", "FloatStorage"),
        text(key),
        text("cpu"),
        int(numel),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(stride),
        vec![0x89],
        global("collections", "OrderedDict"),
        b")RtR".to_vec(),
    ]
    .concat()
}

pub fn one(tensor: &[u8]) -> Vec<u8> {
    [b"\x80\x02}", &text("w")[..], tensor, b"s."].concat()
}

pub fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(vec![0; data]);
    out
}

pub fn good() -> Vec<u8> {
    saved(&one(&tensor("0", 4, 0, &[2, 2], &[2, 1])), &[0; 16])
}

pub fn legacy(count: i64, bytes: usize) -> Vec<u8> {
    let mut out =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    let plain = one(&tensor("0", 4, 0, &[4], &[1]));
    out.extend(plain);
    out.extend(b"\x80\x02]");
    out.extend(text("0"));
    out.extend(b"a.");
    out.extend(count.to_le_bytes());
    out.extend(vec![0; bytes]);
    out
}

/// Every value is a tuple of the one before, twice: 2^40 of them to a walker.
pub fn laughs() -> Vec<u8> {
    let mut out = b"\x80\x02}".to_vec();
    out.extend(text("w"));
    out.extend(b"K\x01\x85");
    for _ in 0..40 {
        out.extend(b"2\x86");
    }
    out.extend(b"s.");
    out
}

/// A list of many pairs, made into a dictionary many times.
pub fn copies() -> Vec<u8> {
    let mut out = b"\x80\x02](".to_vec();
    out.extend(b"NN\x86q\x00");
    out.extend(b"h\x00".repeat(400_000));
    out.extend(b"e\x85q\x010");
    for _ in 0..50_000 {
        out.extend(global("collections", "OrderedDict"));
        out.extend(b"h\x01R0");
    }
    out.extend(b"N.");
    out
}

pub fn deep() -> Vec<u8> {
    let mut out = b"\x80\x02}".to_vec();
    out.extend(text("w"));
    out.push(b')');
    out.extend(b"\x85".repeat(500_000));
    out.extend(b"s.");
    out
}
