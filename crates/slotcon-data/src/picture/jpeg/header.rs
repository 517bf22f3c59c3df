//! What comes before the pixels of a JPEG file: sizes, tables, and how the components are laid out.

use super::huffman::{PLACES, Table};

/// A component (Y, Cb or Cr) as the frame declares it.
#[derive(Clone, Debug)]
pub(super) struct Component {
    id: u8,
    /// Blocks across and down in each group of blocks.
    pub(super) across: usize,
    pub(super) down: usize,
    factors: usize,
    pub(super) mean: usize,
    pub(super) rest: usize,
}

/// All that is needed to read the one scan of an everyday JPEG file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One component (gray) or three (YCbCr).
    pub(super) components: Vec<Component>,
    /// Factors that undo the quantisation, by table, in the order of the blocks.
    factors: [Option<[i16; 64]>; 4],
    means: [Option<Table>; 4],
    rests: [Option<Table>; 4],
    /// Groups of blocks between restarts; 0 means none.
    pub(super) restart: usize,
    /// Where the entropy-coded bytes begin.
    pub(super) scan: usize,
    /// Where the EXIF block lies, if there is one.
    pub(super) exif: Option<std::ops::Range<usize>>,
}

impl Header {
    pub(super) fn factors(&self, component: usize) -> Option<&[i16; 64]> {
        self.factors[self.components[component].factors].as_ref()
    }

    pub(super) fn tables(&self, component: usize) -> Option<(&Table, &Table)> {
        let Component { mean, rest, .. } = self.components[component];
        Some((self.means[mean].as_ref()?, self.rests[rest].as_ref()?))
    }

    /// Reads up to the first scan. None for whatever is not everyday: progressive, arithmetic, 12 bits, four inks, RGB,
    /// components in scans of their own, or broken.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut header = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            factors: [None; 4],
            means: [const { None }; 4],
            rests: [const { None }; 4],
            restart: 0,
            scan: 0,
            exif: None,
        };
        let (mut jfif, mut adobe) = (false, None);
        let mut at = 2;
        loop {
            if *bytes.get(at)? != 0xff {
                return None;
            }
            let marker = *bytes.get(at + 1)?;
            if marker == 0xff {
                at += 1;
                continue;
            }
            let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
            let start = at + 4;
            let content = bytes.get(start..(at + 2).checked_add(length)?)?;
            at += 2 + length;
            match marker {
                0xc0 | 0xc1 => header.frame(content)?,
                0xc4 => header.huffman(content)?,
                0xdb => header.quantisation(content)?,
                0xdd => {
                    header.restart = usize::from(u16::from_be_bytes([*content.first()?, *content.get(1)?]))
                }
                0xda => {
                    header.scan(content)?;
                    header.scan = at;
                    return header.colours_are_everyday(jfif, adobe).then_some(header);
                }
                0xe0 => jfif |= content.starts_with(b"JFIF\0"),
                0xe1 if header.exif.is_none() && content.starts_with(b"Exif\0\0") => {
                    header.exif = Some(start + 6..start + content.len());
                }
                0xee if content.starts_with(b"Adobe") => adobe = content.get(11).copied(),
                0xe1..=0xef | 0xfe => {}
                _ => return None,
            }
        }
    }

    /// By the rules of libjpeg: gray, or YCbCr unless something says RGB.
    fn colours_are_everyday(&self, jfif: bool, adobe: Option<u8>) -> bool {
        let ids: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        match (self.components.len(), jfif, adobe) {
            (1, ..) | (3, true, _) | (3, false, Some(1)) => true,
            (3, false, None) => ids != *b"RGB",
            _ => false,
        }
    }

    fn frame(&mut self, content: &[u8]) -> Option<()> {
        let [8, h0, h1, w0, w1, count, rest @ ..] = content else {
            return None;
        };
        if !self.components.is_empty() {
            return None;
        }
        self.height = usize::from(u16::from_be_bytes([*h0, *h1]));
        self.width = usize::from(u16::from_be_bytes([*w0, *w1]));
        if self.height == 0 || self.width == 0 || rest.len() != usize::from(*count) * 3 {
            return None;
        }
        for c in rest.chunks_exact(3) {
            let (across, down) = (usize::from(c[1] >> 4), usize::from(c[1] & 15));
            let factors = usize::from(c[2]);
            if factors > 3 {
                return None;
            }
            self.components.push(Component {
                id: c[0],
                across,
                down,
                factors,
                mean: 0,
                rest: 0,
            });
        }
        // Gray, or colours that are as fine as the brightness or half as fine.
        match &mut self.components[..] {
            [gray] => {
                (gray.across, gray.down) = (1, 1);
                Some(())
            }
            [y, b, r] => {
                let fits = [(1, 1), (2, 1), (1, 2), (2, 2)].contains(&(y.across, y.down))
                    && [b.across, b.down, r.across, r.down] == [1; 4];
                fits.then_some(())
            }
            _ => None,
        }
    }

    fn quantisation(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let (wide, number) = (kind >> 4, usize::from(kind & 15));
            let bytes = if wide == 0 { 64 } else { 128 };
            if wide > 1 || number > 3 || rest.len() < bytes {
                return None;
            }
            let mut factors = [0; 64];
            for k in 0..64 {
                let factor = match wide {
                    0 => u16::from(rest[k]),
                    _ => u16::from_be_bytes([rest[k * 2], rest[k * 2 + 1]]),
                };
                factors[usize::from(PLACES[k])] = i16::try_from(factor).ok()?;
            }
            self.factors[number] = Some(factors);
            content = &rest[bytes..];
        }
        Some(())
    }

    fn huffman(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let (class, number) = (kind >> 4, usize::from(kind & 15));
            let counts: &[u8; 16] = rest.get(..16)?.try_into().ok()?;
            let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
            let symbols = rest.get(16..16 + total)?;
            if class > 1 || number > 3 || (class == 0 && symbols.iter().any(|&s| s > 11)) {
                return None;
            }
            let table = Table::new(counts, symbols)?;
            let tables = if class == 0 {
                &mut self.means
            } else {
                &mut self.rests
            };
            tables[number] = Some(table);
            content = &rest[16 + total..];
        }
        Some(())
    }

    /// The scan must hold all components at once.
    fn scan(&mut self, content: &[u8]) -> Option<()> {
        let [count, rest @ ..] = content else { return None };
        let count = usize::from(*count);
        if count == 0 || count != self.components.len() || rest.len() != count * 2 + 3 {
            return None;
        }
        for (component, choice) in self.components.iter_mut().zip(rest.chunks_exact(2)) {
            (component.mean, component.rest) = (usize::from(choice[1] >> 4), usize::from(choice[1] & 15));
            if choice[0] != component.id || component.mean > 3 || component.rest > 3 {
                return None;
            }
        }
        (rest[count * 2..] == [0, 63, 0]).then_some(())
    }
}
