//! TensorBoard's event files: every logged number as a scalar.
//!
//! A file is a sequence of records, a record is an `Event` message of TensorFlow's protocol buffers
//! (`event.proto`, `summary.proto`). The five fields that scalars need are encoded here; the crates that do it bring
//! a protocol-buffer compiler along.
//!
//! | record | bytes |
//! |---|---|
//! | length of the data | 8, little-endian |
//! | masked CRC-32C of these 8 bytes | 4 |
//! | data | length |
//! | masked CRC-32C of the data | 4 |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Observer;
use crate::error::Error;
use crate::machine::host_name;
use crate::metrics::Metrics;

const PREFIX: &str = "events.out.tfevents.";

/// Writes one event file; TensorBoard expects a new one from every start of a program and reads them in the order of
/// their names.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
    started: bool,
}

impl EventWriter {
    /// Starts a file in `folder`, named so that it is read after those of earlier runs in it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let mut stamp = seconds_since_epoch() as u64;
        if let Some(newest) = newest_stamp(folder)? {
            // Started within the same second, or the clock was set back.
            stamp = stamp.max(newest + 1);
        }
        let host = host_name();
        let path = folder.join(format!("{PREFIX}{stamp:010}.{host}.{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let mut writer = Self {
            path,
            file,
            started: false,
        };
        writer.write(&[event(0, &string_field(3, "brain.Event:2"))])?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes these `(tag, value)` pairs for a step. They reach the file at once and together; what earlier files hold
    /// for the first step written here and later ones no longer counts, so that a resumed run has no second curve.
    ///
    /// # Errors
    /// What the file system says.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let summary: Vec<u8> = values
            .into_iter()
            .flat_map(|(tag, value)| {
                let mut scalar = string_field(1, tag);
                scalar.push(tag_byte(2, FIXED32));
                scalar.extend((value as f32).to_le_bytes());
                bytes_field(1, &scalar)
            })
            .collect();
        let mut events = Vec::new();
        if !self.started {
            // SessionLog.status = START: the reader drops what it has of this and later steps.
            events.push(event(step, &bytes_field(7, &[tag_byte(1, VARINT), 1])));
        }
        events.push(event(step, &bytes_field(5, &summary)));
        self.write(&events)?;
        self.started = true;
        Ok(())
    }

    /// One call to the system, so that a kill leaves whole records.
    fn write(&mut self, events: &[Vec<u8>]) -> io::Result<()> {
        let records: Vec<u8> = events.iter().flat_map(|data| record(data)).collect();
        self.file.write_all(&records)
    }
}

impl Observer for EventWriter {
    fn logged(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let fail = |path: &Path, e| Error::write(path, "cannot write")(e);
        let numbers = metrics.numbers();
        let scalars = numbers
            .iter()
            .filter(|(tag, value)| tag != "step" && value.is_finite())
            .map(|(tag, value)| (tag.as_ref(), *value));
        self.scalars(metrics.step, scalars)
            .map_err(|e| fail(&self.path, e))
    }
}

/// The largest time stamp among the event files of a folder.
fn newest_stamp(folder: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let stamp = name.to_string_lossy().strip_prefix(PREFIX).and_then(|rest| {
            let (stamp, _) = rest.split_once('.')?;
            stamp.parse().ok()
        });
        newest = newest.max(stamp);
    }
    Ok(newest)
}

fn seconds_since_epoch() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

/// The byte that opens a field; field numbers up to 15 fit into one.
const fn tag_byte(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn bytes_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    [
        &[tag_byte(field, LENGTH_DELIMITED)][..],
        &varint(bytes.len() as u64),
        bytes,
    ]
    .concat()
}

fn string_field(field: u8, text: &str) -> Vec<u8> {
    bytes_field(field, text.as_bytes())
}

/// An `Event`: wall time (1), step (2) and `what`, an encoded field.
fn event(step: u64, what: &[u8]) -> Vec<u8> {
    let time = seconds_since_epoch().to_le_bytes();
    [
        &[tag_byte(1, FIXED64)][..],
        &time,
        &[tag_byte(2, VARINT)],
        &varint(step),
        what,
    ]
    .concat()
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), data, &masked_crc(data)].concat()
}

