//! Why nothing was written.

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::ContentError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why nothing was written. No output file is left behind.
#[derive(Debug)]
pub enum EmitError {
    /// A source could not be read or changed.
    Content(ContentError),
    /// A file could not be written; the error names it.
    Io(io::Error),
    /// The host lacks space.
    Space {
        /// The directory.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// An output that may not be written: it exists, is no regular file, is named twice, is a source.
    Refused(Refusal),
    /// [`Progress::cancelled`](super::Progress::cancelled) said so.
    Cancelled,
}

impl EmitError {
    /// An error of the operating system, with the file's name.
    pub(super) fn io(path: &Path, error: impl Into<io::Error>) -> EmitError {
        let error = error.into();
        EmitError::Io(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// A refusal of this output.
    pub(super) fn refused(path: &Path, reason: &str, hint: &str) -> EmitError {
        let spot = Spot::new("output", path.display().to_string());
        EmitError::Refused(Refusal::new(RefusalKind::Invalid, spot, reason).hint(hint))
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EmitError::Content(error) => error.fmt(f),
            EmitError::Io(error) => error.fmt(f),
            EmitError::Space { path, needed, available } => {
                write!(f, "{}: needs {needed} bytes, free are: {available}", path.display())
            }
            EmitError::Refused(refusal) => refusal.fmt(f),
            EmitError::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for EmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EmitError::Content(error) => Some(error),
            EmitError::Io(error) => Some(error),
            EmitError::Refused(refusal) => Some(refusal),
            EmitError::Space { .. } | EmitError::Cancelled => None,
        }
    }
}

impl From<ContentError> for EmitError {
    fn from(error: ContentError) -> EmitError {
        EmitError::Content(error)
    }
}
