//! The one error type of the crate. Every message names the thing, the value and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file (picture, weights, checkpoint, data folder) is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
    /// Arguments that do not fit together: a caller's mistake.
    #[error("{0}")]
    Invalid(String),
    /// No usable GPU, or it failed.
    #[error("GPU: {0}")]
    Gpu(String),
    /// The image needs more than the device can give.
    #[error("{0}")]
    TooLarge(String),
    /// A device computes something else than the CPU in f64.
    #[error("{0}")]
    Wrong(String),
    /// Training produced a loss or a gradient that is not finite.
    #[error("{0}")]
    Diverged(String),
}

/// `Result` with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An I/O error of `path`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// Something wrong with the contents of `path`.
    pub fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Error {
        Error::File { path: path.as_ref().to_path_buf(), message: message.into() }
    }
}
