//! What is taken out of the wheels, and how a finished set-up is told from none.
//!
//! The files keep their places in the wheels (`torch/lib`, `nvidia/cu13/lib`, …), because the libraries find one
//! another by run paths relative to their own folder.

use super::TORCH_VERSION;
use std::fmt;
use std::path::Path;

/// A build of libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// `libtorch_cpu` and what it needs.
    Cpu,
    /// That, `libtorch_cuda`, and the headers to compile against CUDA.
    Cuda,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA 13.0",
        })
    }
}

/// Parts of torch that only Python uses.
const PYTHON_ONLY: [&str; 3] = ["libtorch_python", "libshm", "libtorch_global_deps"];

/// Parts of torch that a CPU build leaves out. `libtorch.so` is an empty library that loads libtorch_cuda.
const CUDA_ONLY: [&str; 7] = [
    "libtorch.so",
    "libtorch_cuda.so",
    "libtorch_cuda_linalg",
    "libtorch_nvshmem",
    "libc10_cuda",
    "libcaffe2_nvrtc",
    "libtorch_hip",
];

/// Libraries in nvidia's wheels that libtorch neither links to nor loads: multi-GPU dense solvers, drop-in FFTW and
/// BLAS, the second copy of the run-time compiler.
const UNUSED: [&str; 5] = [
    "libcusolverMg",
    "libcufftw",
    "libnvblas",
    "libnvrtc.alt",
    "libnvrtc-builtins.alt",
];

/// Whether set-up keeps this member of a wheel.
pub fn keeps(variant: Variant, member: &str) -> bool {
    if member.starts_with("torch/include/") {
        return true;
    }
    let Some((folder, file)) = member.rsplit_once('/') else {
        return false;
    };
    let starts_with_any = |list: &[&str]| list.iter().any(|prefix| file.starts_with(prefix));
    let shared = file.ends_with(".so") || file.contains(".so.");
    if folder == "torch/lib" {
        let left_out =
            starts_with_any(&PYTHON_ONLY) || (variant == Variant::Cpu && starts_with_any(&CUDA_ONLY));
        return shared && !left_out;
    }
    if !member.starts_with("nvidia/") {
        return false;
    }
    match variant {
        Variant::Cpu => shared && starts_with_any(&["libcudart.so", "libcupti.so"]),
        Variant::Cuda if folder.ends_with("/lib") => shared && !starts_with_any(&UNUSED),
        Variant::Cuda => member.split('/').nth(2) == Some("include"),
    }
}

