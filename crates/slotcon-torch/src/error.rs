//! C++ exceptions as Rust errors.

/// What libtorch threw, or why it was not asked.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct Error(String);

impl Error {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl From<cxx::Exception> for Error {
    fn from(exception: cxx::Exception) -> Self {
        // The first line says what; the rest is a C++ stack trace.
        let text = exception.what();
        Self(text.lines().next().unwrap_or(text).to_owned())
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        let text = match &error {
            tch::TchError::Torch(text) => text.clone(),
            other => other.to_string(),
        };
        Self(text.lines().next().unwrap_or_default().to_owned())
    }
}
