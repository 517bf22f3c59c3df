//! The Python packages that libtorch is taken from, at the versions that torch's own wheel pins.

use super::TORCH_VERSION;
use super::layout::Variant;

/// One package to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// Its name in the package index.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// What is fetched, in MB (of the x86_64 wheel; those for aarch64 are of similar size).
    pub download_mb: u64,
}

const fn wheel(name: &'static str, version: &'static str, download_mb: u64) -> Wheel {
    Wheel {
        name,
        version,
        download_mb,
    }
}

/// libtorch itself, and the two libraries that even `libtorch_cpu.so` is linked to. torch 2.11.0 requires
/// cuda-toolkit 13.0.2, which fixes the versions of the nvidia packages.
const CPU: [Wheel; 3] = [
    wheel("torch", TORCH_VERSION, 531),
    wheel("nvidia-cuda-runtime", "13.0.96", 3),
    wheel("nvidia-cuda-cupti", "13.0.85", 11),
];

/// What `libtorch_cuda.so` is linked to or loads, then the headers that its own headers include.
const CUDA: [Wheel; 15] = [
    wheel("nvidia-cublas", "13.1.0.3", 424),
    wheel("nvidia-cudnn-cu13", "9.19.0.56", 367),
    wheel("nvidia-cufft", "12.0.0.61", 215),
    wheel("nvidia-cusolver", "12.0.4.66", 201),
    wheel("nvidia-nccl-cu13", "2.28.9", 197),
    wheel("nvidia-cusparselt-cu13", "0.8.0", 170),
    wheel("nvidia-cusparse", "12.6.3.3", 146),
    wheel("nvidia-cuda-nvrtc", "13.0.88", 91),
    wheel("nvidia-nvshmem-cu13", "3.4.5", 61),
    wheel("nvidia-curand", "10.4.0.35", 60),
    wheel("nvidia-nvjitlink", "13.0.88", 41),
    wheel("nvidia-cufile", "1.15.1.6", 2),
    wheel("nvidia-nvtx", "13.0.85", 1),
    wheel("nvidia-cuda-cccl", "13.0.85", 4),
    wheel("nvidia-cuda-crt", "13.0.88", 1),
];

/// The packages of a variant, libtorch first.
pub fn of(variant: Variant) -> Vec<Wheel> {
    match variant {
        Variant::Cpu => CPU.to_vec(),
        Variant::Cuda => CPU.iter().chain(&CUDA).copied().collect(),
    }
}

/// The MB of disk that set-up needs at its largest: all wheels and all that is taken out of them.
pub fn disk_mb(variant: Variant) -> u64 {
    let fetched: u64 = of(variant).iter().map(|wheel| wheel.download_mb).sum();
    let extracted = match variant {
        Variant::Cpu => 530,
        Variant::Cuda => 3700,
    };
    fetched + extracted + 100
}

/// pip's names of the platforms whose wheels run here. A wheel is tagged with the oldest glibc that it runs on, and
/// pip takes a tag literally, so every one up to torch's own (2.28) is listed.
pub fn platforms(arch: &str) -> Vec<String> {
    (17..=28)
        .rev()
        .map(|minor| format!("manylinux_2_{minor}_{arch}"))
        .chain(std::iter::once(format!("manylinux2014_{arch}")))
        .collect()
}

impl Wheel {
    /// Whether `file` is this package's wheel.
    pub fn is_file(&self, file: &str) -> bool {
        let stem = format!("{}-{}-", self.name.replace('-', "_"), self.version);
        file.ends_with(".whl") && file.starts_with(&stem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        let [torch, runtime, _] = CPU;
        assert!(torch.is_file("torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl"));
        assert!(!torch.is_file("torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl.part"));
        assert!(!torch.is_file("torch-2.10.0-cp311-cp311-manylinux_2_28_x86_64.whl"));
        assert!(runtime.is_file("nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.whl"));
        assert!(!runtime.is_file("nvidia_cuda_runtime-13.0.961-py3-none-any.whl"));
    }

    #[test]
    fn cuda_holds_all_of_cpu_and_each_package_once() {
        let cuda = of(Variant::Cuda);
        assert!(of(Variant::Cpu).iter().all(|wheel| cuda.contains(wheel)));
        let mut names: Vec<_> = cuda.iter().map(|wheel| wheel.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cuda.len());
    }

    #[test]
    fn platforms_reach_from_the_newest_to_the_oldest() {
        let names = platforms("aarch64");
        assert_eq!(names.first().map(String::as_str), Some("manylinux_2_28_aarch64"));
        assert_eq!(names.last().map(String::as_str), Some("manylinux2014_aarch64"));
        assert!(names.contains(&"manylinux_2_25_aarch64".to_owned()));
    }
}
