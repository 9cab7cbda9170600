//! What content ids stand for: files, members of archives, spools, or bytes in memory.

use super::{Bytes, ContentId, ReadAt};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

/// A source could not be read, or is not what was surveyed.
#[derive(Debug)]
pub struct ContentError {
    /// The file or member, as the user knows it.
    pub path: String,
    /// What happened.
    pub error: io::Error,
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.error)
    }
}

impl std::error::Error for ContentError {}

/// All contents of a tree, by id.
pub trait Contents: Sync {
    /// Opens one content. Whoever emits opens each once, and closes it after the last read.
    fn open(&self, id: ContentId) -> Result<Box<dyn Content + '_>, ContentError>;
}

/// One content, opened. Parts of a large one are read by several threads at once.
pub trait Content: Send + Sync {
    /// Fills `buffer` with the bytes from `offset` on.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError>;

    /// The open file and the position in it where bytes `offset .. offset + len` lie as they are, if they do: they can
    /// then be cloned or copied by the kernel.
    fn file_range(&self, offset: u64, len: u64) -> Option<(BorrowedFd<'_>, u64)> {
        let _ = (offset, len);
        None
    }

    /// Fails when the source changed since it was surveyed: what was read may be a mixture.
    fn close(self: Box<Self>) -> Result<(), ContentError> {
        Ok(())
    }
}

/// Contents in memory, for tests and generated files.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Vec<Bytes>);

impl Contents for Memory {
    fn open(&self, id: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        match self.0.get(id.0 as usize) {
            Some(bytes) => Ok(Box::new(InMemory { id, bytes })),
            None => {
                Err(ContentError { path: format!("content {}", id.0), error: io::ErrorKind::NotFound.into() })
            }
        }
    }
}

struct InMemory<'a> {
    id: ContentId,
    bytes: &'a [u8],
}

impl Content for InMemory<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        let path = || format!("content {}", self.id.0);
        self.bytes.read_exact_at(offset, buffer).map_err(|error| ContentError { path: path(), error })
    }
}

/// One image that stands for every id: the contents of a layout that [`open`](crate::registry) gave.
#[derive(Clone, Copy)]
pub struct OneFile<'a>(pub &'a dyn ReadAt);

impl Contents for OneFile<'_> {
    fn open(&self, _: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        Ok(Box::new(*self))
    }
}

impl Content for OneFile<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        self.0.read_exact_at(offset, buffer).map_err(|error| ContentError { path: "image".to_owned(), error })
    }
}
