//! How a command ends.

use std::io::Write;

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// All was done.
    pub const DONE: Self = Self(0);
    /// Something was not; what, was said.
    pub const FAILED: Self = Self(1);
    /// A signal ended a run in good order.
    pub const STOPPED: Self = Self(130);

    /// Ends the process. Nothing is torn down: threads that load pictures or compute may be in the middle of libtorch's code,
    /// and static objects that are taken away under them end the process by a segmentation fault after all was done.
    pub fn end(self) -> ! {
        // What cannot be written has nobody to be told to.
        let _ = std::io::stdout().flush();
        slotcon_torch::end_process(i32::from(self.0))
    }
}
