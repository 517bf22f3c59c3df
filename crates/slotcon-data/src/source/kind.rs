//! What a file is, by its name, and by its first bytes where the name does not say.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::left_out::Why;
use crate::picture::{Format, SNIFF_BYTES, unread_format};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A picture that is read.
    Picture,
    /// A tar file that is not packed.
    Tar,
    /// Nothing that anybody would miss.
    SomethingElse,
    /// What might be taken for a picture and is not.
    LeftOut(Why),
    /// Only its content can tell.
    Unknown,
}

const PICTURES: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "tif", "tiff", "bmp", "dib", "gif", "ppm", "pgm", "pbm",
    "pnm",
];

/// Pictures in formats that are not read, and what people call them.
const UNREAD: &[(&str, &[&str])] = &[
    ("HEIC", &["heic", "heif", "hif"]),
    ("AVIF", &["avif", "avifs"]),
    ("JPEG 2000", &["jp2", "j2k", "jpf", "jpx", "j2c", "jpc"]),
    ("JPEG XL", &["jxl"]),
    ("JPEG XR", &["jxr", "wdp", "hdp"]),
    (
        "camera raw",
        &[
            "nef", "nrw", "cr2", "cr3", "crw", "arw", "srf", "sr2", "dng", "orf", "rw2", "raf", "pef", "srw",
            "3fr", "iiq", "x3f", "rwl", "kdc", "dcr", "mrw", "erf", "mef", "mos",
        ],
    ),
    ("Photoshop", &["psd", "psb"]),
    ("OpenEXR", &["exr"]),
    ("Radiance HDR", &["hdr"]),
    ("Targa", &["tga"]),
    ("icon", &["ico", "icns"]),
    ("DICOM", &["dcm"]),
    ("NIfTI", &["nii"]),
];

const ARCHIVES: &[&str] = &["zip", "7z", "rar", "tgz", "gz", "xz", "zst", "bz2"];

/// What commonly lies beside pictures. Whatever is in no list is opened to see.
const OTHERS: &[&str] = &[
    "txt",
    "json",
    "jsonl",
    "xml",
    "csv",
    "tsv",
    "md",
    "html",
    "yaml",
    "yml",
    "toml",
    "pdf",
    "npy",
    "npz",
    "pt",
    "pth",
    "pkl",
    "mat",
    "h5",
    "parquet",
    "arrow",
    "safetensors",
    "mp4",
    "avi",
    "mov",
    "mkv",
    "webm",
    "wav",
    "mp3",
    "py",
    "sh",
    "log",
    "lock",
    "db",
    "ini",
    "svg",
    "aae",
    "xmp",
    "cls",
];

/// Folders in which storage systems keep thumbnails and deleted files. (Those with a leading dot are passed over anyway.)
const SIDE_PRODUCTS: &[&str] = &[
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "lost+found",
    "__MACOSX",
];

/// Folders with a leading dot in which deleted pictures or thumbnails lie; their content is told.
const HIDDEN_SIDE_PRODUCTS: &[&str] = &[".Trash", ".Trashes", ".thumbnails", ".trash", ".recycle"];

/// What the result of a picture is called: the picture's whole name with one of these behind it.
const RESULTS: &[&str] = &[".labels.png", ".overlay.png", ".overlay.jpg"];

/// What the name of a file says.
pub(super) fn of_name(name: &OsStr) -> Kind {
    // Names with a leading dot are other programs' business (".DS_Store", "._photo.jpg").
    if name.as_bytes().first() == Some(&b'.') {
        return Kind::SomethingElse;
    }
    if is_result(name) {
        return Kind::LeftOut(Why::Result);
    }
    let Some(extension) = extension(name) else {
        return Kind::Unknown;
    };
    let has = |list: &[&str]| list.contains(&extension.as_str());
    if has(PICTURES) {
        return Kind::Picture;
    }
    if let Some((format, _)) = UNREAD.iter().find(|(_, extensions)| has(extensions)) {
        return Kind::LeftOut(Why::Unread(format));
    }
    match () {
        () if extension == "tar" => Kind::Tar,
        () if has(ARCHIVES) => Kind::LeftOut(Why::Archive),
        () if has(OTHERS) => Kind::SomethingElse,
        () => Kind::Unknown,
    }
}

