//! The metadata of the groups as extents.

use super::group::{Bitmap, Bitmaps, Groups};
use super::inode::Inodes;
use super::superblock;
use crate::ext::disk::{SUPERBLOCK_OFFSET, Superblock};
use crate::ext::options::Options;
use crate::ext::{BLOCK, INODE_SIZE, INODES_PER_BLOCK};
use crate::registry::Usage;
use diskwright_formats::layout::{Bytes, Extent, Made, Source, What};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Superblocks and descriptors, all copies.
pub(super) fn copies(superblock: &Superblock, groups: &Groups, extents: &mut Vec<Extent>) {
    let descriptors = Bytes::from(groups.descriptors());
    for group in groups.geometry.copies() {
        let start = u64::from(groups.geometry.group(group).start) * BLOCK;
        let at = if group == 0 { SUPERBLOCK_OFFSET } else { start };
        let bytes = superblock::copy(superblock, group);
        extents.push(Extent::of_bytes(at, bytes, What::numbered(&"superblock", group)));
        let what = What::numbered(&"group descriptors", group);
        extents.push(Extent::of_bytes(start + BLOCK, descriptors.clone(), what));
    }
}

/// Bitmaps of all groups in use. Returns what is free: those of the other groups, and all free blocks.
pub(super) fn bitmaps(groups: &Arc<Groups>, extents: &mut Vec<Extent>) -> Vec<Range<u64>> {
    let made = |which| Made::new(Bitmaps { groups: groups.clone(), which, key: OnceLock::new() });
    let (block_bitmaps, inode_bitmaps) = (made(Bitmap::Block), made(Bitmap::Inode));
    let in_bytes = |blocks: &Range<u32>| u64::from(blocks.start) * BLOCK..u64::from(blocks.end) * BLOCK;
    let mut free: Vec<Range<u64>> = groups.free.iter().map(in_bytes).collect();
    let mut add = |needed: bool, at: u32, made: &Made, group: u32, what| {
        let start = u64::from(at) * BLOCK;
        match needed {
            true => {
                let source = Source::Made(made.clone(), u64::from(group) * BLOCK);
                extents.push(Extent { start, len: BLOCK, source, what });
            }
            false => free.push(start..start + BLOCK),
        }
    };
    for group in 0..groups.geometry.groups() {
        let places = &groups.places;
        let what = What::numbered(&"block bitmap", group);
        add(!groups.is_untouched(group), places.block_bitmaps[group as usize], &block_bitmaps, group, what);
        let what = What::numbered(&"inode bitmap", group);
        add(groups.inodes_in(group) > 0, places.inode_bitmaps[group as usize], &inode_bitmaps, group, what);
    }
    free
}

/// Inode tables as far as they are in use; the rest is zero, as every descriptor promises.
pub(super) fn inodes(groups: &Groups, inodes: Inodes, extents: &mut Vec<Extent>) {
    let made = Made::new(inodes);
    let per_group = groups.geometry.inodes_per_group();
    for (group, &table) in (0..).zip(&groups.places.tables) {
        let used = groups.inodes_in(group);
        if used == 0 {
            break;
        }
        extents.push(Extent {
            start: u64::from(table) * BLOCK,
            len: u64::from(used.div_ceil(INODES_PER_BLOCK)) * BLOCK,
            source: Source::Made(made.clone(), u64::from(group * per_group) * INODE_SIZE as u64),
            what: What::numbered(&"inode table", group),
        });
    }
}

pub(super) fn usage(groups: &Groups, options: &Options) -> Usage {
    let (blocks, free) = (groups.geometry.blocks, groups.free_blocks());
    let inodes = u64::from(groups.geometry.inodes_per_group()) * u64::from(groups.geometry.groups());
    let used_inodes = u64::from(groups.last_inode);
    Usage {
        free: free.saturating_sub(options.reserved_blocks(blocks)) * BLOCK,
        used: (u64::from(blocks) - free) * BLOCK,
        inodes: Some((used_inodes, inodes - used_inodes)),
    }
}
