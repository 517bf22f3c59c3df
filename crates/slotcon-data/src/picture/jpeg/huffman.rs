//! Huffman codes: tables that give a coefficient in one look-up, and the reader of bits they work on.

use std::cell::OnceCell;

/// Bits looked up at once. Most codes with the bits of their coefficient fit.
const FAST: u32 = 11;

/// Where coefficient `k` of the zigzag order lies in a block whose rows are kept in the order 0 4 1 5 2 6 3 7 (which is
/// the order the inverse transform wants). Positions from 64 on, which only broken files reach, lie behind the block.
pub(super) const ZIGZAG: [u8; 80] = zigzag();

/// Room for a block and for what broken files write behind it.
pub(super) const BLOCK: usize = 65;

const fn zigzag() -> [u8; 80] {
    let mut zigzag = [64; 80];
    let (mut row, mut column, mut k) = (0usize, 0usize, 0);
    while k < 64 {
        // Even rows first: row r of the block lies at place (r % 4) * 2 + r / 4.
        zigzag[k] = (((row % 4) * 2 + row / 4) * 8 + column) as u8;
        let up = (row + column) % 2 == 0;
        if up && column == 7 {
            row += 1;
        } else if up && row == 0 {
            column += 1;
        } else if up {
            row -= 1;
            column += 1;
        } else if row == 7 {
            column += 1;
        } else if column == 0 {
            row += 1;
        } else {
            row += 1;
            column -= 1;
        }
        k += 1;
    }
    zigzag
}

/// A Huffman table as a JPEG file defines it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// For the next `FAST` bits: value of the coefficient (16 bits), zeros before it (8), bits used (8). A value of 0
    /// stands for what takes more than one step: then the middle 8 bits are the symbol and the lower 8 the length of its
    /// code, 0 where the code is longer than `FAST`.
    fast: Box<[u32; 1 << FAST]>,
    /// For each code length: one past the largest code, left-aligned in 16 bits, and what to add to find the symbol.
    ends: [u32; 18],
    offsets: [i32; 17],
    symbols: Vec<u8>,
    /// Made when first asked for.
    steps: OnceCell<Steps>,
}

impl Table {
    /// Builds the table from the number of codes of each length and the symbols in the order of their codes. None when
    /// the counts make no prefix code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut fast = vec![0u32; 1 << FAST];
        let mut ends = [0; 18];
        let mut offsets = [0; 17];
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=16u32 {
            offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                if code >= 1 << length {
                    return None;
                }
                let symbol = *symbols.get(index)?;
                if length <= FAST {
                    fill(&mut fast, code, length, symbol);
                }
                code += 1;
                index += 1;
            }
            ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        ends[17] = u32::MAX;
        let fast = fast.into_boxed_slice().try_into().ok()?;
        Some(Self {
            fast,
            ends,
            offsets,
            symbols: symbols.to_vec(),
            steps: OnceCell::new(),
        })
    }

    /// To pass over the coefficients that this table codes.
    pub(super) fn steps(&self) -> &Steps {
        self.steps.get_or_init(|| Steps::new(&self.fast))
    }

    /// The symbol of a code longer than `FAST`, and its length.
    #[cold]
    fn long(&self, bits: u64) -> Option<(u8, u32)> {
        let next = (bits >> 48) as u32;
        let length = (FAST + 1..=16).find(|&l| next < self.ends[l as usize])?;
        let index = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((*self.symbols.get(usize::try_from(index).ok()?)?, length))
    }

    /// The next symbol; the caller has made sure of 16 bits.
    #[inline(always)]
    fn symbol(&self, entry: u32, bits: &mut Bits) -> Option<u8> {
        let (symbol, length) = match entry & 0xff {
            0 => self.long(bits.next)?,
            length => ((entry >> 8) as u8, length),
        };
        bits.skip(length);
        Some(symbol)
    }
}

fn fill(fast: &mut [u32], code: u32, length: u32, symbol: u8) {
    let rest = FAST - length;
    let size = u32::from(symbol & 15);
    let zeros = u32::from(symbol >> 4);
    for tail in 0..1u32 << rest {
        fast[((code << rest) | tail) as usize] = if size > 0 && size <= rest {
            let value = extend(tail >> (rest - size), size);
            (value as u32) << 16 | zeros << 8 | (length + size)
        } else {
            u32::from(symbol) << 8 | length
        };
    }
}

/// The number that `size` bits stand for.
#[inline(always)]
fn extend(bits: u32, size: u32) -> i32 {
    // Numbers whose first bit is 0 are the negative ones.
    let least = 1i32 << (size - 1);
    let bits = bits as i32;
    if bits < least { bits - 2 * least + 1 } else { bits }
}

/// Reads bits from bytes without stuffing that are followed by at least 8 bytes of padding.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    next: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            next: 0,
            count: 0,
        }
    }

    /// Makes sure of at least 56 bits; beyond the padding they are zeros.
    #[inline(always)]
    fn refill(&mut self) {
        if let Some(bytes) = self.bytes.get(self.at..self.at + 8) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            self.next |= u64::from_be_bytes(eight) >> self.count;
            self.at += ((63 - self.count) >> 3) as usize;
        } else {
            self.at += ((63 - self.count) >> 3) as usize;
        }
        self.count |= 56;
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.next <<= bits;
        self.count -= bits;
    }

    #[inline(always)]
    fn take(&mut self, bits: u32) -> u32 {
        let taken = (self.next >> 1 >> (63 - bits)) as u32;
        self.skip(bits);
        taken
    }

    /// Bytes begun so far.
    pub(super) fn used(&self) -> usize {
        self.at - (self.count >> 3) as usize
    }
}

