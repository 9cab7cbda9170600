//! Other bytes in the place of some: an identity change as a value.

use super::{Bytes, Extent, Layout, LayoutError, What};
use std::ops::Range;

/// Bytes that take the place of as many, whatever is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Position of the first, in bytes.
    pub start: u64,
    /// The new bytes; never none.
    pub bytes: Bytes,
    /// What they are part of.
    pub what: What,
}

/// Equal bytes between two that differ are part of the patch where they are fewer than this.
const SHORTEST_GAP: usize = 8;

impl Patch {
    /// Where it lies.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start + self.bytes.len() as u64
    }

    /// The same patch of an outer object in which the patched one starts at `by` bytes.
    pub fn shifted(self, by: u64) -> Patch {
        Patch { start: self.start + by, ..self }
    }

    /// What makes `new` of `old`, both as long and both at `start`: a patch for each run of bytes that differ.
    pub fn between(start: u64, old: &[u8], new: &[u8], what: What) -> Vec<Patch> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for at in (0..old.len().min(new.len())).filter(|&at| old[at] != new[at]) {
            match runs.last_mut() {
                Some(last) if at - last.end < SHORTEST_GAP => last.end = at + 1,
                _ => runs.push(at..at + 1),
            }
        }
        let patch = |run: Range<usize>| {
            let start = start + run.start as u64;
            Patch { start, bytes: Bytes::from(&new[run]), what }
        };
        runs.into_iter().map(patch).collect()
    }
}

impl Layout {
    /// The same bytes but for those of the patches, which may come in any order and lie anywhere within: on extents, in
    /// gaps, across both. Free ranges give way. Costs O(pieces + patches). Fails where a patch is empty, ends behind the
    /// layout or lies on another.
    pub fn patched(&self, patches: &[Patch]) -> Result<Layout, LayoutError> {
        let extents =
            patches.iter().map(|patch| Extent::of_bytes(patch.start, patch.bytes.clone(), patch.what));
        let over = Layout::new(self.len, extents.collect(), vec![])?;
        let mut pieces = Vec::with_capacity(self.pieces.len() + 2 * patches.len());
        let mut at = 0;
        for run in over.covered() {
            pieces.extend(self.pieces_in(&(at..run.start)));
            pieces.extend(over.pieces_in(&run));
            at = run.end;
        }
        pieces.extend(self.pieces_in(&(at..self.len)));
        Ok(Layout { len: self.len, pieces })
    }
}
