//! Files that are broken or mean harm: each ends in an error that says what is wrong, in bounded memory.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod files;

use std::path::Path;
use std::process::Command;

use libtest_mimic::Arguments;
use libtest_mimic::Trial;
use slotcon_weights::WeightFile;

use files::{
    archive, copies, deep, global, good, laughs, legacy, one, safetensors, saved, tensor, text, tuple,
};

/// A file's name, its bytes, and what the error must say.
type Case = (&'static str, Vec<u8>, &'static str);

fn main() -> std::process::ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = cases()
        .into_iter()
        .map(|(name, bytes, says)| {
            Trial::test(format!("hostile: {name}"), move || {
                refused(name, &bytes, says);
                Ok(())
            })
        })
        .collect();
    trials.push(Trial::test("hostile: cut anywhere", || {
        cut_anywhere();
        Ok(())
    }));
    trials.push(Trial::test("hostile: any byte changed", || {
        any_byte_changed();
        Ok(())
    }));
    trials.push(Trial::test("hostile: mutated at random", || {
        mutated();
        Ok(())
    }));
    trials.push(Trial::test("harmless ones are read", || {
        harmless();
        Ok(())
    }));
    trials.push(Trial::test("all of these in 3 GB of address space", || {
        in_little_memory();
        Ok(())
    }));
    trials
}

fn refused(name: &str, bytes: &[u8], says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let error = WeightFile::open(&path).expect_err(name).to_string();
    assert!(error.contains(says), "{name}: '{says}' is not in: {error}");
    assert!(error.contains(&path.display().to_string()), "{error}");
    assert!(error.len() < 2000, "{error}");
}

/// The same trials again in a process that cannot have more: libtorch itself takes most of it.
fn in_little_memory() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 3000000; exec \"$0\" hostile --test-threads=1"])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("test result: ok") && !said.contains(" 0 passed"),
        "{said}"
    );
}

