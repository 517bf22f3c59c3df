//! The rule of `fixtures/README.md` that fills weights and inputs from their names, and the reader of recorded values.

use safetensors::{Dtype, SafeTensors};

/// FNV-1a, 64 bits, of the UTF-8 bytes of `name`.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Value `i` of the stream that belongs to `name`: uniform in [0, 1), 24 bits of SplitMix64.
pub fn unit(name: &str, i: u64) -> f64 {
    let mut z = seed(name).wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
}

/// Value `i` of the same stream, uniform in [-1, 1).
pub fn sym(name: &str, i: u64) -> f64 {
    2.0 * unit(name, i) - 1.0
}

/// Values of a recorded float tensor in row-major order; `None` if there is none of this name, or of another type.
pub fn values(file: &SafeTensors, name: &str) -> Option<Vec<f64>> {
    let view = file.tensor(name).ok()?;
    let bytes = view.data();
    match view.dtype() {
        Dtype::F64 => {
            let chunks = bytes.as_chunks::<8>().0.iter();
            Some(chunks.map(|&b| f64::from_le_bytes(b)).collect())
        }
        Dtype::F32 => {
            let chunks = bytes.as_chunks::<4>().0.iter();
            Some(chunks.map(|&b| f64::from(f32::from_le_bytes(b))).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Published test vectors of the 64-bit hash.
        assert_eq!(seed(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(seed("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(seed("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn values_lie_in_their_range_and_differ_by_name() {
        let mean = (0..1000).map(|i| sym("weight", i)).sum::<f64>() / 1000.0;
        assert!(mean.abs() < 0.1, "mean {mean}");
        assert!((0..1000).all(|i| (0.0..1.0).contains(&unit("weight", i))));
        assert_ne!(unit("weight", 0).to_bits(), unit("bias", 0).to_bits());
    }
}
