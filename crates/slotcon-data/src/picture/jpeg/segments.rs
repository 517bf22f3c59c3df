//! A JPEG file as the run of segments that it is (ITU-T T.81, annex B): what decodes its pixels is kept, in order, without what
//! lies stray between the segments. A decoder that gets this has no reason to warn of anything but damaged pixels.

use crate::error::PictureError;

/// Scans that no photo needs: a file of many scans takes a decoder long for few bytes.
const MAX_SCANS: usize = 500;

/// A file's segments.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// Tables, frame, scans and what says how colours are meant, from SOI to EOI.
    pub(super) stream: Vec<u8>,
    /// The EXIF block, without its `Exif\0\0`.
    pub(super) exif: Option<Vec<u8>>,
    /// The frame's components.
    pub(super) components: u8,
}

fn refuse(reason: &str) -> PictureError {
    PictureError::Decode {
        format: "JPEG",
        reason: reason.to_owned(),
    }
}

impl Segments {
    /// Reads `bytes`, the file.
    ///
    /// # Errors
    /// What no decoder here takes, in plain words: 12 bits, lossless, hierarchical; a file cut inside a segment.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PictureError> {
        let mut segments = Self::default();
        segments.stream.extend([0xff, 0xd8]);
        let (mut at, mut scans, mut progressive) = (2, 0, false);
        while let Some((marker, next)) = find_marker(bytes, at) {
            at = next;
            match marker {
                0xd9 => {
                    segments.stream.extend([0xff, 0xd9]);
                    return Ok(segments);
                }
                // Restarts outside a scan and TEM hold nothing.
                0x01 | 0xd0..=0xd7 => continue,
                0xd8 => return Err(refuse("a second picture begins inside it")),
                _ => {}
            }
            let cut = || refuse("it is cut short inside its header");
            let length = bytes.get(at..at + 2).ok_or_else(cut)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let content = bytes.get(at + 2..at + length).ok_or_else(cut)?;
            at += length;
            match marker {
                0xc0..=0xc2 | 0xc9 | 0xca => {
                    progressive = matches!(marker, 0xc2 | 0xca);
                    segments.frame(content)?;
                }
                0xc3 | 0xcb => {
                    return Err(refuse(
                        "it is lossless JPEG, which is not read: save it as PNG or TIFF",
                    ));
                }
                0xc5..=0xc7 | 0xcd..=0xcf => {
                    return Err(refuse("it is hierarchical JPEG, which is not read: save it anew"));
                }
                0xe1 if segments.exif.is_none() => {
                    segments.exif = content.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec);
                }
                _ => {}
            }
            let colours = (marker == 0xe0 && content.starts_with(b"JFIF\0"))
                || (marker == 0xee && content.starts_with(b"Adobe") && content.len() >= 12);
            let pixels = matches!(marker, 0xc0..=0xcf | 0xda..=0xdd);
            if !colours && !pixels {
                continue;
            }
            segments.stream.extend([0xff, marker]);
            segments.stream.extend(&bytes[at - length..at]);
            if marker == 0xda {
                let end = end_of_scan(bytes, at);
                segments.stream.extend(&bytes[at..end]);
                at = end;
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(refuse("it has more than 500 scans"));
                }
            }
        }
        // Only the end marker may be missing, and only where nothing but the end can have followed.
        if scans == 1 && !progressive {
            segments.stream.extend([0xff, 0xd9]);
        }
        Ok(segments)
    }

    fn frame(&mut self, content: &[u8]) -> Result<(), PictureError> {
        let [bits, _, _, _, _, components, ..] = content else {
            return Err(refuse("its frame header is cut short"));
        };
        if *bits != 8 {
            return Err(refuse(&format!(
                "it has {bits} bits a colour, only 8 are read: save it as PNG or TIFF of 16 bits"
            )));
        }
        self.components = *components;
        Ok(())
    }
}

/// The next marker from `at` on, past stray bytes and fill bytes, and where its content begins.
fn find_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += memchr::memchr(0xff, bytes.get(at..)?)?;
        while *bytes.get(at)? == 0xff {
            at += 1;
        }
        if bytes[at] != 0 {
            return Some((bytes[at], at + 1));
        }
    }
}

/// Where the entropy-coded bytes from `at` on end: at a marker that is no restart, or at the end of the file.
fn end_of_scan(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(0xff, rest)) {
        at += found;
        match bytes.get(at + 1) {
            Some(0 | 0xd0..=0xd7) => at += 2,
            Some(0xff) => at += 1,
            Some(_) => {
                // Fill bytes in front of the marker are none of the scan's.
                while at > start && bytes[at - 1] == 0xff {
                    at -= 1;
                }
                return at;
            }
            None => break,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = &[0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0];
    const SCAN: &[u8] = &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 7, 0xff, 0, 9, 0xff, 0xd0, 3];

    fn read(parts: &[&[u8]]) -> Result<Segments, PictureError> {
        Segments::read(&parts.concat())
    }

    #[test]
    fn stray_and_fill_bytes_and_comments_are_left_out() {
        let plain = read(&[HEAD, SCAN, &[0xff, 0xd9]]).unwrap();
        assert_eq!(plain.stream, [HEAD, SCAN, &[0xff, 0xd9]].concat());
        assert_eq!(plain.components, 1);
        let comment = [0xff, 0xfe, 0, 4, 1, 2];
        let fill = [0xff, 0xff];
        let odd = read(&[
            HEAD,
            &[0, 0, 5],
            &comment,
            &fill,
            SCAN,
            &[0xff, 0xff, 0xd9],
            b"more",
        ])
        .unwrap();
        assert_eq!(odd.stream, plain.stream);
    }

    #[test]
    fn the_end_is_added_where_nothing_else_can_be_missing() {
        assert!(read(&[HEAD, SCAN]).unwrap().stream.ends_with(&[3, 0xff, 0xd9]));
        let mut progressive = HEAD.to_vec();
        progressive[3] = 0xc2;
        assert!(read(&[&progressive, SCAN]).unwrap().stream.ends_with(&[0xd0, 3]));
    }

    #[test]
    fn what_is_not_read_is_told_in_plain_words() {
        let reason = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut head = HEAD.to_vec();
            change(&mut head);
            read(&[&head, SCAN]).unwrap_err().to_string()
        };
        assert!(reason(&|head| head[6] = 12).contains("12 bits"));
        assert!(reason(&|head| head[3] = 0xc3).contains("lossless"));
        assert!(reason(&|head| head[3] = 0xc5).contains("hierarchical"));
        assert!(read(&[&HEAD[..9]]).unwrap_err().to_string().contains("cut short"));
    }

    #[test]
    fn the_first_exif_block_counts() {
        let block = |text: &[u8]| {
            [
                &[0xff, 0xe1, 0, 8 + text.len() as u8],
                b"Exif\0\0".as_slice(),
                text,
            ]
            .concat()
        };
        let segments = read(&[HEAD, &block(b"one"), &block(b"two"), SCAN]).unwrap();
        assert_eq!(segments.exif.unwrap(), b"one");
    }
}
