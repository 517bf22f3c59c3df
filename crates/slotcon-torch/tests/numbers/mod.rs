//! Numbers to test with.

use tch::{Device, Kind, Tensor};

/// Numbers that differ between names, without order to the eye, between -1/2 and 1/2; the same in every process.
pub fn numbers(shape: &[i64], name: u64, kind: Kind) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f64> = (0..count as u64)
        .map(|i| {
            let mixed = (i + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(name.wrapping_mul(0xbf58_476d_1ce4_e5b9));
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
        .collect();
    Tensor::from_slice(&values)
        .reshape(shape)
        .to_kind(kind)
        .to_device(Device::Cpu)
}
