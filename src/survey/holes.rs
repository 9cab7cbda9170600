//! Holes come from content: a hole is a run of whole 64 KiB windows of zeros, counted from the start of the file.

use diskwright_formats::bytes::is_zero;
use diskwright_fstools::tree::HOLE_WINDOW;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Read of a window first; most windows show a byte that is not zero in it.
const PAGE: usize = 4096;

/// The runs of a file of `size` bytes that are data, or `None` when all of it is.
///
/// `maybe` are the ranges, in order, that the source does not know to be zero; `read` gives the bytes at a position.
/// A last window that is not whole is data whatever it holds, so files below 64 KiB need not be looked at.
pub(super) fn runs(
    size: u64,
    maybe: impl IntoIterator<Item = io::Result<Range<u64>>>,
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<Option<Box<[Range<u64>]>>> {
    let whole = size / HOLE_WINDOW;
    if whole == 0 {
        return Ok(None);
    }
    let mut data: Vec<Range<u64>> = Vec::new();
    let mut add = |range: Range<u64>| match data.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => data.push(range),
    };
    let mut buffer = vec![0; HOLE_WINDOW as usize];
    let mut judged = 0;
    for range in maybe {
        let range = range?;
        let end = range.end.div_ceil(HOLE_WINDOW).min(whole);
        for window in judged.max(range.start / HOLE_WINDOW)..end {
            let start = window * HOLE_WINDOW;
            if !window_is_zero(start, &mut buffer, &mut read)? {
                add(start..start + HOLE_WINDOW);
            }
        }
        judged = judged.max(end);
    }
    if !size.is_multiple_of(HOLE_WINDOW) {
        add(whole * HOLE_WINDOW..size);
    }
    let all = data.first() == Some(&(0..size));
    Ok((!all).then(|| data.into_boxed_slice()))
}

/// The runs of an image file that the host does not report as holes: to write it again as it is.
pub(crate) fn kept(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    Segments::new(file, size).collect()
}

/// The runs of an image file that are data by the rule of this room: to lay it as something else, the same on every host.
pub(crate) fn data(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let read = |offset, buffer: &mut [u8]| file.read_exact_at(buffer, offset);
    let all = || std::iter::once(0..size).collect();
    Ok(runs(size, Segments::new(file, size), read)?.map_or_else(all, Vec::from))
}

fn window_is_zero(
    start: u64,
    buffer: &mut [u8],
    read: &mut impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let (page, rest) = buffer.split_at_mut(PAGE);
    read(start, page)?;
    if !is_zero(page) {
        return Ok(false);
    }
    read(start + PAGE as u64, rest)?;
    Ok(is_zero(rest))
}

/// The ranges of a file that the host does not report as holes.
pub(super) struct Segments<'a> {
    file: &'a File,
    at: u64,
    size: u64,
}

impl<'a> Segments<'a> {
    pub(super) fn new(file: &'a File, size: u64) -> Segments<'a> {
        Segments { file, at: 0, size }
    }

    fn segment(&mut self) -> rustix::io::Result<Option<Range<u64>>> {
        if self.at >= self.size {
            return Ok(None);
        }
        let start = match seek(self.file, SeekFrom::Data(self.at)) {
            Err(Errno::NXIO) => return Ok(None),
            // A host that knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.at,
            start => start?,
        };
        let end = match seek(self.file, SeekFrom::Hole(start)) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.size,
            // Cut short meanwhile: reading will tell.
            Err(Errno::NXIO) => self.size,
            end => end?,
        };
        self.at = end.max(start + 1);
        Ok(Some(start..end.min(self.size)))
    }
}

impl Iterator for Segments<'_> {
    type Item = io::Result<Range<u64>>;

    fn next(&mut self) -> Option<io::Result<Range<u64>>> {
        self.segment().map_err(io::Error::from).transpose()
    }
}
