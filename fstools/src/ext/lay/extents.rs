//! Extent trees: how many blocks they take, and their nodes.

use super::space::Space;
use crate::ext::disk::{
    EXTENT_MAGIC, EXTENT_MAX_LEN, EXTENTS_IN_INODE, ExtentHeader, ExtentIndex, ExtentLeaf, crc32c,
};
use crate::ext::{BLOCK, BLOCKS_PER_GROUP};
use diskwright_formats::layout::{Extent, What};
use std::ops::Range;
use zerocopy::IntoBytes;

/// Entries of a node that is a block.
const IN_BLOCK: usize = (BLOCK as usize - 12) / 12;
/// Byte position of the checksum in a node that is a block: behind the last possible entry.
const TAIL: usize = 12 + 12 * IN_BLOCK;

/// A run of a file's blocks, or (without a length) the node of the tree that holds all from `logical` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First block of the file.
    pub(super) logical: u32,
    /// Block of the file system.
    pub(super) start: u32,
    /// Blocks; at most [`EXTENT_MAX_LEN`].
    pub(super) len: u32,
}

/// Cuts `pieces` (the places of a file's blocks from `logical` on) into extents.
pub(super) fn cut(mut logical: u32, pieces: &[Range<u32>], runs: &mut Vec<Run>) {
    for piece in pieces {
        for start in piece.clone().step_by(usize::from(EXTENT_MAX_LEN)) {
            let len = u32::from(EXTENT_MAX_LEN).min(piece.end - start);
            runs.push(Run { logical, start, len });
            logical += len;
        }
    }
}

/// Blocks of the nodes of a tree of so many extents.
fn node_blocks(extents: u64) -> u64 {
    let mut blocks = 0;
    let mut entries = extents;
    while entries > u64::from(EXTENTS_IN_INODE) {
        entries = entries.div_ceil(IN_BLOCK as u64);
        blocks += entries;
    }
    blocks
}

/// Blocks of data in these runs, and at most of the extent tree over them, wherever they are placed in one go.
pub(super) fn blocks_with_tree(runs: impl Iterator<Item = u64>) -> u64 {
    let (mut blocks, mut extents) = (0, 0);
    for run in runs {
        blocks += run;
        extents += run.div_ceil(u64::from(EXTENT_MAX_LEN));
    }
    blocks + node_blocks(extents + most_cuts(blocks))
}

/// How often metadata can cut so many blocks.
///
/// Metadata interrupts the data area at the starts of groups: at each sixteenth and at the powers of 3, 5 and 7, so of
/// any three interruptions in a row the first and the last have a whole group between them.
fn most_cuts(blocks: u64) -> u64 {
    let groups = blocks.saturating_sub(1) / u64::from(BLOCKS_PER_GROUP);
    // 27 powers of 3, 5 and 7 are below 2^17 groups.
    let interruptions = (2 + 2 * groups).min(groups / 16 + 2 + 27);
    interruptions.min(blocks.saturating_sub(1))
}

/// Places the nodes of the tree over `runs` and renders them. Leaves in `runs` what the inode holds, at most four; returns
/// the levels below that and the blocks of all nodes.
pub(super) fn plant(
    runs: &mut Vec<Run>,
    inode_seed: u32,
    space: &mut Space,
    out: &mut Vec<Extent>,
) -> (u8, u32) {
    let (mut depth, mut blocks) = (0, 0);
    while runs.len() > usize::from(EXTENTS_IN_INODE) {
        let nodes = runs.chunks(IN_BLOCK).map(|entries| {
            let start = space.take_one();
            let node = node(entries, depth, inode_seed);
            out.push(Extent::of_bytes(u64::from(start) * BLOCK, node, What::new(&"extent tree")));
            Run { logical: entries[0].logical, start, len: 0 }
        });
        *runs = nodes.collect();
        blocks += runs.len() as u32;
        depth += 1;
    }
    (depth, blocks)
}

fn node(entries: &[Run], depth: u8, inode_seed: u32) -> Vec<u8> {
    let mut block = vec![0; BLOCK as usize];
    render(entries, depth, IN_BLOCK as u16, &mut block);
    let checksum = crc32c(inode_seed, &block[..TAIL]);
    block[TAIL..][..4].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// Writes header and entries of a node for at most `max` entries to the front of `out`.
pub(super) fn render(entries: &[Run], depth: u8, max: u16, out: &mut [u8]) {
    let header = ExtentHeader {
        eh_magic: EXTENT_MAGIC.into(),
        eh_entries: (entries.len() as u16).into(),
        eh_max: max.into(),
        eh_depth: u16::from(depth).into(),
        eh_generation: 0.into(),
    };
    let (head, rest) = out.split_at_mut(12);
    head.copy_from_slice(header.as_bytes());
    for (run, slot) in entries.iter().zip(rest.chunks_exact_mut(12)) {
        match depth {
            0 => slot.copy_from_slice(leaf(run).as_bytes()),
            _ => slot.copy_from_slice(index(run).as_bytes()),
        }
    }
}

fn leaf(run: &Run) -> ExtentLeaf {
    ExtentLeaf {
        ee_block: run.logical.into(),
        ee_len: (run.len as u16).into(),
        ee_start_hi: 0.into(),
        ee_start_lo: run.start.into(),
    }
}

fn index(run: &Run) -> ExtentIndex {
    ExtentIndex {
        ei_block: run.logical.into(),
        ei_leaf_lo: run.start.into(),
        ei_leaf_hi: 0.into(),
        ei_unused: 0.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_on_both_sides_of_each_depth() {
        let cases = [(0, 0), (4, 0), (5, 1), (340, 1), (341, 2), (1360, 4), (1361, 6), (462_400, 1364)];
        for (extents, blocks) in cases {
            assert_eq!(node_blocks(extents), blocks, "{extents}");
        }
    }

    #[test]
    fn small_files_need_no_tree() {
        for blocks in [0, 1, 2, 32_768] {
            assert_eq!(blocks_with_tree([blocks].into_iter()), blocks);
        }
    }
}
