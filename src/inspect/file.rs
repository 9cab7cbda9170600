//! An image file, read at positions.

use crate::survey::holes;
use crate::survey::stamp::Stamp;
use diskwright_formats::layout::{
    Content, ContentError, ContentId, Contents, Extent, Layout, ReadAt, Source, What,
};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// An open image file or block device. As contents it is what every id stands for, and fails in the end where it changed
/// meanwhile.
pub struct ImageFile {
    file: fs_err::File,
    len: u64,
    stamp: Stamp,
}

impl ImageFile {
    /// Opens a file for reading. Errors name the path.
    pub fn open(path: &Path) -> io::Result<ImageFile> {
        let mut file = fs_err::File::open(path)?;
        let kind = file.metadata()?;
        let len = match kind.file_type() {
            kind if kind.is_dir() => {
                let text = format!("{}: is a directory, not an image", path.display());
                return Err(io::Error::new(io::ErrorKind::IsADirectory, text));
            }
            // A block device has no size in its metadata.
            kind if kind.is_block_device() => io::Seek::seek(&mut file, io::SeekFrom::End(0))?,
            _ => kind.len(),
        };
        let stamp = Stamp::of(&rustix::fs::fstat(&file)?);
        Ok(ImageFile { file, len, stamp })
    }

    /// The file over itself, with the holes that the host has in it: to write it again as it is.
    pub fn kept(&self) -> io::Result<Layout> {
        holes::kept(self.file.file(), self.len).map(|runs| self.of_runs(runs))
    }

    /// The file over itself, with holes where it has nothing but zeros: to lay it as something else.
    pub fn data(&self) -> io::Result<Layout> {
        holes::data(self.file.file(), self.len).map(|runs| self.of_runs(runs))
    }

    fn of_runs(&self, runs: Vec<Range<u64>>) -> Layout {
        let extent = |Range { start, end }: Range<u64>| Extent {
            start,
            len: end - start,
            source: Source::Content(ContentId(0), start),
            what: What::new(&"disk"),
        };
        let runs = runs.into_iter().filter(|run| run.start < run.end);
        Layout::new(self.len, runs.map(extent).collect(), vec![]).expect("runs of the file in order")
    }

    fn error(&self, error: io::Error) -> ContentError {
        ContentError { path: self.file.path().display().to_string(), error }
    }
}

impl ReadAt for ImageFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.file().read_exact_at(buffer, offset)
    }
}

impl Contents for ImageFile {
    fn open(&self, _: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        Ok(Box::new(Opened(self)))
    }
}

struct Opened<'a>(&'a ImageFile);

impl Content for Opened<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        ReadAt::read_exact_at(self.0, offset, buffer).map_err(|error| self.0.error(error))
    }

    fn file_range(&self, offset: u64, len: u64) -> Option<(BorrowedFd<'_>, u64)> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.0.len);
        inside.then(|| (self.0.file.file().as_fd(), offset))
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        let stat = rustix::fs::fstat(&self.0.file).map_err(|error| self.0.error(error.into()))?;
        self.0.stamp.still(Stamp::of(&stat)).map_err(|error| self.0.error(error))
    }
}
