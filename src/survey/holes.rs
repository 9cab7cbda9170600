//! Holes come from content: a hole is a run of whole 64 KiB windows of zeros, counted from the start of the file.

use diskwright_formats::bytes::is_zero;
use diskwright_fstools::tree::HOLE_WINDOW;
use std::io;
use std::ops::Range;

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
