//! The bridge to the C++ of this crate; C++ exceptions become `Err`, and tensors cross it by their addresses.

use tch::Tensor;

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

        include!("linear.h");
        fn linear(x: usize, weight: usize, bias: usize) -> Result<usize>;
        fn convolve_1x1(x: usize, weight: usize) -> Result<usize>;

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
        fn all_reduce(self: &Group, tensor: usize, max: bool, traffic: u8) -> Result<()>;
        fn all_gather(self: &Group, tensor: usize, traffic: u8) -> Result<usize>;
        fn sum(self: &Group, tensor: usize, traffic: u8) -> Result<usize>;
        fn broadcast(self: &Group, tensors: &[usize]) -> Result<()>;
        #[allow(clippy::too_many_arguments)]
        fn batch_norm(
            self: &Group,
            x: usize,
            weight: usize,
            bias: usize,
            running_mean: usize,
            running_var: usize,
            momentum: f64,
            eps: f64,
        ) -> Result<usize>;
        fn bytes(self: &Group, traffic: u8) -> i64;
        fn operations(self: &Group) -> i64;
        fn broken(self: &Group) -> bool;

        include!("reducer.h");
        type Reducer;
        fn new_reducer(group: &Group, parameters: &[usize], find_unused: bool) -> Result<UniquePtr<Reducer>>;
        fn prepare(self: &Reducer, loss: usize) -> Result<()>;

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

/// Where C++ finds a tensor; whoever passes it on keeps the tensor alive.
pub(crate) fn address(tensor: &Tensor) -> usize {
    tensor.as_ptr() as usize
}

/// The tensor that C++ handed over.
#[allow(unsafe_code)]
pub(crate) fn owned(address: usize) -> Tensor {
    // SAFETY: `hand_over` made it by `new at::Tensor`, and nobody else has it.
    unsafe { Tensor::from_ptr(address as *mut _) }
}
