//! Reading at positions: images, and layouts as if they were written already.

use super::{Contents, Layout, Source};
use sha2::{Digest, Sha256};
use std::io;
use std::ops::Range;

/// Bytes that can be read at any position from any thread.
pub trait ReadAt: Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` with the bytes from `offset` on; [`io::ErrorKind::UnexpectedEof`] when they end before.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buffer)
    }
}

/// Bytes `start .. start + len` of something else: a partition of a disk.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    of: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl<'a> Window<'a> {
    /// A window; `None` when it ends behind `of`.
    pub fn new(of: &'a dyn ReadAt, range: Range<u64>) -> Option<Window<'a>> {
        let fits = range.start <= range.end && range.end <= of.len();
        fits.then(|| Window { of, start: range.start, len: range.end - range.start })
    }
}

impl ReadAt for Window<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        end.filter(|&end| end <= self.len).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.of.read_exact_at(self.start + offset, buffer)
    }
}

/// A layout over its contents, as bytes.
pub struct Reader<'a> {
    layout: &'a Layout,
    contents: &'a dyn Contents,
}

impl<'a> Reader<'a> {
    /// Reads `layout`, whose content ids index `contents`.
    pub fn new(layout: &'a Layout, contents: &'a dyn Contents) -> Reader<'a> {
        Reader { layout, contents }
    }
}

impl ReadAt for Reader<'_> {
    fn len(&self) -> u64 {
        self.layout.len()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        let end = end.filter(|&end| end <= self.layout.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        for extent in self.layout.extents_in(offset..end) {
            let at = (extent.start - offset) as usize;
            let part = &mut buffer[at..at + extent.len as usize];
            match extent.source {
                Source::Bytes(bytes, from) => bytes.read_exact_at(from, part)?,
                Source::Made(made, argument) => made.fill(argument, part),
                Source::Content(id, from) => {
                    let content = self.contents.open(id).map_err(io::Error::other)?;
                    content.read_exact_at(from, part).map_err(io::Error::other)?;
                }
            }
        }
        Ok(())
    }
}

impl Layout {
    /// SHA-256 of the image that this layout describes over `contents`, without writing it.
    pub fn digest(&self, contents: &dyn Contents) -> io::Result<[u8; 32]> {
        const STEP: u64 = 1 << 20;
        let reader = Reader::new(self, contents);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; STEP as usize];
        for start in (0..self.len()).step_by(STEP as usize) {
            let part = &mut buffer[..STEP.min(self.len() - start) as usize];
            reader.read_exact_at(start, part)?;
            hash.update(part);
        }
        Ok(hash.finalize().into())
    }
}
