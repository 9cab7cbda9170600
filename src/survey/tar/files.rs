//! The contents of an archive: ranges of it.

use super::super::contents::Part;
use super::super::stamp::Stamp;
use super::super::{SurveyError, named};
use super::sparse::{Map, Segment};
use diskwright_formats::layout::{Content, ContentError};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::fstat;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An archive that is not compressed: a file, or a spool.
pub(super) struct Archive {
    pub(super) file: File,
    /// Its name for messages.
    pub(super) shown: String,
    /// What it was when it was opened. A spool is ours, and has none.
    pub(super) stamp: Option<Stamp>,
    pub(super) len: u64,
}

impl Archive {
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    fn still(&self) -> io::Result<()> {
        let Some(stamp) = self.stamp else { return Ok(()) };
        stamp.still(Stamp::of(&fstat(&self.file)?))
    }

    /// Fails when it is no longer what it was.
    pub(super) fn check(&self) -> Result<(), SurveyError> {
        self.still().map_err(|error| SurveyError::Io(named(&self.shown, error)))
    }
}

/// A regular file of an archive.
pub(super) struct Stored {
    /// Position of its first stored byte in the archive.
    pub(super) at: u64,
    pub(super) size: u64,
}

pub(super) struct TarFiles {
    pub(super) archive: Archive,
    pub(super) files: Vec<Stored>,
    /// The pieces of sparse ones, by index.
    pub(super) sparse: BTreeMap<u32, Box<[Segment]>>,
}

impl Part for TarFiles {
    fn len(&self) -> u32 {
        self.files.len() as u32
    }

    fn open(&self, index: u32) -> Result<Box<dyn Content + '_>, ContentError> {
        let stored = &self.files[index as usize];
        let segments = self.sparse.get(&index).map(|segments| &segments[..]);
        let member = OpenMember { archive: &self.archive, stored, segments };
        self.archive.still().map_err(|error| member.error(error))?;
        Ok(Box::new(member))
    }
}

pub(super) struct OpenMember<'a> {
    pub(super) archive: &'a Archive,
    pub(super) stored: &'a Stored,
    pub(super) segments: Option<&'a [Segment]>,
}

impl OpenMember<'_> {
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let len = buffer.len() as u64;
        let end = offset.checked_add(len).filter(|&end| end <= self.stored.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let Some(segments) = self.segments else {
            return self.archive.read(self.stored.at + offset, buffer);
        };
        buffer.fill(0);
        for piece in Map::touched(segments, offset..end) {
            let at = (piece.start - offset) as usize;
            self.archive.read(self.stored.at + piece.at, &mut buffer[at..at + piece.len as usize])?;
        }
        Ok(())
    }

    fn error(&self, error: io::Error) -> ContentError {
        let path = format!("{}: member with data at byte {}", self.archive.shown, self.stored.at);
        ContentError { path, error }
    }
}

impl Content for OpenMember<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        let read = self.read(offset, buffer);
        read.map_err(|error| self.error(self.archive.still().err().unwrap_or(error)))
    }

    fn file_range(&self, offset: u64, len: u64) -> Option<(BorrowedFd<'_>, u64)> {
        let end = offset.checked_add(len).filter(|&end| end <= self.stored.size)?;
        let at = match self.segments {
            None => offset,
            Some(segments) => {
                let piece = Map::touched(segments, offset..end).next()?;
                (piece.start == offset && piece.len == len).then_some(piece.at)?
            }
        };
        Some((self.archive.file.as_fd(), self.stored.at + at))
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        self.archive.still().map_err(|error| self.error(error))
    }
}