fn cases() -> Vec<Case> {
    let system = |module: &str| {
        [
            b"\x80\x02}".to_vec(),
            text("w"),
            global(module, "system"),
            text("touch /tmp/harmed"),
            b"\x85Rs.".to_vec(),
        ]
        .concat()
    };
    let stack_global = [
        b"\x80\x04".to_vec(),
        text("builtins"),
        text("eval"),
        b"\x93".to_vec(),
        text("1"),
        b"\x85R.".to_vec(),
    ]
    .concat();
    let array = [
        b"\x80\x03}".to_vec(),
        text("w"),
        global("numpy.core.multiarray", "_reconstruct"),
        b"(".to_vec(),
        global("numpy", "ndarray"),
        tuple(&[0]),
        b"C\x01btR(K\x01".to_vec(),
        tuple(&[1 << 34, 4]),
        global("numpy", "dtype"),
        b"(".to_vec(),
        text("<f4"),
        b"\x89\x88tR\x89C\x04aaaatbs.".to_vec(),
    ]
    .concat();
    let many = {
        let mut out = b"\x80\x02}(".to_vec();
        out.extend(text("0"));
        out.extend(tensor("0", 100_000, 0, &[100_000], &[1]));
        for i in 1..2_000 {
            out.extend(text(&i.to_string()));
            out.extend(tensor("0", 100_000, 0, &[50_000], &[2]));
        }
        out.extend(b"u.");
        out
    };
    let compressed = {
        let pickle = one(&tensor("0", 4, 0, &[4], &[1]));
        let mut bytes = archive(&[("archive/data.pkl", &pickle)]);
        // The method of compression, in the directory at the end: 8 is deflate.
        let directory = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
        bytes[directory + 10] = 8;
        bytes
    };
    let other = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let large = r#"{"a":{"dtype":"F32","shape":[25000000000],"data_offsets":[0,100000000000]}}"#;
    let half = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
    vec![
        ("empty", vec![], "empty"),
        (
            "text",
            b"Dear Sir or Madam, this is no file with weights".to_vec(),
            "neither safetensors",
        ),
        (
            "os.system",
            saved(&system("os"), &[]),
            "refused: it asks for os.system",
        ),
        (
            "posix.system in a pickle",
            system("posix"),
            "refused: it asks for posix.system",
        ),
        (
            "builtins.eval",
            saved(&stack_global, &[]),
            "refused: it asks for builtins.eval",
        ),
        (
            "torch.load",
            saved(
                &[b"\x80\x02".to_vec(), global("torch", "load"), b".".to_vec()].concat(),
                &[],
            ),
            "refused: it asks for torch.load",
        ),
        (
            "an old instance",
            saved(b"\x80\x02(ios\nsystem\n.", &[]),
            "opcode 0x69",
        ),
        (
            "100 GB in a storage",
            saved(
                &one(&tensor("0", 25_000_000_000, 0, &[25_000_000_000], &[1])),
                &[0; 16],
            ),
            "data/0 has 16 bytes",
        ),
        (
            "100 GB from one number",
            saved(&one(&tensor("0", 4, 0, &[50_000, 500_000], &[0, 0])), &[0; 16]),
            "does not fit",
        ),
        (
            "more than any machine",
            saved(&one(&tensor("0", 4, 0, &[1 << 40, 1 << 40], &[0, 0])), &[0; 16]),
            "does not fit",
        ),
        (
            "stride beyond the end",
            saved(&one(&tensor("0", 4, 0, &[2, 2], &[3, 1])), &[0; 16]),
            "does not fit",
        ),
        (
            "offset beyond the end",
            saved(&one(&tensor("0", 4, 3, &[2], &[1])), &[0; 16]),
            "does not fit",
        ),
        (
            "stride that overflows",
            saved(&one(&tensor("0", 4, 0, &[3], &[i64::MAX])), &[0; 16]),
            "does not fit",
        ),
        (
            "negative stride",
            saved(&one(&tensor("0", 4, 3, &[2], &[-1])), &[0; 16]),
            "odd arguments",
        ),
        (
            "negative shape",
            saved(&one(&tensor("0", 4, 0, &[-2], &[1])), &[0; 16]),
            "odd arguments",
        ),
        (
            "storage too short",
            saved(&one(&tensor("0", 4, 0, &[4], &[1])), &[0; 15]),
            "data/0 has 15 bytes, it must have 16",
        ),
        (
            "storage outside",
            saved(&one(&tensor("../version", 4, 0, &[4], &[1])), &[0; 16]),
            "data/../version",
        ),
        (
            "aliases without end",
            saved(&many, &vec![0; 400_000]),
            "larger than the file",
        ),
        ("billion laughs", saved(&laughs(), &[]), "nested more than 8 deep"),
        ("copies without end", saved(&copies(), &[]), "fill the memory"),
        (
            "half a million deep",
            saved(&deep(), &[]),
            "nested more than 8 deep",
        ),
        (
            "pickle without end",
            saved(&[b"\x80\x02".to_vec(), b"N".repeat(2 << 20)].concat(), &[]),
            "more than 1048576 values",
        ),
        ("100 GB array", array, "needs 274877906944 bytes and has 4"),
        (
            "text that lies",
            saved(b"\x80\x02X\xff\xff\xff\x7fabc.", &[]),
            "claims 2147483647 more bytes, 4 are left",
        ),
        (
            "bytes that lie",
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.".to_vec(),
            "more bytes",
        ),
        ("empty stack", saved(b"\x80\x02R.", &[]), "stack is empty"),
        ("no mark", saved(b"\x80\x02t.", &[]), "a mark is missing"),
        ("unknown value", saved(b"\x80\x02h\x07.", &[]), "recalls value 7"),
        ("compressed", compressed, "compressed"),
        (
            "no pickle in it",
            archive(&[("a", b"b")]),
            "must hold one data.pkl",
        ),
        (
            "two pickles in it",
            archive(&[("a/data.pkl", b"N."), ("b/data.pkl", b"N.")]),
            "must hold one data.pkl",
        ),
        (
            "big-endian",
            archive(&[("a/data.pkl", b"N."), ("a/byteorder", b"big")]),
            "big-endian",
        ),
        (
            "legacy, 100 GB",
            legacy(25_000_000_000, 16),
            "claims 25000000000 elements, 16 bytes are left",
        ),
        (
            "legacy, too short",
            legacy(4, 15),
            "claims 4 elements, 15 bytes are left",
        ),
        (
            "legacy, other length",
            legacy(3, 16),
            "has 12 bytes, its tensors need 16",
        ),
        (
            "safetensors, overlapping",
            safetensors(other, 12),
            "not a whole safetensors file",
        ),
        (
            "safetensors, 100 GB",
            safetensors(large, 16),
            "not a whole safetensors file",
        ),
        (
            "safetensors, shape and length differ",
            safetensors(half, 8),
            "not a whole safetensors file",
        ),
        (
            "safetensors, header of 100 GB",
            {
                let mut bytes = safetensors("{}", 0);
                bytes[..8].copy_from_slice(&100_000_000_000u64.to_le_bytes());
                bytes
            },
            "claims 100000000000 bytes",
        ),
    ]
}

