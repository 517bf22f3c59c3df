//! Panics that are handled where they happen. A decoder that breaks down on one file costs that file; the program's panic
//! hook, which would tell the user and end a rank, asks [`is_handled`] first.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// How many [`catch`]es this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f`; a panic in it becomes an error with its text, and is no affair of the panic hook's.
///
/// # Errors
/// What `f` panicked with.
pub fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(f));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    result.map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        text.or(cause.downcast_ref::<&str>().copied())
            .unwrap_or("unknown")
            .to_owned()
    })
}

/// Whether a panic on this thread is handled by a [`catch`] around it.
pub fn is_handled() -> bool {
    DEPTH.with(Cell::get) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_handled_inside_only() {
        assert!(!is_handled());
        let caught = catch(|| {
            assert!(is_handled());
            if is_handled() {
                panic!("broken {}", 7);
            }
        });
        assert_eq!(caught, Err("broken 7".into()));
        assert!(!is_handled());
        assert_eq!(catch(|| 3), Ok(3));
    }
}
