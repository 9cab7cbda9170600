//! Extent trees: how many blocks they take, and their nodes.

use super::space::Space;
use crate::ext::disk::{
    EXTENT_MAGIC, EXTENT_MAX_LEN, EXTENTS_IN_INODE, ExtentHeader, ExtentIndex, ExtentLeaf, crc32c,
};
use crate::ext::format::Format;
use diskwright_formats::layout::{Extent, Extents, What};
use std::ops::Range;
use zerocopy::IntoBytes;

/// Entries of a node that is a block; a checksum fits behind them with every block size.
fn in_block(format: &Format) -> usize {
    (format.block_size as usize - 12) / 12
}

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
pub(super) fn node_blocks(format: &Format, extents: u64) -> u64 {
    let mut blocks = 0;
    let mut entries = extents;
    while entries > u64::from(EXTENTS_IN_INODE) {
        entries = entries.div_ceil(in_block(format) as u64);
        blocks += entries;
    }
    blocks
}

/// Places the nodes of the tree over `runs` and renders them. Leaves in `runs` what the inode holds, at most four; returns
/// the levels below that and the blocks of all nodes.
pub(super) fn plant(
    format: &Format,
    runs: &mut Vec<Run>,
    inode_seed: u32,
    space: &mut Space,
    out: &mut Extents,
) -> (u8, u32) {
    let (mut depth, mut blocks) = (0, 0);
    while runs.len() > usize::from(EXTENTS_IN_INODE) {
        let nodes = runs.chunks(in_block(format)).map(|entries| {
            let start = space.take_one();
            let node = node(format, entries, depth, inode_seed);
            out.push(Extent::of_bytes(u64::from(start) * format.block(), node, What::new(&"extent tree")));
            Run { logical: entries[0].logical, start, len: 0 }
        });
        *runs = nodes.collect();
        blocks += runs.len() as u32;
        depth += 1;
    }
    (depth, blocks)
}

fn node(format: &Format, entries: &[Run], depth: u8, inode_seed: u32) -> Vec<u8> {
    let mut block = vec![0; format.block_size as usize];
    render(entries, depth, in_block(format) as u16, &mut block);
    if format.checksums() {
        // Behind the last possible entry.
        let tail = 12 + 12 * in_block(format);
        let checksum = crc32c(inode_seed, &block[..tail]);
        block[tail..][..4].copy_from_slice(&checksum.to_le_bytes());
    }
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
    use crate::ext::format::Generation;
    use crate::ext::options::Options;

    #[test]
    fn nodes_on_both_sides_of_each_depth() {
        let mut format = Options::of(Generation::Ext4).format;
        let cases = [(0, 0), (4, 0), (5, 1), (340, 1), (341, 2), (1360, 4), (1361, 6), (462_400, 1364)];
        for (extents, blocks) in cases {
            assert_eq!(node_blocks(&format, extents), blocks, "{extents}");
        }
        format.block_size = 1024;
        for (extents, blocks) in [(4, 0), (5, 1), (84, 1), (85, 2), (336, 4), (337, 6)] {
            assert_eq!(node_blocks(&format, extents), blocks, "{extents}");
        }
    }
}
