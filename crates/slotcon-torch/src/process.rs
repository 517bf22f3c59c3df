//! The end of a process whose main thread cannot end it.

#![allow(unsafe_code, reason = "calls the C library")]

/// Ends the process at once, without destructors: other threads may be in the middle of libtorch's code, which does not
/// stand it that static objects are taken away.
pub fn end_process(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}
