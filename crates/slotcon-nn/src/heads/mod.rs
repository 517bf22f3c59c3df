//! What stands on a backbone, one head a file.

mod fcn;
mod mlp;

pub use fcn::{Fcn, FcnConfig};
pub use mlp::{Mlp, MlpConfig};
