//! The metadata of the groups as extents.

use super::group::{Bitmap, Bitmaps, Groups};
use super::inode::Inodes;
use super::superblock;
use crate::ext::disk::{SUPERBLOCK_OFFSET, Superblock};
use crate::ext::options::Options;
use crate::registry::Usage;
use diskwright_formats::layout::{Bytes, Extent, Extents, Made, Source, What};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Superblocks and descriptors, all copies.
pub(super) fn copies(superblock: &Superblock, groups: &Groups, extents: &mut Extents) {
    let descriptors = Bytes::from(groups.descriptors());
    let format = &groups.geometry.format;
    for group in groups.geometry.copies() {
        let start = u64::from(groups.geometry.group(group).start) * format.block();
        let at = if group == 0 { SUPERBLOCK_OFFSET } else { start };
        let bytes = superblock::copy(superblock, format, group);
        extents.push(Extent::of_bytes(at, bytes, What::numbered(&"superblock", group)));
        let what = What::numbered(&"group descriptors", group);
        extents.push(Extent::of_bytes(start + format.block(), descriptors.clone(), what));
    }
}

/// Bitmaps of all groups in use. Returns what is free: those of the other groups, and all free blocks.
pub(super) fn bitmaps(groups: &Arc<Groups>, extents: &mut Extents) -> Vec<Range<u64>> {
    let made = |which| Made::new(Bitmaps { groups: groups.clone(), which, key: OnceLock::new() });
    let (block_bitmaps, inode_bitmaps) = (made(Bitmap::Block), made(Bitmap::Inode));
    let size = groups.geometry.format.block();
    let in_bytes = |blocks: &Range<u32>| u64::from(blocks.start) * size..u64::from(blocks.end) * size;
    let mut free: Vec<Range<u64>> = groups.free.iter().map(in_bytes).collect();
    let mut add = |needed: bool, at: u32, made: &Made, group: u32, what| {
        let start = u64::from(at) * size;
        match needed {
            true => {
                let source = Source::Made(made.clone(), u64::from(group) * size);
                extents.push(Extent { start, len: size, source, what });
            }
            false => free.push(start..start + size),
        }
    };
    for group in 0..groups.geometry.groups() {
        let places = &groups.places;
        let what = What::numbered(&"block bitmap", group);
        add(
            !groups.lacks_block_bitmap(group),
            places.block_bitmaps[group as usize],
            &block_bitmaps,
            group,
            what,
        );
        let what = What::numbered(&"inode bitmap", group);
        add(
            !groups.lacks_inode_bitmap(group),
            places.inode_bitmaps[group as usize],
            &inode_bitmaps,
            group,
            what,
        );
    }
    free
}

/// Inode tables as far as they are in use; the rest is zero, as it must be.
pub(super) fn inodes(groups: &Groups, inodes: Inodes, extents: &mut Extents) {
    let format = groups.geometry.format;
    let made = Made::new(inodes);
    let per_group = groups.geometry.inodes_per_group();
    for (group, &table) in (0..).zip(&groups.places.tables) {
        let used = groups.inodes_in(group);
        if used == 0 {
            break;
        }
        extents.push(Extent {
            start: u64::from(table) * format.block(),
            len: u64::from(used.div_ceil(format.inodes_per_block())) * format.block(),
            source: Source::Made(made.clone(), u64::from(group * per_group) * u64::from(format.inode_size)),
            what: What::numbered(&"inode table", group),
        });
    }
}

pub(super) fn usage(groups: &Groups, options: &Options) -> Usage {
    let (blocks, free) = (groups.geometry.blocks, groups.free_blocks());
    let inodes = u64::from(groups.geometry.inodes_per_group()) * u64::from(groups.geometry.groups());
    let used_inodes = u64::from(groups.last_inode);
    Usage {
        free: free.saturating_sub(options.reserved_blocks(blocks)) * options.format.block(),
        used: (u64::from(blocks) - free) * options.format.block(),
        inodes: Some((used_inodes, inodes - used_inodes)),
    }
}
