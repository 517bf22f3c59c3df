//! The masks of SBD (Semantic Boundaries Dataset) as MATLAB wrote them: the class map in a MAT-file of version 5.
//!
//! Only what these files are made of is read: numeric arrays in a structure, compressed or not, little-endian (MathWorks, "MAT-File
//! Format", chapter 1). Every length is checked before it is believed.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::LabelMap;

/// What such a file begins with.
pub(super) const MAGIC: &[u8] = b"MATLAB 5.0 MAT-file";

/// The structure in a file of `dataset/cls`, and its field with the class of every pixel.
const VARIABLE: &str = "GTcls";
const FIELD: &str = "Segmentation";

/// Bytes that a compressed element may become; the largest photo of SBD has 250,000 pixels.
const MOST: u64 = 64 << 20;

const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;
/// Class of a structure, in an array's flags.
const STRUCTURE: u8 = 2;

/// The class map `GTcls.Segmentation` in `file`.
///
/// # Errors
/// A file that is broken, of another kind, or without that field.
pub(super) fn segmentation(file: &[u8]) -> Result<LabelMap, String> {
    let header = file.get(..128).ok_or("the file ends in its header")?;
    match (&header[124..126], &header[126..128]) {
        ([0, 1], b"IM") => {}
        (_, b"MI") => return Err("it was written on a big-endian machine".into()),
        (version, _) => return Err(format!("its version is {version:?}, not 5 (0x0100)")),
    }
    let mut rest = &file[128..];
    while !rest.is_empty() {
        let element = Element::take(&mut rest)?;
        let unpacked;
        let element = if element.kind == COMPRESSED {
            unpacked = unpack(element.data)?;
            Element::take(&mut unpacked.as_slice())?
        } else {
            element
        };
        if element.kind == MATRIX
            && let Some(map) = structure(element.data)?
        {
            return Ok(map);
        }
    }
    Err(format!("it has no {VARIABLE}.{FIELD}"))
}

fn unpack(data: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = ZlibDecoder::new(data).take(MOST + 1).read_to_end(&mut unpacked);
    read.map_err(|e| format!("its compressed part is broken: {e}"))?;
    match unpacked.len() as u64 {
        length if length > MOST => Err(format!("its compressed part becomes more than {MOST} bytes")),
        _ => Ok(unpacked),
    }
}

/// A tag with its data.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

impl<'a> Element<'a> {
    /// The first element of `rest`, which loses it and its padding.
    fn take(rest: &mut &'a [u8]) -> Result<Self, String> {
        let short = || "it ends inside an element".to_owned();
        let word = |at: usize| -> Result<u32, String> {
            let bytes = rest.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            Ok(u32::from_le_bytes(bytes.ok_or_else(short)?))
        };
        let first = word(0)?;
        // A small element has its length in the upper half of the first word and its data in the second.
        let (kind, length, start): (u32, usize, usize) = match first >> 16 {
            0 => (first, word(4)? as usize, 8),
            length => (first & 0xffff, length as usize, 4),
        };
        if start == 4 && length > 4 {
            return Err(format!("a small element claims {length} bytes"));
        }
        let end = start.checked_add(length).ok_or_else(short)?;
        let data = rest.get(start..end).ok_or_else(short)?;
        let padded = if kind == COMPRESSED {
            end
        } else {
            end.next_multiple_of(8)
        };
        *rest = rest.get(padded..).unwrap_or_default();
        Ok(Self { kind, data })
    }

    /// Whole numbers of 8 to 32 bits, or doubles that are whole.
    fn numbers(&self) -> Result<Vec<i64>, String> {
        fn of<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> i64) -> Vec<i64> {
            data.as_chunks::<N>()
                .0
                .iter()
                .map(|&bytes| number(bytes))
                .collect()
        }
        Ok(match self.kind {
            1 => of(self.data, |b| i8::from_le_bytes(b).into()),
            2 => of(self.data, |b: [u8; 1]| b[0].into()),
            3 => of(self.data, |b| i16::from_le_bytes(b).into()),
            4 => of(self.data, |b| u16::from_le_bytes(b).into()),
            5 => of(self.data, |b| i32::from_le_bytes(b).into()),
            6 => of(self.data, |b| u32::from_le_bytes(b).into()),
            9 => of(self.data, |b| f64::from_le_bytes(b) as i64),
            other => return Err(format!("an array has elements of type {other}")),
        })
    }
}

