//! Who computes what this crate has a kernel of its own for.

/// A kernel of ours or libtorch's operations. Both compute the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// Our kernel where there is one (on a CPU), else libtorch's operations.
    #[default]
    Fastest,
    /// libtorch's operations everywhere: what a GPU runs, so that a CPU can test it.
    Operations,
}
