//! What comes before the pixels of a JPEG file: sizes, tables, and how the components are laid out.

use super::huffman::{Table, ZIGZAG};

/// A component (Y, Cb or Cr) as the frame declares it.
#[derive(Clone, Debug)]
pub(super) struct Component {
    id: u8,
    /// Sampling factors: blocks across and down in each MCU.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Numbers of its tables: quantisation, Huffman codes of the DC and of the AC coefficients.
    quantisation: usize,
    dc: usize,
    ac: usize,
}

/// All that is needed to read the one scan of an everyday JPEG file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One component (gray) or three (YCbCr).
    pub(super) components: Vec<Component>,
    /// Quantisation tables, by number, in the order in which blocks are kept.
    quantisation: [Option<[i16; 64]>; 4],
    /// Huffman tables of the DC and the AC coefficients, by number.
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// MCUs between restarts; 0 means none.
    pub(super) restart: usize,
    /// Where the entropy-coded bytes begin.
    pub(super) scan: usize,
    /// Where the EXIF block lies, if there is one.
    pub(super) exif: Option<std::ops::Range<usize>>,
}

impl Header {
    /// The quantisation table of a component.
    pub(super) fn quantisation(&self, component: usize) -> Option<&[i16; 64]> {
        self.quantisation[self.components[component].quantisation].as_ref()
    }

    /// The Huffman tables of a component: DC, AC.
    pub(super) fn tables(&self, component: usize) -> Option<(&Table, &Table)> {
        let Component { dc, ac, .. } = self.components[component];
        Some((self.dc[dc].as_ref()?, self.ac[ac].as_ref()?))
    }

    /// Reads up to the first scan. None for whatever is not everyday: progressive, arithmetic, 12 bits, four inks, RGB,
    /// components in scans of their own, or broken.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut header = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            quantisation: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
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
                0xdb => header.read_quantisation(content)?,
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
            let quantisation = usize::from(c[2]);
            if quantisation > 3 {
                return None;
            }
            self.components.push(Component {
                id: c[0],
                across,
                down,
                quantisation,
                dc: 0,
                ac: 0,
            });
        }
        // Gray, or Cb and Cr that are as fine as Y or half as fine (4:4:4, 4:2:2, 4:4:0, 4:2:0).
        match &mut self.components[..] {
            [gray] => {
                (gray.across, gray.down) = (1, 1);
                Some(())
            }
            [y, cb, cr] => {
                let fits = [(1, 1), (2, 1), (1, 2), (2, 2)].contains(&(y.across, y.down))
                    && [cb.across, cb.down, cr.across, cr.down] == [1; 4];
                fits.then_some(())
            }
            _ => None,
        }
    }

    fn read_quantisation(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let (wide, number) = (kind >> 4, usize::from(kind & 15));
            let bytes = if wide == 0 { 64 } else { 128 };
            if wide > 1 || number > 3 || rest.len() < bytes {
                return None;
            }
            let mut table = [0; 64];
            for k in 0..64 {
                let value = match wide {
                    0 => u16::from(rest[k]),
                    _ => u16::from_be_bytes([rest[k * 2], rest[k * 2 + 1]]),
                };
                table[usize::from(ZIGZAG[k])] = i16::try_from(value).ok()?;
            }
            self.quantisation[number] = Some(table);
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
            let tables = if class == 0 { &mut self.dc } else { &mut self.ac };
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
            (component.dc, component.ac) = (usize::from(choice[1] >> 4), usize::from(choice[1] & 15));
            if choice[0] != component.id || component.dc > 3 || component.ac > 3 {
                return None;
            }
        }
        (rest[count * 2..] == [0, 63, 0]).then_some(())
    }
}