/// Reads the difference of a block's DC coefficient to that of the block before. None when the code makes no sense.
#[inline(always)]
fn read_dc(bits: &mut Bits, dc: &Table, before: &mut i32) -> Option<()> {
    bits.refill();
    let entry = dc.fast[(bits.next >> (64 - FAST)) as usize];
    // DC coefficients have no zeros before them: whatever the fast table knows whole is the difference.
    if entry >> 16 != 0 && entry & 0xff00 == 0 {
        bits.skip(entry & 0xff);
        *before = before.wrapping_add((entry as i32) >> 16);
    } else {
        let size = u32::from(dc.symbol(entry, bits)?);
        if size > 11 {
            return None;
        }
        if size > 0 {
            *before = before.wrapping_add(extend(bits.take(size), size));
        }
    }
    Some(())
}

/// Reads one block: its DC coefficient, then the AC coefficients. Gives the zigzag number of the last one. None when the codes
/// make no sense.
#[inline(always)]
pub(super) fn read_block(
    bits: &mut Bits,
    dc: &Table,
    ac: &Table,
    before: &mut i32,
    block: &mut [i16; BLOCK],
) -> Option<usize> {
    read_dc(bits, dc, before)?;
    block[0] = *before as i16;
    let (mut k, mut last) = (1usize, 0usize);
    while k < 64 {
        bits.refill();
        let entry = ac.fast[(bits.next >> (64 - FAST)) as usize];
        if entry >> 16 != 0 {
            k += (entry >> 8 & 0xff) as usize;
            bits.skip(entry & 0xff);
            block[usize::from(ZIGZAG[k])] = (entry >> 16) as i16;
            last = k;
            k += 1;
            continue;
        }
        let symbol = ac.symbol(entry, bits)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if zeros != 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += zeros;
        block[usize::from(ZIGZAG[k])] = extend(bits.take(size), size) as i16;
        last = k;
        k += 1;
    }
    (k <= 64).then_some(last)
}

/// Passes over one block whose pixels nobody wants, but whose DC coefficient the next one needs. None when the codes make no sense.
#[inline(always)]
pub(super) fn skip_block(
    bits: &mut Bits,
    dc: &Table,
    ac: &Table,
    steps: &Steps,
    before: &mut i32,
) -> Option<()> {
    read_dc(bits, dc, before)?;
    let mut k = 1usize;
    while k < 64 {
        bits.refill();
        let step = steps.0[(bits.next >> (64 - FAST)) as usize];
        let after = k + usize::from(step >> 6);
        // A step that would leave the block may hold codes of the next one.
        if step != 0 && after < 64 {
            bits.skip(u32::from(step & 31));
            if step & ENDS != 0 {
                break;
            }
            k = after;
            continue;
        }
        let entry = ac.fast[(bits.next >> (64 - FAST)) as usize];
        if entry >> 16 != 0 {
            bits.skip(entry & 0xff);
            k += (entry >> 8 & 0xff) as usize + 1;
            continue;
        }
        let symbol = ac.symbol(entry, bits)?;
        match (usize::from(symbol >> 4), u32::from(symbol & 15)) {
            (15, 0) => k += 16,
            (_, 0) => break,
            (zeros, size) => {
                bits.skip(size);
                k += zeros + 1;
            }
        }
    }
    (k <= 64).then_some(())
}

/// Mark of a [`Steps`] entry that ends its block.
const ENDS: u16 = 32;

/// For the next `FAST` bits, as many whole codes with the bits of their coefficients as lie in them, or the first one if
/// that is longer: bits to pass over (5 bits), whether the block ends there (1), coefficients passed (10). 0 where not
/// even the first code lies in them.
#[derive(Clone, Debug)]
pub(super) struct Steps(Box<[u16; 1 << FAST]>);

impl Steps {
    /// Of the table whose quick part is `fast`.
    fn new(fast: &[u32; 1 << FAST]) -> Self {
        let all = (0..1u32 << FAST).map(|bits| {
            let (mut used, mut passed, mut ends) = (0, 0, false);
            while used < FAST && !ends {
                let entry = fast[((bits << used) & ((1 << FAST) - 1)) as usize];
                let (length, zeros, size) = match (entry >> 16, entry & 0xff) {
                    (0, 0) => break,
                    (0, code) => (code + (entry >> 8 & 15), entry >> 12 & 15, entry >> 8 & 15),
                    (_, whole) => (whole, entry >> 8 & 0xff, 1),
                };
                // Bits beyond the last are not known: what reaches there is none of these codes, but for the first one,
                // whose code is whole.
                if used > 0 && used + length > FAST {
                    break;
                }
                used += length;
                ends = size == 0 && zeros != 15;
                passed += if ends { 0 } else { zeros + 1 };
            }
            (passed << 6) as u16 | if ends { ENDS } else { 0 } | used as u16
        });
        let mut steps = Box::new([0; 1 << FAST]);
        steps.iter_mut().zip(all).for_each(|(step, made)| *step = made);
        Self(steps)
    }
}
