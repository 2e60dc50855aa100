//! The one error type of the library.
//!
//! Every message names the thing that is wrong (file, tensor, flag, shape) and, where there is one, the way out.
//! The variants follow the exit codes of the program, so that a caller can tell bad input from a broken device.

use std::path::{Path, PathBuf};

/// What went wrong, and whose turn it is to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, a configuration value or an argument of the library that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file or data set whose content is not what it should be.
    #[error("{0}")]
    Data(String),
    /// A file that could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as "cannot read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Shapes that do not fit an operation; a mistake in a graph, not in user data.
    #[error("{op}: {message}")]
    Shape {
        /// Name of the operation.
        op: &'static str,
        /// Both shapes and the rule they break.
        message: String,
    },
    /// No adapter, a lost device, or one too small for the job.
    #[error("{0}")]
    Device(String),
    /// A loss or gradient that is not a finite number.
    #[error("{0}")]
    NonFinite(String),
    /// The user asked to stop; what was to be kept is saved.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Wraps an input or output error with the file it happened on.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    /// Exit code of the program: 1 failure, 2 usage, 3 bad data, 4 device, 130 interrupted after saving.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Shape { .. } | Self::NonFinite(_) => 1,
            Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Device(_) => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
