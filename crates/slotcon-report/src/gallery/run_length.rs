//! Label maps as runs: what a page needs to draw a mask, in few bytes.

/// Ids row by row as pairs of (id, length of its run), both in the variable-length form of LEB128.
pub fn encode(ids: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |mut value: usize| {
        while value >= 128 {
            bytes.push(value as u8 | 128);
            value >>= 7;
        }
        bytes.push(value as u8);
    };
    for run in ids.chunk_by(|a, b| a == b) {
        put(usize::from(run[0]));
        put(run.len());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Vec<u16> {
        let mut numbers = Vec::new();
        let (mut value, mut shift) = (0usize, 0);
        for &byte in bytes {
            value |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                numbers.push(value);
                (value, shift) = (0, 0);
            }
        }
        numbers
            .chunks_exact(2)
            .flat_map(|pair| std::iter::repeat_n(pair[0] as u16, pair[1]))
            .collect()
    }

    proptest! {
        #[test]
        fn what_went_in_comes_out(runs in prop::collection::vec((0u16..3000, 1usize..400), 0..30)) {
            let ids: Vec<u16> = runs.iter().flat_map(|&(id, n)| std::iter::repeat_n(id, n)).collect();
            prop_assert_eq!(decode(&encode(&ids)), ids);
        }
    }
}
