//! Block maps of ext2 and ext3: twelve blocks in the inode, the others through single, double and triple indirect blocks
//! (`Documentation/filesystems/ext4/ifork.rst`, "Direct/Indirect Block Addressing").
//!
//! Behind the first twelve, each indirect block of level 1 lists as many blocks as fit, so that its number in the file
//! follows from a block's number alone: 0 is the single one, the next ones lie below the double one, all others below the
//! triple one. How many there are does not depend on where anything lies.

use super::blocks::{digest_of, fill_blocks};
use super::extents::Run;
use diskwright_formats::layout::{Fill, Key};
use std::ops::Range;
use std::sync::OnceLock;

/// Blocks that the inode lists itself.
pub(super) const DIRECT: u32 = 12;
/// Words of `i_block`.
pub(super) const WORDS: usize = 15;

/// Most blocks of a file; `listed`: block numbers in a block.
pub(super) fn most_blocks(listed: u32) -> u64 {
    let listed = u64::from(listed);
    u64::from(DIRECT) + listed + listed * listed + listed * listed * listed
}

/// Blocks of data in these runs, and of all indirect blocks over them.
pub(super) fn blocks_with_map(listed: u32, runs: impl Iterator<Item = Range<u32>>) -> u64 {
    let (mut blocks, mut nodes, mut last) = (0, 0, None);
    for run in runs {
        blocks += u64::from(run.end - run.start);
        let end = run.end.saturating_sub(1);
        if run.is_empty() || end < DIRECT {
            continue;
        }
        for leaf in (run.start.max(DIRECT) - DIRECT) / listed..=(end - DIRECT) / listed {
            nodes += entered(listed, last, leaf).count() as u64;
            last = Some(leaf);
        }
    }
    blocks + nodes
}

/// Which indirect blocks begin with leaf `leaf` (an indirect block of level 1, by its number in the file), when `last` was
/// the one before: their levels, the highest first.
pub(super) fn entered(listed: u32, last: Option<u32>, leaf: u32) -> impl Iterator<Item = u8> {
    // Below a double indirect block of its own, or one of the triple one's; `None` for the single one.
    let middle = |leaf: u32| leaf.checked_sub(1).map(|leaf| leaf / listed);
    let top = |leaf: u32| middle(leaf).is_some_and(|middle| middle > 0);
    let new_leaf = last != Some(leaf);
    let new_middle = middle(leaf).is_some() && last.is_none_or(|last| middle(last) != middle(leaf));
    let new_top = top(leaf) && !last.is_some_and(top);
    [(3, new_top), (2, new_middle), (1, new_leaf)].into_iter().filter_map(|(level, new)| new.then_some(level))
}

/// An indirect block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Its place.
    pub(super) at: u32,
    /// The first block of the file that it may list.
    pub(super) logical: u32,
    /// The runs of its file: the first one and the end in [`Maps::runs`].
    pub(super) runs: (u32, u32),
    pub(super) level: u8,
}

impl Node {
    /// The indirect block of this level over leaf `leaf`, at block `at`.
    pub(super) fn over(listed: u32, leaf: u32, level: u8, at: u32) -> Node {
        let first_leaf = match level {
            1 => leaf,
            2 => 1 + (leaf - 1) / listed * listed,
            _ => 1 + listed,
        };
        Node { at, logical: DIRECT + first_leaf * listed, runs: (0, 0), level }
    }
}

/// The indirect blocks of all files, in the order in which they were placed; that of number `n` lies at byte `n * block`.
#[derive(Default)]
pub(super) struct Maps {
    pub(super) block_size: u32,
    pub(super) nodes: Vec<Node>,
    /// Runs of all files that have indirect blocks.
    pub(super) runs: Vec<Run>,
    pub(super) key: OnceLock<[u8; 32]>,
}

impl Maps {
    pub(super) fn new(block_size: u32) -> Maps {
        Maps { block_size, ..Maps::default() }
    }