/// The checksum as records store it: a CRC of data that holds its own CRC is a poor one, hence the mask.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of every record, framing and checksums verified.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let (length_crc, rest) = rest.split_at(4);
            assert_eq!(length_crc, masked_crc(length));
            let (data, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (data_crc, rest) = rest.split_at(4);
            assert_eq!(data_crc, masked_crc(data));
            all.push(data.to_vec());
            bytes = rest;
        }
        all
    }

    /// The fields of a message as (number, value); fixed and varint values as their little-endian bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some((&tag, rest)) = bytes.split_first() {
            let (value, rest) = match tag & 7 {
                FIXED64 => (rest[..8].to_vec(), &rest[8..]),
                FIXED32 => (rest[..4].to_vec(), &rest[4..]),
                VARINT => {
                    let (value, rest) = read_varint(rest);
                    (value.to_le_bytes().to_vec(), rest)
                }
                LENGTH_DELIMITED => {
                    let (length, rest) = read_varint(rest);
                    (rest[..length as usize].to_vec(), &rest[length as usize..])
                }
                other => panic!("wire type {other}"),
            };
            all.push((tag >> 3, value));
            bytes = rest;
        }
        all
    }

    fn read_varint(bytes: &[u8]) -> (u64, &[u8]) {
        let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let value = bytes[..end]
            .iter()
            .rev()
            .fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
        (value, &bytes[end..])
    }

    fn of(event: &[(u8, Vec<u8>)], number: u8) -> Option<&[u8]> {
        event
            .iter()
            .find(|(n, _)| *n == number)
            .map(|(_, value)| value.as_slice())
    }

    #[test]
    fn the_checksum_is_masked() {
        // The CRC-32C of the standard check string is e3069283; the mask is that of TensorFlow's record format.
        let masked = 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked_crc(b"123456789"), masked.to_le_bytes());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        writer
            .scalars(300, [("loss", 7.25), ("groups/in use", f64::NAN)])
            .unwrap();
        writer.scalars(1 << 40, [("loss", -1e-3)]).unwrap();

        let events: Vec<_> = records(&fs::read(writer.path()).unwrap())
            .iter()
            .map(|data| fields(data))
            .collect();
        assert_eq!(events.len(), 4);
        assert_eq!(of(&events[0], 3), Some(b"brain.Event:2".as_slice()));
        assert_eq!(
            fields(of(&events[1], 7).unwrap()),
            [(1, 1u64.to_le_bytes().to_vec())]
        );
        assert_eq!(of(&events[1], 2), Some(300u64.to_le_bytes().as_slice()));

        let values: Vec<_> = fields(of(&events[2], 5).unwrap())
            .iter()
            .map(|(number, value)| (*number, fields(value)))
            .collect();
        assert_eq!(values.len(), 2);
        assert_eq!(values[0].0, 1);
        assert_eq!(of(&values[0].1, 1), Some(b"loss".as_slice()));
        assert_eq!(of(&values[0].1, 2), Some(7.25f32.to_le_bytes().as_slice()));
        assert_eq!(of(&values[1].1, 1), Some(b"groups/in use".as_slice()));
        assert_eq!(of(&events[3], 2), Some((1u64 << 40).to_le_bytes().as_slice()));
        let seconds = f64::from_le_bytes(of(&events[3], 1).unwrap().try_into().unwrap());
        assert!((seconds - seconds_since_epoch()).abs() < 60.0);
    }

    #[test]
    fn files_of_one_folder_sort_by_their_start() {
        let folder = tempfile::tempdir().unwrap();
        let future = seconds_since_epoch() as u64 + 5000;
        fs::write(folder.path().join(format!("{PREFIX}{future}.host.1")), "").unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| {
                EventWriter::create(folder.path())
                    .unwrap()
                    .path()
                    .file_name()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert!(
            names[0]
                .to_string_lossy()
                .starts_with(&format!("{PREFIX}{}", future + 1))
        );
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(EventWriter::create(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn a_logged_step_is_scalars_by_name_without_those_that_are_not_finite() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        let metrics = Metrics {
            step: 3,
            loss: f64::NAN,
            task: vec![("groups/used".into(), 3.0)],
            ..Metrics::default()
        };
        writer.logged(&metrics).unwrap();
        let bytes = fs::read(writer.path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("groups/used") && holds("pictures_per_second"));
        assert!(!bytes.windows(6).any(|window| window == b"\x0a\x04loss"));
    }
}
