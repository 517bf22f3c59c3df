//! The C library's allocator, for programs whose blocks are as large as feature maps.

#![allow(unsafe_code, reason = "calls the C library")]

/// Keeps freed memory in the process instead of handing every large block back to the system and getting it again,
/// zeroed, page by page, in the next step. To be called once, when the program starts; does nothing where the C library
/// is not glibc. The user's own `MALLOC_…` settings win.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let own = std::env::vars_os().any(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES"
        });
        if own {
            return;
        }
        // SAFETY: mallopt takes two integers and changes settings of the allocator only.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        }
    }
}
