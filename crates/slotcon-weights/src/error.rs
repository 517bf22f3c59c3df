//! Why weights cannot be read, fitted or written.

use std::path::PathBuf;

use crate::pickle::Problem;

/// Errors of files with weights; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// None of the formats that are read, or a broken one.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file would make Python import or run something that weights do not need.
    #[error(
        "{}: refused: it asks for {global}, which no weights need; nothing of it was run. If you trust the file, load it \
         in Python and save only its tensors",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// `module.name`.
        global: String,
    },
    /// The weights belong to another network, or there are none.
    #[error("{}: {reason}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Names and shapes.
        reason: String,
    },
}

impl WeightsError {
    /// For `map_err` on file operations.
    pub fn io(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.into(),
            source,
        }
    }

    /// A file at `path` that is wrong for `reason`.
    pub fn format(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn problem(path: &std::path::Path) -> impl Fn(Problem) -> Self {
        move |problem| match problem {
            Problem::Broken(reason) => {
                Self::format(path, format!("broken or not a file with weights: {reason}"))
            }
            Problem::Refused(global) => Self::Refused {
                path: path.into(),
                global,
            },
        }
    }
}
