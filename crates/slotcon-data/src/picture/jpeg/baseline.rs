//! The everyday JPEG file (sequential, 8 bits, gray or YCbCr in one scan), decoded no further than the rows and columns that
//! are wanted. Pixels equal libjpeg-turbo's.

use super::colour::{Plane, Rows, Sampling, rgb_row};
use super::header::Header;
use super::huffman::{BLOCK, Bits, Steps, Table, read_block, skip_block};
use super::idct::Transform;
use crate::geometry::CropBox;

/// The memory a thread keeps to decode one file after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    scan: Vec<u8>,
    planes: Vec<Plane>,
    rows: Rows,
}

/// Zeros behind the scan, so that bits can be read eight bytes at a time.
const PADDING: usize = 16;

/// Copies the scan without the zeros that are stuffed behind every 0xff, and notes where each restart begins.
/// None when the scan does not end with an end marker: it is cut short, or there are more scans.
fn unstuff(bytes: &[u8], out: &mut Vec<u8>) -> Option<Vec<usize>> {
    out.clear();
    out.reserve(bytes.len() + PADDING);
    let mut starts = vec![0];
    let mut rest = bytes;
    loop {
        let stop = memchr::memchr(0xff, rest)?;
        match *rest.get(stop + 1)? {
            0 => {
                out.extend_from_slice(&rest[..=stop]);
                rest = &rest[stop + 2..];
            }
            0xd0..=0xd7 => {
                out.extend_from_slice(&rest[..stop]);
                // Bits beyond the end of an interval read as those of the next one; `used` tells that they were read.
                starts.push(out.len());
                rest = &rest[stop + 2..];
            }
            // Fill bytes before a marker.
            0xff => {
                out.extend_from_slice(&rest[..stop]);
                rest = &rest[stop + 1..];
            }
            0xd9 => {
                out.extend_from_slice(&rest[..stop]);
                starts.push(out.len());
                out.resize(out.len() + PADDING, 0);
                return Some(starts);
            }
            _ => return None,
        }
    }
}

/// What is fixed while a component is read.
struct Reading<'a> {
    /// Huffman tables of the DC and the AC coefficients.
    dc: &'a Table,
    ac: &'a Table,
    /// To pass over blocks by.
    steps: &'a Steps,
    quantisation: &'a [i16; 64],
    across: usize,
    down: usize,
}

/// MCUs in one direction that must be transformed.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    end: usize,
}

impl Span {
    /// The MCUs of `size` pixels that hold `from..to`, and one more to either side where upsampling looks beyond them.
    fn around(from: usize, to: usize, size: usize, all: usize) -> Self {
        Self {
            first: (from / size).saturating_sub(1),
            end: (to.div_ceil(size) + 1).min(all),
        }
    }

    fn holds(&self, mcu: usize) -> bool {
        self.first <= mcu && mcu < self.end
    }
}

/// Decodes the pixels inside both `boxes` into `out` (`[height, width, 3]` of the box around them, undefined where neither
/// lies). None when the file is not whole.
pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    boxes: &[CropBox; 2],
    memory: &mut Memory,
    out: &mut Vec<u8>,
) -> Option<()> {
    let Memory { scan, planes, rows } = memory;
    let starts = unstuff(&bytes[header.scan..], scan)?;
    let sampling = (header.components[0].across, header.components[0].down);
    let (mcu_width, mcu_height) = (8 * sampling.0, 8 * sampling.1);
    let (columns, lines) = (
        header.width.div_ceil(mcu_width),
        header.height.div_ceil(mcu_height),
    );
    planes.resize_with(header.components.len(), Plane::default);
    let mut reading = Vec::with_capacity(3);
    for (c, plane) in planes.iter_mut().enumerate() {
        let component = &header.components[c];
        plane.stride = columns * component.across * 8;
        let size = plane.stride * lines * component.down * 8;
        if plane.values.len() < size {
            plane.values.resize(size, 0);
        }
        // As many values as it takes to cover the picture.
        plane.width = (header.width * component.across).div_ceil(sampling.0);
        plane.height = (header.height * component.down).div_ceil(sampling.1);
        let ((dc, ac), quantisation) = (header.tables(c)?, header.quantisation(c)?);
        reading.push(Reading {
            dc,
            ac,
            steps: ac.steps(),
            quantisation,
            across: component.across,
            down: component.down,
        });
    }
    let spans = boxes.each_ref().map(|b| {
        let [left, top, right, bottom] = [b.left, b.top, b.right(), b.bottom()].map(|v| v as usize);
        let across = Span::around(left, right, mcu_width, columns);
        (Span::around(top, bottom, mcu_height, lines), across)
    });
    let mcus = McuGrid {
        columns,
        spans,
        restart: header.restart,
    };
    let transform = Transform::best();
    crate::simd::dispatch(
        #[inline(always)]
        || {
            read_scan(scan, &starts, &mcus, &reading, planes, transform)?;
            convert(planes, sampling, boxes, rows, out);
            Some(())
        },
    )
}

