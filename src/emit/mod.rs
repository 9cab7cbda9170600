//! Layouts become files. The only room that writes image files.

use diskwright_formats::layout::{ContentError, Contents, Layout};
use std::path::PathBuf;

/// One file to write.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its bytes.
    pub layout: Layout,
    /// Its final name.
    pub path: PathBuf,
}

/// How files are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads; the bytes do not depend on it.
    pub threads: usize,
    /// Whether data is forced to the disk before the final names appear.
    pub sync: bool,
    /// Whether existing files are replaced.
    pub overwrite: bool,
}

/// What was done, for `--timings` and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Contents opened.
    pub opens: u64,
    /// Read calls.
    pub reads: u64,
    /// Write calls.
    pub writes: u64,
    /// Bytes that went through memory to a file.
    pub bytes_written: u64,
    /// Bytes copied by the kernel.
    pub bytes_copied: u64,
    /// Bytes shared with their source (reflinks).
    pub bytes_cloned: u64,
}

/// A written file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub path: PathBuf,
    /// Length in bytes.
    pub len: u64,
    /// Bytes that the host allocated for it.
    pub allocated: u64,
}

/// Why nothing was written. No output file is left behind.
#[derive(Debug)]
pub enum EmitError {
    /// A source could not be read or changed.
    Content(ContentError),
    /// A file could not be written; the error names it.
    Io(std::io::Error),
    /// The host lacks space.
    Space {
        /// The directory.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
}

/// Hears of progress.
pub trait Progress: Sync {
    /// `bytes` more of what [`emit`] announced as its total are done.
    fn advance(&self, bytes: u64);
}

/// Writes all outputs from one reading of the sources. All appear under their names when complete, or none does.
pub fn emit(
    _: &[Output],
    _: &dyn Contents,
    _: &Options,
    _: &dyn Progress,
) -> Result<(Vec<Written>, Calls), EmitError> {
    Err(EmitError::Io(std::io::Error::other("not built yet")))
}
