//! COCO's text for run lengths: from the fourth on the difference to the one two before, five bits a character from the lowest,
//! the sixth says that more follow, from the character `0` on.

use super::runs::RunsError;

/// Run lengths as text.
pub fn compress(counts: &[u32]) -> String {
    let mut text = String::new();
    for (i, &count) in counts.iter().enumerate() {
        let mut rest = i64::from(count) - if i > 2 { i64::from(counts[i - 2]) } else { 0 };
        loop {
            let bits = (rest & 31) as u8;
            rest >>= 5;
            // Done when what is left only repeats the sign.
            let more = rest != if bits & 16 != 0 { -1 } else { 0 };
            text.push(char::from(48 + bits + if more { 32 } else { 0 }));
            if !more {
                break;
            }
        }
    }
    text
}

/// Run lengths from their text.
pub(super) fn decompress(text: &str) -> Result<Vec<u32>, RunsError> {
    let mut counts: Vec<u32> = Vec::new();
    let (mut value, mut shift) = (0i64, 0);
    for (at, byte) in text.bytes().enumerate() {
        // 5 bits at a shift of 30 are beyond any run of 32 bits and its sign.
        let character = byte.checked_sub(48).filter(|&bits| bits < 64);
        let bits = i64::from(character.filter(|_| shift <= 30).ok_or(RunsError::Text { at })?);
        value |= (bits & 31) << shift;
        shift += 5;
        if bits & 32 != 0 {
            continue;
        }
        if bits & 16 != 0 {
            value |= -1 << shift;
        }
        let before = if counts.len() > 2 {
            i64::from(counts[counts.len() - 2])
        } else {
            0
        };
        counts.push(u32::try_from(value + before).map_err(|_| RunsError::Text { at })?);
        (value, shift) = (0, 0);
    }
    if shift > 0 {
        return Err(RunsError::Text { at: text.len() });
    }
    Ok(counts)
}
