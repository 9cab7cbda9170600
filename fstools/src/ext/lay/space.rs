//! Hands out the blocks of the data area from the front.

use std::ops::Range;

/// Files up to this many blocks are kept in one piece where there is room to skip to the next interval.
const SMALL: u32 = 32;

/// The free blocks of a file system while it is laid.
pub(super) struct Space {
    /// Intervals not used up yet, first one last.
    rest: Vec<Range<u32>>,
    /// Blocks that nobody will ask for: as many may be skipped.
    slack: u64,
    /// Skipped.
    gaps: Vec<Range<u32>>,
}

impl Space {
    /// All blocks of `data` (sorted intervals), of which at most `needed` will be taken.
    pub(super) fn new(mut data: Vec<Range<u32>>, needed: u64) -> Space {
        let room: u64 = data.iter().map(|range| u64::from(range.end - range.start)).sum();
        data.reverse();
        Space { rest: data, slack: room - needed, gaps: Vec::new() }
    }

    /// The next `blocks` blocks, in pieces where metadata lies between them, added to `pieces`.
    pub(super) fn take(&mut self, blocks: u32, pieces: &mut Vec<Range<u32>>) {
        if blocks <= SMALL {
            self.skip_short(blocks);
        }
        let mut missing = blocks;
        while missing > 0 {
            let next = self.rest.last_mut().expect("no more blocks are taken than were counted");
            let len = missing.min(next.end - next.start);
            pieces.push(next.start..next.start + len);
            next.start += len;
            missing -= len;
            if next.start == next.end {
                self.rest.pop();
            }
        }
    }

    /// One block.
    pub(super) fn take_one(&mut self) -> u32 {
        let mut pieces = Vec::with_capacity(1);
        self.take(1, &mut pieces);
        pieces[0].start
    }

    /// Leaves the end of an interval that is too short for `blocks`, if we can afford it.
    fn skip_short(&mut self, blocks: u32) {
        let [.., _, next] = &self.rest[..] else { return };
        let len = next.end - next.start;
        if len < blocks && u64::from(len) <= self.slack {
            self.slack -= u64::from(len);
            self.gaps.extend(self.rest.pop());
        }
    }

    /// What is left, sorted.
    pub(super) fn into_free(self) -> Vec<Range<u32>> {
        let mut free = self.gaps;
        free.extend(self.rest);
        free.sort_by_key(|range| range.start);
        free
    }
}
