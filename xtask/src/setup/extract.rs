//! Taking the needed files out of a wheel, which is a zip archive.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::Path;
use zip::ZipArchive;

/// Extracts the members that `keeps` selects to the same places below `tree` and returns how many there were.
///
/// # Errors
/// If the archive is damaged (every member's checksum is verified), names a place outside `tree`, or the disk is full.
pub fn extract(wheel: &Path, tree: &Path, keeps: impl Fn(&str) -> bool) -> Result<usize> {
    let file = File::open(wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
    let mut archive = ZipArchive::new(BufReader::new(file))?;
    let mut count = 0;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let name = member.name()?.into_owned();
        if member.is_dir() || !keeps(&name) {
            continue;
        }
        let Some(place) = member.enclosed_name() else {
            bail!("{} holds a member that points outside: {name}", wheel.display());
        };
        let path = tree.join(place);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let out = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, out);
        std::io::copy(&mut member, &mut out).with_context(|| format!("cannot extract {}", path.display()))?;
        out.into_inner().map_err(|error| error.into_error())?;
        count += 1;
    }
    if count == 0 {
        bail!(
            "{} holds none of the files that are needed from it",
            wheel.display()
        );
    }
    Ok(count)
}

/// Whether `error` of [`extract`] says that the archive is damaged, rather than that the disk is full or the like.
pub fn is_damage(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    use zip::result::ZipError;
    let io = match error.downcast_ref::<ZipError>() {
        Some(ZipError::Io(io)) => Some(io),
        Some(_) => return true,
        None => error.downcast_ref::<std::io::Error>(),
    };
    io.is_some_and(|io| matches!(io.kind(), InvalidData | InvalidInput | UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn archive(path: &Path, members: &[(&str, &str)]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, text) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn takes_what_is_kept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        archive(
            &wheel,
            &[("torch/lib/a.so", "code"), ("torch/x.py", "text"), ("RECORD", "")],
        );
        let tree = folder.path().join("tree");
        assert_eq!(extract(&wheel, &tree, |name| name.ends_with(".so")).unwrap(), 1);
        assert_eq!(fs::read_to_string(tree.join("torch/lib/a.so")).unwrap(), "code");
        assert!(!tree.join("torch/x.py").exists());
        assert!(extract(&wheel, &tree, |_| false).is_err());
    }

    #[test]
    fn damaged_and_hostile_archives_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        let wheel = folder.path().join("a.whl");
        archive(
            &wheel,
            &[(
                "torch/lib/a.so",
                "a text that is long enough to be hit in its middle",
            )],
        );
        let bytes = fs::read(&wheel).unwrap();
        let mut flipped = bytes.clone();
        flipped[60] ^= 0xff;
        for damaged in [&flipped[..], &bytes[..bytes.len() / 2], b""] {
            fs::write(&wheel, damaged).unwrap();
            let error = extract(&wheel, &tree, |_| true).unwrap_err();
            assert!(is_damage(&error), "{error:#}");
        }
        fs::write(&wheel, &bytes).unwrap();
        let unwritable = folder.path().join("a.whl");
        assert!(!is_damage(&extract(&wheel, &unwritable, |_| true).unwrap_err()));
        archive(&wheel, &[("../outside.so", "x")]);
        assert!(extract(&wheel, &tree, |_| true).is_err());
        assert!(!folder.path().join("outside.so").exists());
    }
}
