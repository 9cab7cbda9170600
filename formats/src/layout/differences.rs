//! Where two layouts over the same contents hold other bytes.

use super::{Layout, Placed, ReadAt, Source};
use std::ops::Range;

/// Computed bytes are compared in parts of this many.
const PART: u64 = 64 << 10;

/// The runs of bytes that differ between two layouts over the same contents, in order, neighbours joined.
///
/// Reads no content: the same content at the same position is equal, any other differs all along, and so does a content
/// from computed bytes and gaps. Computed bytes and gaps (which are zeros) are compared byte by byte. Where one layout
/// is longer, the rest of it differs.
pub fn differences(one: &Layout, other: &Layout) -> Vec<Range<u64>> {
    let shared = one.len().min(other.len());
    let mut found = Found::default();
    let (mut ones, mut others) = (one.extents().peekable(), other.extents().peekable());
    let mut at = 0;
    while at < shared {
        while ones.next_if(|extent| extent.end() <= at).is_some() {}
        while others.next_if(|extent| extent.end() <= at).is_some() {}
        let sides = [ones.peek(), others.peek()];
        let end = sides.into_iter().flatten().map(|extent| boundary(extent, at)).fold(shared, u64::min);
        let [one, other] = sides.map(|extent| extent.filter(|extent| extent.start <= at));
        if one.is_some() || other.is_some() {
            compare(at..end, one.map(|one| from(one, at)), other.map(|other| from(other, at)), &mut found);
        }
        at = end;
    }
    found.add(shared..one.len().max(other.len()));
    found.0
}

/// The next position behind `at` at which this extent begins or ends.
fn boundary(extent: &Placed<'_>, at: u64) -> u64 {
    if extent.start > at { extent.start } else { extent.end() }
}

fn from(extent: &Placed<'_>, at: u64) -> Source {
    extent.source.skip(at - extent.start)
}

/// Sorted runs.
#[derive(Default)]
struct Found(Vec<Range<u64>>);

impl Found {
    fn add(&mut self, run: Range<u64>) {
        match self.0.last_mut() {
            _ if run.is_empty() => {}
            Some(last) if last.end == run.start => last.end = run.end,
            _ => self.0.push(run),
        }
    }
}

/// Compares the bytes of a range that is all of one source on each side; `None` is a gap.
fn compare(range: Range<u64>, one: Option<Source>, other: Option<Source>, found: &mut Found) {
    let of_content = |source: &Option<Source>| match source {
        Some(Source::Content(id, offset)) => Some((*id, *offset)),
        _ => None,
    };
    match (of_content(&one), of_content(&other)) {
        (Some(one), Some(other)) if one == other => return,
        (None, None) => {}
        _ => return found.add(range),
    }
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    let mut at = range.start;
    while at < range.end {
        let len = PART.min(range.end - at) as usize;
        read(&one, at - range.start, len, &mut ones);
        read(&other, at - range.start, len, &mut others);
        if ones != others {
            let pairs = (at..).zip(ones.iter().zip(&others));
            pairs.filter(|(_, (a, b))| a != b).for_each(|(at, _)| found.add(at..at + 1));
        }
        at += len as u64;
    }
}

/// Computed bytes from `by` on.
fn read(source: &Option<Source>, by: u64, len: usize, buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(len, 0);
    match source {
        Some(Source::Bytes(bytes, from)) => {
            bytes.read_exact_at(from + by, buffer).expect("a layout's extents lie within their sources");
        }
        Some(Source::Made(made, argument)) => made.fill(argument + by, buffer),
        Some(Source::Content(..)) | None => {}
    }
}
