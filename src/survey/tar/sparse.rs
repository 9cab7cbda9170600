//! Where the bytes of a sparse member are.

use super::SEGMENTS_MAX;
use super::pax::decimal;
use diskwright_fstools::tree::HOLE_WINDOW;
use std::ops::Range;

/// Position and length of a piece, as an archive says.
pub(super) type Piece = (u64, u64);

/// A piece of a file that is stored; everything between pieces is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position in the file.
    pub(super) start: u64,
    pub(super) len: u64,
    /// Position behind the first stored byte of the member.
    pub(super) at: u64,
}

impl Segment {
    pub(super) fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// The pieces of a member, checked: sorted, disjoint, none empty, all in the file, together what is stored.
#[derive(Debug)]
pub(crate) struct Map {
    pub(super) size: u64,
    pub(super) segments: Box<[Segment]>,
}

impl Map {
    pub(super) fn new(size: u64, pieces: &[Piece], stored: u64) -> Result<Map, String> {
        if pieces.len() > SEGMENTS_MAX {
            return Err(format!("a sparse file of {} pieces: at most {SEGMENTS_MAX}", pieces.len()));
        }
        let (mut at, mut end) = (0_u64, 0);
        let mut segments = Vec::with_capacity(pieces.len());
        for &(start, len) in pieces {
            let lies =
                || format!("a piece of a sparse file that does not fit: {len} bytes at {start} of {size}");
            let behind =
                start.checked_add(len).filter(|&behind| start >= end && behind <= size).ok_or_else(lies)?;
            if len > 0 {
                segments.push(Segment { start, len, at });
            }
            (at, end) = (at.checked_add(len).ok_or_else(lies)?, behind);
        }
        match at == stored {
            true => Ok(Map { size, segments: segments.into() }),
            false => Err(format!("the pieces of a sparse file have {at} bytes, its data {stored}")),
        }
    }

    /// The pieces that touch `range`, cut to it.
    pub(super) fn touched(segments: &[Segment], range: Range<u64>) -> impl Iterator<Item = Segment> {
        let first = segments.partition_point(|segment| segment.end() <= range.start);
        let touched = segments[first..].iter().take_while(move |segment| segment.start < range.end);
        touched.map(move |segment| {
            let start = segment.start.max(range.start);
            let end = segment.end().min(range.end);
            Segment { start, len: end - start, at: segment.at + (start - segment.start) }
        })
    }

    /// Ranges that may hold something, neighbours joined window by window.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let windows = self.segments.iter().map(|segment| {
            segment.start / HOLE_WINDOW * HOLE_WINDOW
                ..segment.end().div_ceil(HOLE_WINDOW).saturating_mul(HOLE_WINDOW)
        });
        windows.map(|range| range.start..range.end.min(self.size))
    }
}

/// `0,512,1024,512` of pax format 0.1.
pub(super) fn pairs(text: &[u8]) -> Option<Vec<Piece>> {
    let numbers: Option<Vec<u64>> = text.split(|&byte| byte == b',').map(decimal).collect();
    let numbers = numbers?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|&[start, len]| (start, len)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let table: &[(&[Piece], u64, Option<usize>)] = &[
            (&[], 0, Some(0)),
            (&[(100, 0)], 0, Some(0)),
            (&[(0, 10), (20, 10), (100, 0)], 20, Some(2)),
            (&[(0, 10), (10, 10)], 20, Some(2)),
            (&[(0, 10)], 9, None),
            (&[(0, 10)], 11, None),
            (&[(0, 10), (9, 10)], 20, None),
            (&[(20, 10), (0, 10)], 20, None),
            (&[(91, 10)], 10, None),
            (&[(u64::MAX, 10)], 10, None),
            (&[(10, u64::MAX)], u64::MAX, None),
        ];
        for (pieces, stored, expected) in table {
            let map = Map::new(100, pieces, *stored);
            assert_eq!(map.as_ref().ok().map(|map| map.segments.len()), *expected, "{pieces:?}: {map:?}");
        }
    }

    #[test]
    fn pieces_are_cut() {
        let map = Map::new(100, &[(10, 10), (30, 10), (50, 10)], 30).unwrap();
        let cut = |range: Range<u64>| {
            Map::touched(&map.segments, range).map(|s| (s.start, s.len, s.at)).collect::<Vec<_>>()
        };
        assert_eq!(cut(0..10), []);
        assert_eq!(cut(15..35), [(15, 5, 5), (30, 5, 10)]);
        assert_eq!(cut(0..100), [(10, 10, 0), (30, 10, 10), (50, 10, 20)]);
        assert_eq!(cut(20..30), []);
        assert_eq!(cut(59..61), [(59, 1, 29)]);
    }
}