/// An array up to its name: class, sides, name; `rest` keeps its contents.
fn head<'a>(rest: &mut &'a [u8]) -> Result<(u8, Vec<i64>, &'a [u8]), String> {
    let flags = Element::take(rest)?;
    let class = *flags.data.first().ok_or("an array has no class")?;
    let sides = Element::take(rest)?.numbers()?;
    let name = Element::take(rest)?;
    Ok((class, sides, name.data))
}

/// The map in an array, if it is the structure that has it.
fn structure(mut rest: &[u8]) -> Result<Option<LabelMap>, String> {
    // An empty array has no contents at all.
    if rest.is_empty() {
        return Ok(None);
    }
    let (class, sides, name) = head(&mut rest)?;
    if name != VARIABLE.as_bytes() {
        return Ok(None);
    }
    if class != STRUCTURE || sides.iter().product::<i64>() != 1 {
        return Err(format!("{VARIABLE} is no single structure"));
    }
    let length = Element::take(&mut rest)?.numbers()?;
    let &[length @ 1..=64] = &length[..] else {
        return Err(format!("{VARIABLE} has odd names of fields"));
    };
    let names = Element::take(&mut rest)?;
    for name in names.data.chunks(length as usize) {
        let field = Element::take(&mut rest)?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        if name == FIELD.as_bytes() {
            return numeric(field.data).map(Some);
        }
    }
    Err(format!("{VARIABLE} has no field {FIELD}"))
}

/// A numeric array `[height, width]`, which MATLAB keeps column by column.
fn numeric(mut rest: &[u8]) -> Result<LabelMap, String> {
    let (_, sides, _) = head(&mut rest)?;
    let values = Element::take(&mut rest)?.numbers()?;
    let &[height, width] = &sides[..] else {
        return Err(format!("{FIELD} has sides {sides:?}, there must be two"));
    };
    let side = |n: i64| u32::try_from(n).ok().filter(|&n| n > 0 && n <= 1 << 16);
    let (Some(height), Some(width)) = (side(height), side(width)) else {
        return Err(format!("{FIELD} has sides {sides:?}"));
    };
    let (rows, columns) = (height as usize, width as usize);
    if values.len() != rows * columns {
        return Err(format!(
            "{FIELD} is {width}x{height} and has {} values",
            values.len()
        ));
    }
    let mut ids = vec![0; values.len()];
    for (place, &value) in values.iter().enumerate() {
        let id = u16::try_from(value).map_err(|_| format!("{FIELD} holds {value}, which is no class"))?;
        ids[place % rows * columns + place / rows] = id;
    }
    Ok(LabelMap::new(width, height, ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `scipy.io.savemat`, see `tests/sbd/make.py`: rows 0 1 2 3 / 4 20 255 0 / 7 7 7 9.
    const FILES: [&[u8]; 3] = [
        include_bytes!("../../tests/sbd/compressed.mat"),
        include_bytes!("../../tests/sbd/plain.mat"),
        include_bytes!("../../tests/sbd/double.mat"),
    ];

    #[test]
    fn the_class_map_is_found_and_turned_to_rows() {
        for file in FILES {
            let map = segmentation(file).unwrap();
            assert_eq!((map.width(), map.height()), (4, 3));
            assert_eq!(map.ids(), [0, 1, 2, 3, 4, 20, 255, 0, 7, 7, 7, 9]);
        }
    }

    #[test]
    fn no_prefix_and_no_changed_byte_does_harm() {
        for file in FILES {
            for end in 0..file.len() {
                let _ = segmentation(&file[..end]);
            }
            for at in 0..file.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut bytes = file.to_vec();
                    bytes[at] = value;
                    let _ = segmentation(&bytes);
                }
            }
        }
        let said = segmentation(include_bytes!("../../tests/sbd/other.mat")).unwrap_err();
        assert!(said.contains("no GTcls.Segmentation"), "{said}");
    }
}