/// How the MCUs (the groups of blocks that are coded together) lie, and which of them are wanted: lines and columns of either box.
struct McuGrid {
    columns: usize,
    spans: [(Span, Span); 2],
    restart: usize,
}

#[inline(always)]
fn read_scan(
    scan: &[u8],
    starts: &[usize],
    mcus: &McuGrid,
    reading: &[Reading],
    planes: &mut [Plane],
    transform: Transform,
) -> Option<()> {
    let mut interval = 0;
    let mut bits = Bits::new(&scan[starts[0]..]);
    let mut before = [0i32; 3];
    let mut until_restart = mcus.restart;
    let [(down_a, across_a), (down_b, across_b)] = mcus.spans;
    for line in 0..down_a.end.max(down_b.end) {
        let (in_a, in_b) = (down_a.holds(line), down_b.holds(line));
        for column in 0..mcus.columns {
            if mcus.restart > 0 {
                if until_restart == 0 {
                    if bits.used() > starts[interval + 1] - starts[interval] {
                        return None;
                    }
                    interval += 1;
                    // The last start is the end of the scan.
                    if interval + 1 >= starts.len() {
                        return None;
                    }
                    bits = Bits::new(&scan[starts[interval]..]);
                    before = [0; 3];
                    until_restart = mcus.restart;
                }
                until_restart -= 1;
            }
            let wanted = (in_a && across_a.holds(column)) || (in_b && across_b.holds(column));
            for ((component, plane), before) in reading.iter().zip(planes.iter_mut()).zip(&mut before) {
                for part in 0..component.down * component.across {
                    let Reading { dc, ac, steps, .. } = component;
                    if wanted {
                        let mut block = [0i16; BLOCK];
                        let last = read_block(&mut bits, dc, ac, before, &mut block)?;
                        let (down, across) = (part / component.across, part % component.across);
                        let y = (line * component.down + down) * 8;
                        let x = (column * component.across + across) * 8;
                        let start = y * plane.stride + x;
                        let room = &mut plane.values[start..start + 7 * plane.stride + 8];
                        transform.run(&block, last, component.quantisation, room, plane.stride);
                    } else {
                        skip_block(&mut bits, dc, ac, steps, before)?;
                    }
                }
            }
        }
    }
    (bits.used() <= starts[interval + 1] - starts[interval]).then_some(())
}

#[inline(always)]
fn convert(planes: &[Plane], sampling: Sampling, boxes: &[CropBox; 2], rows: &mut Rows, out: &mut Vec<u8>) {
    let all = boxes[0].union(&boxes[1]);
    let stride = all.width as usize * 3;
    out.resize(stride * all.height as usize, 0);
    for (y, out) in (all.top..).zip(out.chunks_exact_mut(stride)) {
        // From where the first box of this row begins to where the last one ends.
        let here = boxes.iter().filter(|b| b.top <= y && y < b.bottom());
        let Some(left) = here.clone().map(|b| b.left).min() else {
            continue;
        };
        let right = here.map(|b| b.right()).max().unwrap_or(left);
        let part = (left - all.left) as usize * 3..(right - all.left) as usize * 3;
        rgb_row(planes, sampling, y as usize, left as usize, &mut out[part], rows);
    }
}
