//! What libtorch has and tch does not.

/// The CUDA devices that libtorch sees.
pub fn version() -> String {
    format!(
        "{:?} {}",
        tch::Tensor::from_slice(&[1f32, 2.0]).sum(tch::Kind::Float),
        tch::Cuda::device_count()
    )
}
