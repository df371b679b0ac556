//! The one error type of the crate. Every message names the thing, the value and what to do; what a caller may act on
//! is data.

use std::fmt;
use std::path::{Path, PathBuf};

/// An error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file (picture, weights, checkpoint, data folder) is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Says what is wrong and what was expected.
        message: String,
    },
    /// An error about a file, behind its name.
    #[error("{}: {source}", path.display())]
    About {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: Box<Error>,
    },
    /// A picture's file is cut off or overwritten. Readers can be told to give what there is of it.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// Arguments that do not fit together: a caller's mistake.
    #[error("{0}")]
    Invalid(String),
    /// No usable GPU, or it failed.
    #[error("GPU: {0}")]
    Gpu(String),
    /// The device is gone (unplugged, reset, destroyed): open it again.
    #[error("GPU: {0}")]
    Lost(String),
    /// More is needed than the device can give.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// A device computes something else than the CPU in f64.
    #[error("{0}")]
    Wrong(String),
    /// Training produced a loss or a gradient that is not finite.
    #[error("{0}")]
    Diverged(Diverged),
    /// Processes that train together lost one of them, or do not fit together.
    #[error("processes that train together: {0}")]
    Group(String),
    /// An observer asked to stop ([`crate::Observer`]).
    #[error("stopped")]
    Cancelled,
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

    /// Says that an error is about `path`; that somebody stopped the work is about no file.
    pub fn about(path: impl AsRef<Path>) -> impl Fn(Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| match source {
            Error::Cancelled => source,
            source => Error::About { path: path.clone(), source: Box::new(source) },
        }
    }

    /// The error itself, without the file that it is about.
    pub fn root(&self) -> &Error {
        match self {
            Error::About { source, .. } => source.root(),
            other => other,
        }
    }
}

/// A number of things: `1 thread`, `2 threads`.
#[cfg(feature = "lab")]
pub(crate) fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// The thing of which there is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of memory.
    Memory,
    /// Bytes that one binding of the device may have.
    Binding,
    /// Elements, which the kernels count in 32 bits.
    Elements,
    /// The device's memory; nobody knows how much there is.
    Device,
}

/// More of something is needed than there is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooLarge {
    /// The value, buffer or network that needs it.
    pub what: String,
    /// How much it needs, in bytes or elements.
    pub needs: u64,
    /// How much there is.
    pub available: u64,
    /// Of what.
    pub limit: Limit,
    /// Tells whether it is the filter that finishes a network's result ([`crate::Smoother::with_finish`]).
    pub finishing: bool,
    /// Width and height of the picture that does not fit.
    pub picture: Option<[usize; 2]>,
    /// Width and height of the largest picture of the same shape that does; None where not even a pixel does.
    pub largest: Option<[usize; 2]>,
}

impl TooLarge {
    /// `what` needs so much, and there is so much.
    pub fn new(what: impl Into<String>, limit: Limit, needs: u64, available: u64) -> TooLarge {
        TooLarge { what: what.into(), needs, available, limit, finishing: false, picture: None, largest: None }
    }
}

impl From<TooLarge> for Error {
    fn from(error: TooLarge) -> Error {
        Error::TooLarge(error)
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let TooLarge { what, needs, available, .. } = self;
        let size = |bytes: u64| match bytes {
            ..100_000 => format!("{bytes} bytes"),
            _ => format!("{:.1} MB", bytes as f64 / 1e6),
        };
        if let Some([w, h]) = self.picture {
            write!(f, "{w}x{h} pixels do not fit: ")?;
        }
        if self.finishing {
            f.write_str("the finish by ")?;
        }
        match self.limit {
            Limit::Memory => {
                write!(f, "{what} needs {} of memory, {} are there", size(*needs), size(*available))?;
            }
            Limit::Binding => {
                write!(
                    f,
                    "{what} needs {needs} bytes, more than the {available} that one binding of this device may have"
                )?;
            }
            Limit::Elements => write!(f, "{what} has {needs} elements, which the kernels count in 32 bits")?,
            Limit::Device => write!(f, "{what}: the device has not enough memory")?,
        }
        match (self.picture, self.largest) {
            (Some(_), Some([w, h])) => write!(f, ". Make it {w}x{h} or smaller"),
            (Some(_), None) => write!(f, ". Not even a pixel does"),
            (None, _) => Ok(()),
        }
    }
}

/// A training step whose loss or gradient is not finite; the weights are spoilt, the last checkpoint is good.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Diverged {
    /// Number of the step.
    pub step: u64,
    /// Its loss.
    pub loss: f32,
    /// Norm of its gradient.
    pub norm: f32,
    /// Its learning rate.
    pub rate: f32,
    /// The first parameter whose gradient is not finite.
    pub parameter: Option<String>,
    /// Tells whether activations were rebuilt, which storing them would spare.
    pub rebuilt: bool,
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Diverged { step, loss, norm, rate, parameter, rebuilt } = self;
        let bad = parameter.as_ref().map_or("none".into(), |name| format!("{name} first"));
        let stored = if *rebuilt { ", or with stored activations" } else { "" };
        write!(
            f,
            "step {step}: the loss is {loss}, the gradient's norm {norm} (gradients that are not finite: {bad}). The last \
             checkpoint is good; go on from it with a smaller learning rate than {rate:.1e}{stored}"
        )
    }
}