/// Files of which one is missing from every older or other layout; the last of each wheel that matters.
const CPU_PROOF: [&str; 7] = [
    "torch/include/torch/csrc/api/include/torch/torch.h",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libtorch.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

const CUDA_PROOF: [&str; 19] = [
    "torch/lib/libtorch_cuda.so",
    "torch/lib/libc10_cuda.so",
    "nvidia/cu13/lib/libcublasLt.so.13",
    "nvidia/cu13/lib/libcufft.so.12",
    "nvidia/cu13/lib/libcufile.so.0",
    "nvidia/cu13/lib/libcurand.so.10",
    "nvidia/cu13/lib/libcusolver.so.12",
    "nvidia/cu13/lib/libcusparse.so.12",
    "nvidia/cu13/lib/libnvJitLink.so.13",
    "nvidia/cu13/lib/libnvrtc.so.13",
    "nvidia/cudnn/lib/libcudnn.so.9",
    "nvidia/cusparselt/lib/libcusparseLt.so.0",
    "nvidia/nccl/lib/libnccl.so.2",
    "nvidia/nvshmem/lib/libnvshmem_host.so.3",
    "nvidia/cu13/include/cuda_runtime_api.h",
    "nvidia/cu13/include/crt/host_defines.h",
    "nvidia/cu13/include/cccl/cuda/std/version",
    "nvidia/nccl/include/nccl.h",
    "nvidia/cu13/include/nvtx3/nvtx3.hpp",
];

/// The variant that is set up in `target`, if one is, for processors of `arch`. A set-up is renamed into place when
/// it is whole, so that the presence of files is proof enough.
pub fn present(target: &Path, arch: &str) -> Option<Variant> {
    let version = std::fs::read_to_string(target.join("torch").join("build-version")).ok()?;
    if super::own::release(&version) != TORCH_VERSION || !is_for(target, arch) {
        return None;
    }
    let has = |files: &[&str]| files.iter().all(|file| target.join(file).exists());
    match (has(&CPU_PROOF), has(&CUDA_PROOF)) {
        (false, _) => None,
        (true, false) => Some(Variant::Cpu),
        (true, true) => Some(Variant::Cuda),
    }
}

/// Whether the library in `target` is for this processor: a folder may be shared by machines or copied.
fn is_for(target: &Path, arch: &str) -> bool {
    use std::io::Read;
    let mut head = [0u8; 20];
    let read =
        std::fs::File::open(target.join("torch/lib/libc10.so")).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && elf_machine(&head) == Some(arch)
}

/// The processor that an ELF file's first 20 bytes name.
fn elf_machine(head: &[u8; 20]) -> Option<&'static str> {
    match (&head[..4], u16::from_le_bytes([head[18], head[19]])) {
        (b"\x7fELF", 62) => Some("x86_64"),
        (b"\x7fELF", 183) => Some("aarch64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_takes_the_libraries_that_it_loads_and_no_other() {
        let keeps = |member| keeps(Variant::Cpu, member);
        for member in CPU_PROOF {
            assert!(keeps(member) || member == "torch/lib/libtorch.so", "{member}");
        }
        // libtorch_cpu for aarch64 brings its own BLAS.
        assert!(keeps("torch/lib/libarm_compute.so"));
        assert!(keeps("torch/lib/libnvpl_blas_core.so.0"));
        for member in [
            "torch/lib/libtorch.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch_cuda_linalg.so",
            "torch/lib/libtorch_python.so",
            "torch/lib/libshm/socket.h",
            "torch/nn/functional.py",
            "torch/bin/protoc",
            "nvidia/cu13/lib/libnvperf_host.so",
            "nvidia/cu13/include/cupti.h",
            "nvidia_cuda_cupti-13.0.85.dist-info/RECORD",
            "RECORD",
        ] {
            assert!(!keeps(member), "{member}");
        }
    }

    #[test]
    fn cuda_takes_libraries_and_headers() {
        for member in CPU_PROOF.iter().chain(&CUDA_PROOF) {
            assert!(keeps(Variant::Cuda, member), "{member}");
        }
        for member in [
            "torch/lib/libtorch_python.so",
            "nvidia/cu13/lib/libcudart_static.a",
            "nvidia/cu13/lib/libcusolverMg.so.12",
            "nvidia/cu13/lib/libnvrtc.alt.so.13",
            "nvidia/cu13/bin/nvcc",
            "nvidia/__init__.py",
        ] {
            assert!(!keeps(Variant::Cuda, member), "{member}");
        }
    }

    #[test]
    fn only_a_whole_folder_of_the_right_version_and_processor_counts() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path();
        let write = |file: &str, bytes: &[u8]| {
            let path = target.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        assert_eq!(present(target, "x86_64"), None);
        write("torch/build-version", b"2.11.0+cu130\n");
        for file in CPU_PROOF {
            assert_eq!(present(target, "x86_64"), None, "without {file}");
            write(file, b"");
        }
        let mut elf = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0";
        write("torch/lib/libc10.so", &elf);
        assert_eq!(present(target, "x86_64"), Some(Variant::Cpu));
        assert_eq!(present(target, "aarch64"), None);
        elf[18] = 183;
        write("torch/lib/libc10.so", &elf);
        assert_eq!(present(target, "aarch64"), Some(Variant::Cpu));
        for file in CUDA_PROOF {
            assert_eq!(present(target, "aarch64"), Some(Variant::Cpu), "without {file}");
            write(file, b"");
        }
        assert_eq!(present(target, "aarch64"), Some(Variant::Cuda));
        write("torch/build-version", b"2.10.0");
        assert_eq!(present(target, "aarch64"), None);
    }
}
