//! How large a file system must be for a tree.
//!
//! The room for the tree grows with the size, but not steadily: now and then a step takes some away (a group with its
//! tables, a larger journal). Between two steps lies a *plateau*: one more block is one more block of room. There are a
//! few plateaus in each group, so that all of them can be looked at.

use super::geometry::Geometry;
use crate::ext::options::Options;
use std::ops::RangeInclusive;

/// What a tree needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// Inodes, reserved ones included.
    pub(super) inodes: u32,
    /// Blocks at most, wherever they lie.
    pub(super) blocks: u64,
    /// Blocks that stay free for ordinary users; those reserved for root come on top of them.
    pub(super) free: u64,
}

/// The sizes of a file system with these options that hold what is demanded.
pub(super) struct Fit<'a> {
    options: &'a Options,
    demand: Demand,
}

impl<'a> Fit<'a> {
    pub(super) fn new(demand: Demand, options: &'a Options) -> Fit<'a> {
        Fit { options, demand }
    }

    /// The geometry of so many blocks.
    pub(super) fn geometry(&self, blocks: u32) -> Option<Geometry> {
        Geometry::of(blocks, self.demand.inodes, self.options)
    }

    /// Blocks left over by the demand at this size; `None` when it does not fit.
    fn left(&self, blocks: u32) -> Option<u64> {
        let reserved = if self.demand.free == 0 { 0 } else { self.options.reserved_blocks(blocks) };
        self.geometry(blocks)?.room()?.checked_sub(self.demand.blocks + self.demand.free + reserved)
    }

    /// The smallest size.
    pub(super) fn smallest(&self) -> Option<u32> {
        self.plateaus(self.start()?).find_map(|plateau| self.first_in(&plateau))
    }

    /// The smallest size from which on every larger one fits, too, at least when its last group is left out.
    pub(super) fn safe(&self) -> Option<u32> {
        let first = self.smallest()?;
        // No step takes away a fifth of what is there, so that beyond it all sizes fit.
        let end = first.saturating_add(first / 4).saturating_add(8192);
        let plateaus = self.plateaus(first).take_while(|plateau| *plateau.start() <= end);
        Some(plateaus.fold(first, |safe, plateau| match self.first_in(&plateau) {
            _ if self.left(self.whole_groups(*plateau.start())).is_some() => safe,
            Some(fits) if fits == *plateau.start() => safe,
            Some(fits) => fits,
            None => plateau.end() + 1,
        }))
    }

    /// The size of at most `available` blocks to choose: all of them, unless that leaves less to users than to leave out
    /// the last group does, or the demand fits into fewer blocks alone.
    pub(super) fn choose(&self, available: u32) -> Option<Geometry> {
        let left = |blocks| Some(self.left(blocks)? as i64 - self.options.reserved_blocks(blocks) as i64);
        let sizes = [self.whole_groups(available), available];
        let best = sizes.into_iter().filter(|&blocks| left(blocks).is_some());
        let best = best.max_by_key(|&blocks| (left(blocks), blocks)).or_else(|| {
            let plateaus = self.plateaus(self.start()?).take_while(|plateau| *plateau.start() <= available);
            let ends = plateaus.map(|plateau| available.min(*plateau.end()));
            ends.filter(|&end| left(end).is_some()).max_by_key(|&end| left(end))
        });
        self.geometry(best?)
    }

    /// Most blocks of any file system of this format.
    fn most(&self) -> u32 {
        self.options.format.most_blocks()
    }

    /// The next smaller size whose groups are all whole.
    fn whole_groups(&self, blocks: u32) -> u32 {
        let format = &self.options.format;
        let inside = blocks.saturating_sub(1 + format.first_data_block());
        format.first_data_block() + inside / format.blocks_per_group * format.blocks_per_group
    }

    /// No smaller size can do.
    fn start(&self) -> Option<u32> {
        let least = self.demand.blocks.checked_add(self.demand.free)?.max(1);
        u32::try_from(least).ok().filter(|&least| least <= self.most())
    }

    /// All plateaus from size `from` on.
    fn plateaus(&self, from: u32) -> impl Iterator<Item = RangeInclusive<u32>> {
        let mut next = Some(from).filter(|&from| from <= self.most());
        std::iter::from_fn(move || {
            let start = next?;
            let end = self.end_of_plateau(start);
            next = end.checked_add(1).filter(|&next| next <= self.most());
            Some(start..=end)
        })
    }

    /// The last size of the same shape. Within a group, a larger file system never has smaller tables.
    fn end_of_plateau(&self, start: u32) -> u32 {
        let first = self.options.format.first_data_block();
        let inside = start.saturating_sub(first).next_multiple_of(self.options.format.blocks_per_group);
        let group_end = (first + inside).max(start).min(self.most());
        let shape = |blocks| self.geometry(blocks).map(Geometry::shape);
        let at_start = shape(start);
        start + partition(group_end - start, |further| shape(start + further) == at_start) - 1
    }

    fn first_in(&self, plateau: &RangeInclusive<u32>) -> Option<u32> {
        let (&start, &end) = (plateau.start(), plateau.end());
        self.left(end)?;
        Some(start + partition(end - start, |further| self.left(start + further).is_none()))
    }
}

/// How many of the numbers `0 ..= last` have the property; those that have it come first.
fn partition(last: u32, has: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match has(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::format::Generation;

    fn formats() -> [Options; 3] {
        let small = |generation| {
            let mut options = Options::of(generation);
            (options.format.block_size, options.format.blocks_per_group) = (1024, 8192);
            options
        };
        [Options::of(Generation::Ext4), small(Generation::Ext4), small(Generation::Ext2)]
    }

    #[test]
    fn smallest_is_the_first_of_all_sizes_that_fit() {
        for options in formats() {
            for (inodes, blocks) in
                [(12, 5), (12, 900), (12, 1900), (40_000, 9000), (12, 31_000), (12, 63_500)]
            {
                let fit = Fit::new(Demand { inodes, blocks, free: 0 }, &options);
                let smallest = fit.smallest().expect("fits somewhere");
                assert_eq!(
                    (1..200_000).find(|&blocks| fit.left(blocks).is_some()),
                    Some(smallest),
                    "{blocks}"
                );
                assert_eq!(fit.choose(smallest - 1), None);
                for more in (0..70_000).step_by(997) {
                    assert!(fit.choose(smallest + more).is_some(), "{blocks} + {more}");
                }
            }
        }
    }

    #[test]
    fn every_size_from_the_safe_one_on_leaves_what_was_asked() {
        for (options, reserved) in formats().into_iter().zip([0, 500, 500]) {
            let options = Options { reserved, ..options };
            for (blocks, free) in
                [(5, 1), (900, 10), (1900, 500), (31_000, 1), (20_000, 11_000), (200_000, 50_000)]
            {
                let safe =
                    Fit::new(Demand { inodes: 12, blocks, free }, &options).safe().expect("fits somewhere");
                let fit = Fit::new(Demand { inodes: 12, blocks, free: 0 }, &options);
                let free_at = |size| {
                    let geometry = fit.choose(size)?;
                    let left = geometry.room()? - blocks;
                    left.checked_sub(options.reserved_blocks(geometry.blocks))
                };
                assert!(free_at(safe - 1) < Some(free), "{blocks} {free}");
                for more in (0..2 * safe).step_by(61) {
                    assert!(free_at(safe + more) >= Some(free), "{blocks} {free} + {more}");
                }
            }
        }
    }
}