/// Whatever of a file is missing, it is an error and no panic.
fn cut_anywhere() {
    for whole in [
        good(),
        legacy(4, 16),
        safetensors(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8),
    ] {
        for length in 0..whole.len() {
            let path = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(path.path(), &whole[..length]).unwrap();
            assert!(
                WeightFile::open(path.path()).is_err(),
                "{length} of {} bytes",
                whole.len()
            );
        }
    }
}

/// Whatever byte is another, nothing panics; a value may well change.
fn any_byte_changed() {
    let path = tempfile::NamedTempFile::new().unwrap();
    for whole in [good(), legacy(4, 16)] {
        for place in 0..whole.len() {
            for change in [0x01u8, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= change;
                std::fs::write(path.path(), &bytes).unwrap();
                let _ = WeightFile::open(path.path());
            }
        }
    }
}

/// Bytes changed, doubled and taken out at random, always the same ones: nothing panics or takes more than it should.
fn mutated() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let seeds: Vec<Vec<u8>> = [good(), legacy(4, 16)]
        .into_iter()
        .chain(
            cases()
                .into_iter()
                .map(|(_, bytes, _)| bytes)
                .filter(|bytes| !bytes.is_empty() && bytes.len() < 4096),
        )
        .collect();
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=below(4) {
            let place = below(bytes.len());
            match below(4) {
                0 => bytes[place] = below(256) as u8,
                1 => bytes[place] ^= 1 << below(8),
                2 if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => {
                    let end = (place + 1 + below(16)).min(bytes.len());
                    let piece = bytes[place..end].to_vec();
                    bytes.splice(place..place, piece);
                }
            }
        }
        std::fs::write(path.path(), &bytes).unwrap();
        let _ = WeightFile::open(path.path());
    }
}

fn read(bytes: &[u8]) -> Vec<(String, Vec<i64>, Vec<f32>)> {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), bytes).unwrap();
    let file = WeightFile::open(Path::new(path.path())).unwrap();
    let tensors = file.tensors.into_iter().map(|(name, tensor)| {
        let values = Vec::try_from(tensor.reshape([-1])).unwrap();
        (name, tensor.size(), values)
    });
    tensors.collect()
}

/// Strides of channels-last layout, tensors that share a storage, empty ones: all of these are real.
fn harmless() {
    let bytes: Vec<u8> = (0..4u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    let turned = read(&saved(&one(&tensor("0", 4, 0, &[2, 2], &[1, 2])), &bytes));
    assert_eq!(turned, [("w".into(), vec![2, 2], vec![0.0, 2.0, 1.0, 3.0])]);
    let part = read(&saved(&one(&tensor("0", 4, 1, &[2], &[1])), &bytes));
    assert_eq!(part, [("w".into(), vec![2], vec![1.0, 2.0])]);
    let scalar = read(&saved(&one(&tensor("0", 4, 3, &[], &[])), &bytes));
    assert_eq!(scalar, [("w".into(), vec![], vec![3.0])]);
    let none = read(&saved(&one(&tensor("0", 4, 0, &[0, 3], &[3, 1])), &bytes));
    assert_eq!(none, [("w".into(), vec![0, 3], vec![])]);
    assert_eq!(read(&legacy(4, 16)), [("w".into(), vec![4], vec![0.0; 4])]);
    // {"model": {"a": numpy.ones((2, 3), "f4")}, …}, alone and in an archive of torch.save.
    let array = include_bytes!("numpy.pkl");
    for file in [array.to_vec(), saved(array, &[])] {
        assert_eq!(read(&file), [("model.a".into(), vec![2, 3], vec![1.0; 6])]);
    }
}
