//! The bridge to the C++ of this crate; C++ exceptions become `Err`.

#[cxx::bridge(namespace = "slotcon")]
#[allow(missing_docs)]
pub(crate) mod bridge {
    /// How a gradient becomes a step.
    struct StepRule {
        lars: bool,
        eta: f64,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        scaled: bool,
    }

    unsafe extern "C++" {
        include!("autocast.h");
        fn autocast_enter(cuda: bool, dtype: i8) -> Result<()>;
        fn autocast_exit(cuda: bool) -> Result<()>;

        include!("memory.h");
        fn peak_bytes(device: i8) -> Result<i64>;
        fn reset_peak(device: i8) -> Result<()>;

        include!("multi_tensor.h");
        fn find_non_finite(gradients: &[usize], loss: usize, found: usize) -> Result<()>;
        fn optimizer_step(
            parameters: &[usize],
            gradients: &[usize],
            momenta: &[usize],
            rule: &StepRule,
            inverse_scale: usize,
            found: usize,
        ) -> Result<()>;
        fn lerp(teacher: &[usize], student: &[usize], weight: f64) -> Result<()>;

        include!("upload.h");
        type Upload;
        fn receive(self: &Upload, out: usize) -> Result<()>;
        fn finish(self: &Upload) -> Result<()>;
        type Uploader;
        fn new_uploader(index: i8) -> Result<UniquePtr<Uploader>>;
        fn start(self: &Uploader, bytes: &[u8]) -> Result<UniquePtr<Upload>>;
        fn pin(bytes: &[u8]) -> Result<()>;
        fn unpin(bytes: &[u8]) -> Result<()>;
    }
}