/// What a file is whose first bytes are these.
pub(super) fn of_content(start: &[u8]) -> Kind {
    match Format::of(start) {
        Some(_) => Kind::Picture,
        None => unread_format(start).map_or(Kind::SomethingElse, |format| Kind::LeftOut(Why::Unread(format))),
    }
}

/// What a file that its name does not tell is by its content.
pub(super) fn of_file(path: &Path) -> Kind {
    let mut start = [0; SNIFF_BYTES];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.map_or(Kind::SomethingElse, |n| of_content(&start[..n]))
}

/// What a tar file is packed by, from its first bytes.
pub(super) fn packed_by(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [b'B', b'Z', b'h', ..] => "bzip2",
        _ => return None,
    })
}

/// Whether a folder holds thumbnails or deleted files of a storage system.
pub(super) fn is_side_product(folder: &OsStr) -> bool {
    let name = folder.to_string_lossy();
    SIDE_PRODUCTS.contains(&&*name) || HIDDEN_SIDE_PRODUCTS.iter().any(|known| name.starts_with(known))
}

/// Whether this program wrote it about a picture of the name in front.
fn is_result(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    let source = RESULTS.iter().find_map(|ending| name.strip_suffix(ending));
    source.is_some_and(|source| {
        let picture = Path::new(source)
            .extension()
            .map(|e| e.to_string_lossy().into_owned());
        picture.is_some_and(|e| PICTURES.contains(&e.as_str()))
    })
}

/// The extension in lower case.
pub(super) fn extension(name: &OsStr) -> Option<String> {
    Some(
        Path::new(name)
            .extension()?
            .to_string_lossy()
            .to_ascii_lowercase(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        let of = |name: &str| of_name(OsStr::new(name));
        for (name, kind) in [
            ("a.JPG", Kind::Picture),
            ("scan.pgm", Kind::Picture),
            ("a.b.png", Kind::Picture),
            ("notes.txt", Kind::SomethingElse),
            (".a.jpg", Kind::SomethingElse),
            ("noname", Kind::Unknown),
            ("train.tar", Kind::Tar),
            ("train.tar.gz", Kind::LeftOut(Why::Archive)),
            ("IMG.HEIC", Kind::LeftOut(Why::Unread("HEIC"))),
            ("DSC_1.NEF", Kind::LeftOut(Why::Unread("camera raw"))),
            ("a.jpg.labels.png", Kind::LeftOut(Why::Result)),
            ("a.PNG.overlay.png", Kind::LeftOut(Why::Result)),
            // A user's own labels, not of this program's naming.
            ("a.labels.png", Kind::Picture),
        ] {
            assert_eq!(of(name), kind, "{name}");
        }
        assert!(is_side_product(OsStr::new("@eaDir")) && is_side_product(OsStr::new(".Trash-1000")));
        assert!(!is_side_product(OsStr::new("Trash")) && !is_side_product(OsStr::new("holiday")));
    }

    #[test]
    fn first_bytes_tell() {
        assert_eq!(of_content(b"\xff\xd8\xff\xe0"), Kind::Picture);
        assert_eq!(
            of_content(b"\0\0\0\x1cftypheic"),
            Kind::LeftOut(Why::Unread("HEIC"))
        );
        assert_eq!(
            of_content(b"\0\0\0\x1cftypavif"),
            Kind::LeftOut(Why::Unread("AVIF"))
        );
        assert_eq!(of_content(b"\0\0\0\x1cftypmp42"), Kind::SomethingElse);
        assert_eq!(of_content(b"words"), Kind::SomethingElse);
        assert_eq!(packed_by(b"\x1f\x8b\x08"), Some("gzip"));
        assert_eq!(packed_by(b"0000.jpg"), None);
    }
}