    fn listed(&self) -> u32 {
        self.block_size / 4
    }

    /// Ends a file whose first run and node are these: gives its nodes their runs, and returns its `i_block`.
    pub(super) fn finish(&mut self, first_run: usize, first_node: usize) -> [u32; WORDS] {
        let of_file = (first_run as u32, self.runs.len() as u32);
        let mut words = [0; WORDS];
        for run in self.runs[first_run..].iter().take_while(|run| run.logical < DIRECT) {
            for at in run.logical..(run.logical + run.len).min(DIRECT) {
                words[at as usize] = run.start + (at - run.logical);
            }
        }
        let listed = self.listed();
        for node in &mut self.nodes[first_node..] {
            node.runs = of_file;
            match (node.level, (node.logical - DIRECT) / listed) {
                (1, 0) => words[12] = node.at,
                (2, 1) => words[13] = node.at,
                (3, _) => words[14] = node.at,
                // Below one of those.
                _ => {}
            }
        }
        words
    }

    fn block(&self, number: u64, block: &mut [u8]) {
        let node = self.nodes[number as usize];
        let mut put = |slot: u32, value: u32| {
            block[slot as usize * 4..][..4].copy_from_slice(&value.to_le_bytes());
        };
        let listed = self.listed();
        if node.level > 1 {
            let step = u64::from(listed).pow(u32::from(node.level) - 1);
            let below = self.nodes[number as usize + 1..]
                .iter()
                .take_while(|below| below.runs == node.runs && below.level < node.level);
            for child in below.filter(|below| below.level + 1 == node.level) {
                put((u64::from(child.logical - node.logical) / step) as u32, child.at);
            }
            return;
        }
        let end = u64::from(node.logical) + u64::from(listed);
        let runs = &self.runs[node.runs.0 as usize..node.runs.1 as usize];
        let first = runs.partition_point(|run| run.logical + run.len <= node.logical);
        for run in runs[first..].iter().take_while(|run| u64::from(run.logical) < end) {
            let from = run.logical.max(node.logical);
            let to = (u64::from(run.logical) + u64::from(run.len)).min(end) as u32;
            (from..to).for_each(|at| put(at - node.logical, run.start + (at - run.logical)));
        }
    }
}

impl Fill for Maps {
    fn key(&self) -> Key {
        let len = self.nodes.len() as u64 * u64::from(self.block_size);
        let digest = || digest_of(len, |at, buffer| self.fill(at, buffer));
        Key { format: "ext indirect blocks", digest: *self.key.get_or_init(digest) }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        fill_blocks(self.block_size, argument, buffer, |at, block| self.block(at, block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indirect_blocks_on_both_sides_of_each_level() {
        let of = |blocks| blocks_with_map(256, std::iter::once(0..blocks)) - u64::from(blocks);
        let double = 12 + 256;
        let triple = double + 256 * 256;
        for (blocks, nodes) in [
            (0, 0),
            (12, 0),
            (13, 1),
            (double, 1),
            (double + 1, 3),
            (double + 256, 3),
            (double + 257, 4),
            (triple, 2 + 256),
            (triple + 1, 2 + 256 + 3),
            (triple + 256 * 256 + 1, 2 + 256 + 2 + 256 + 2),
        ] {
            assert_eq!(of(blocks), nodes, "{blocks}");
        }
    }

    #[test]
    fn holes_need_no_indirect_blocks() {
        let of = |runs: &[Range<u32>]| blocks_with_map(256, runs.iter().cloned());
        assert_eq!(of(&[0..1, 12..13]), 3);
        assert_eq!(of(&[12..13, 20..30, 267..269]), 13 + 3);
        assert_eq!(of(&[0..0, 100_000..100_001]), 1 + 3);
        assert_eq!(of(&[300..301, 100_000..100_001]), 2 + 2 + 3);
    }
}
