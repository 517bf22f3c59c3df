//! What stands on a backbone, one head a file.

mod mlp;

pub use mlp::{Mlp, MlpConfig};
