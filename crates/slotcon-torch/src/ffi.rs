//! The bridge to the C++ of this crate; C++ exceptions become `Err`.
//!
//! Tensors are lent as `&AtTensor` ([`at`], [`lend`]) and come back as `UniquePtr<AtTensor>` ([`owned`]), so that a function
//! of the bridge is safe to call with whatever its types allow, unless it is marked `unsafe`.

#![allow(
    unsafe_code,
    reason = "declares C++ functions and converts between two handles of one type"
)]

use cxx::UniquePtr;
use tch::Tensor;

#[cxx::bridge(namespace = "slotcon")]
#[allow(missing_docs)]
pub(crate) mod bridge {
    /// A tensor that the caller lends for the call.
    struct TensorRef<'a> {
        tensor: &'a AtTensor,
    }

    /// How a gradient becomes a step.
    struct StepRule {
        lars: bool,
        eta: f64,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        scaled: bool,
        /// Whether libtorch's operations compute it on a CPU as well.
        operations: bool,
    }

    /// How RoIAlign pools.
    struct RoiAlignRule {
        height: i64,
        width: i64,
        scale: f64,
        sampling: i64,
        aligned: bool,
        /// Whether libtorch's operations compute it on a CPU as well.
        operations: bool,
    }

    unsafe extern "C++" {
        include!("tensors.h");
        #[namespace = "at"]
        #[cxx_name = "Tensor"]
        type AtTensor;

        include!("autocast.h");
        fn autocast_enter(cuda: bool, bfloat16: bool) -> Result<()>;
        fn autocast_exit(cuda: bool) -> Result<()>;

        include!("linear.h");
        fn linear(x: &AtTensor, weight: &AtTensor, bias: &AtTensor) -> Result<UniquePtr<AtTensor>>;
        fn convolve_1x1(x: &AtTensor, weight: &AtTensor) -> Result<UniquePtr<AtTensor>>;

        include!("memory.h");
        fn peak_bytes(device: i8) -> Result<i64>;
        fn reset_peak(device: i8) -> Result<()>;

        include!("multi_tensor.h");
        type Inspection;
        fn inspect(
            parameters: &[TensorRef],
            gradients: &[TensorRef],
            rule: &StepRule,
            inverse_scale: &AtTensor,
            found: &AtTensor,
        ) -> Result<UniquePtr<Inspection>>;
        fn optimizer_step(
            parameters: &[TensorRef],
            gradients: &[TensorRef],
            momenta: &[TensorRef],
            rule: &StepRule,
            inspection: &Inspection,
            inverse_scale: &AtTensor,
            found: &AtTensor,
        ) -> Result<()>;
        fn lerp(targets: &[TensorRef], sources: &[TensorRef], weight: f64) -> Result<()>;

        include!("nms.h");
        fn nms(
            boxes: &AtTensor,
            scores: &AtTensor,
            groups: &AtTensor,
            threshold: f64,
            operations: bool,
        ) -> Result<UniquePtr<AtTensor>>;

        include!("roi_align.h");
        fn roi_align(
            features: &AtTensor,
            boxes: &AtTensor,
            pictures: &AtTensor,
            rule: &RoiAlignRule,
        ) -> Result<UniquePtr<AtTensor>>;

        include!("store.h");
        type Store;
        fn open_store(
            host: &str,
            port: u16,
            keep: bool,
            timeout_ms: i64,
            prefix: &str,
        ) -> Result<SharedPtr<Store>>;
        fn port(self: &Store) -> u16;
        fn set(self: &Store, key: &str, value: &str) -> Result<()>;
        fn get(self: &Store, key: &str) -> Result<String>;
        fn add(self: &Store, key: &str, amount: i64) -> Result<i64>;
        fn has(self: &Store, key: &str) -> Result<bool>;

        include!("group.h");
        type Group;
        fn join_group(
            store: &Store,
            rank: i32,
            size: i32,
            timeout_ms: i64,
            address: &str,
            gpu: i32,
        ) -> Result<SharedPtr<Group>>;
        fn has_nccl() -> bool;
        fn all_reduce(self: &Group, tensor: &AtTensor, max: bool, traffic: u8) -> Result<()>;
        fn all_gather(self: &Group, tensor: &AtTensor, traffic: u8) -> Result<UniquePtr<AtTensor>>;
        fn sum(self: &Group, tensor: &AtTensor, traffic: u8) -> Result<UniquePtr<AtTensor>>;
        fn broadcast(self: &Group, tensors: &[TensorRef]) -> Result<()>;
        #[allow(clippy::too_many_arguments)]
        fn batch_norm(
            self: &Group,
            x: &AtTensor,
            weight: &AtTensor,
            bias: &AtTensor,
            running_mean: &AtTensor,
            running_var: &AtTensor,
            momentum: f64,
            eps: f64,
        ) -> Result<UniquePtr<AtTensor>>;
        fn bytes(self: &Group, traffic: u8) -> i64;
        fn operations(self: &Group) -> i64;
        fn broken(self: &Group) -> bool;

        include!("reducer.h");
        type Reducer;
        fn new_reducer(
            group: &Group,
            parameters: &[TensorRef],
            find_unused: bool,
        ) -> Result<UniquePtr<Reducer>>;
        fn prepare(self: &Reducer, loss: &AtTensor) -> Result<()>;

        include!("upload.h");
        type Upload;
        fn receive(self: &Upload) -> Result<UniquePtr<AtTensor>>;
        fn finish(self: &Upload) -> Result<()>;
        type Uploader;
        fn new_uploader(index: i8) -> Result<UniquePtr<Uploader>>;
        /// # Safety
        /// `bytes` must stay valid and unchanged until `finish` of what is returned has come back.
        unsafe fn start(self: &Uploader, bytes: &[u8]) -> Result<UniquePtr<Upload>>;
        /// # Safety
        /// `bytes` must be unpinned before their memory is freed.
        unsafe fn pin(bytes: &[u8]) -> Result<()>;
        /// # Safety
        /// No copy from `bytes` may be under way.
        unsafe fn unpin(bytes: &[u8]) -> Result<()>;
    }
}

pub(crate) use bridge::{AtTensor, TensorRef};

/// libtorch's own handle of a tensor.
pub(crate) fn at(tensor: &Tensor) -> &AtTensor {
    // SAFETY: tch's handle is a pointer to an `at::Tensor` that lives as long as `tensor`.
    unsafe { &*tensor.as_ptr().cast() }
}

/// The same for a list.
pub(crate) fn lend<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<TensorRef<'a>> {
    tensors
        .into_iter()
        .map(|tensor| TensorRef { tensor: at(tensor) })
        .collect()
}

/// The tensor that C++ handed over.
pub(crate) fn owned(tensor: UniquePtr<AtTensor>) -> Tensor {
    // SAFETY: tch's handle is a pointer to an `at::Tensor` made by `new`, which it deletes; nobody else has this one.
    unsafe { Tensor::from_ptr(tensor.into_raw().cast()) }
}
