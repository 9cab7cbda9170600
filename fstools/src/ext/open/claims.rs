//! Who uses which block.

use super::super::disk::ro_compat;
use super::report::{Object, Report};
use super::volume::Volume;
use std::collections::BTreeSet;
use std::ops::Range;

/// Blocks `start .. start + len` belong to `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ext) struct Claim {
    pub(in crate::ext) start: u64,
    /// Sorts the file system's own structures before those of inodes.
    pub(in crate::ext) of: Object,
    pub(in crate::ext) len: u64,
}

impl Claim {
    /// The block behind the last one.
    pub(in crate::ext) fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// All claims, in the order in which they were met.
#[derive(Debug, Default)]
pub(in crate::ext) struct Claims {
    list: Vec<Claim>,
    visited: BTreeSet<u64>,
}

impl Claims {
    /// Notes that these blocks are in use. They must lie within the volume.
    pub(in crate::ext) fn add(&mut self, start: u64, len: u64, of: Object) {
        self.list.push(Claim { start, len, of });
    }

    /// Whether this block of metadata was not visited before. A block is followed once: what an image makes a reader do
    /// is then bounded by its own length, however its trees are knotted.
    pub(in crate::ext) fn first_visit(&mut self, block: u64) -> bool {
        self.visited.insert(block)
    }

    /// All claims by block.
    pub(in crate::ext) fn sorted(self) -> Vec<Claim> {
        let mut list = self.list;
        list.sort_unstable();
        list
    }

    /// Claims that overlap an earlier one, among those of structures that `counts` accepts.
    pub(super) fn contested(&mut self, counts: fn(Object) -> bool) -> BTreeSet<Object> {
        self.list.sort_unstable();
        let mut end = 0;
        let later = self.list.iter().filter(|claim| counts(claim.of)).filter(|claim| {
            let overlaps = claim.start < end;
            end = end.max(claim.end());
            overlaps
        });
        later.map(|claim| claim.of).collect()
    }
}

/// Reports blocks that two structures claim. `claims` are sorted.
pub(super) fn check(claims: &[Claim], volume: &Volume, report: &mut Report) {
    let mut before: Option<Claim> = None;
    for claim in claims {
        if report.is_full() {
            return;
        }
        let is_shared = |first: &Claim| {
            let data = |of| matches!(of, Object::Data { .. });
            volume.ro_compat(ro_compat::SHARED_BLOCKS) && data(first.of) && data(claim.of)
        };
        if let Some(first) = before.filter(|first| claim.start < first.end() && !is_shared(first)) {
            let expected = format!("block {} used once", claim.start);
            let found = format!("used by {} too", first.of);
            report.mismatch(claim.of, volume.offset(claim.start), expected, found);
        }
        if before.is_none_or(|first| claim.end() > first.end()) {
            before = Some(*claim);
        }
    }
}

/// Reports data of files that a replayed journal replaces (`data=journal`): it is not where the file has it. `claims` are
/// sorted, and so is `moved`.
pub(super) fn check_moved(
    claims: &[Claim],
    moved: impl Iterator<Item = u64>,
    volume: &Volume,
    report: &mut Report,
) {
    for block in moved {
        let after = claims.partition_point(|claim| claim.start <= block);
        let claim = claims[..after].last().filter(|claim| claim.end() > block);
        if let Some(claim) = claim.filter(|claim| matches!(claim.of, Object::Data { .. })) {
            report.unsupported(claim.of, volume.offset(block), "data that lies in the journal");
        }
    }
}

/// The runs of blocks in use, neighbours joined. `claims` are sorted.
pub(super) fn used(claims: &[Claim]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for claim in claims {
        match runs.last_mut() {
            Some(last) if claim.start <= last.end => last.end = last.end.max(claim.end()),
            _ => runs.push(claim.start..claim.end()),
        }
    }
    runs
}
