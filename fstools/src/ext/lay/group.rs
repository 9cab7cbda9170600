//! Group descriptors and bitmaps.

use super::blocks::{Block, digest_of, fill_blocks};
use super::geometry::{Geometry, Places};
use crate::ext::disk::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, BG_INODE_ZEROED, GroupDescriptor, crc32c, descriptor_checksum,
    has_backup,
};
use crate::ext::{BLOCK, BLOCKS_PER_GROUP};
use diskwright_formats::layout::{Fill, Key};
use std::mem::size_of;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use zerocopy::{FromZeros, IntoBytes};

/// What is in use in which group.
pub(super) struct Groups {
    pub(super) seed: u32,
    pub(super) geometry: Geometry,
    pub(super) places: Places,
    /// Free blocks, sorted.
    pub(super) free: Vec<Range<u32>>,
    /// Inodes in use: all from 1 to this one.
    pub(super) last_inode: u32,
    /// Directories by group; groups without one may be left out at the end.
    pub(super) directories: Vec<u32>,
}

impl Groups {
    /// Free blocks of the file system.
    pub(super) fn free_blocks(&self) -> u64 {
        self.free.iter().map(|range| u64::from(range.end - range.start)).sum()
    }

    /// Inodes in use in a group.
    pub(super) fn inodes_in(&self, group: u32) -> u32 {
        let per_group = self.geometry.inodes_per_group();
        self.last_inode.saturating_sub(group * per_group).min(per_group)
    }

    fn free_in(&self, group: u32) -> impl Iterator<Item = Range<u32>> {
        let blocks = self.geometry.group(group);
        let first = self.free.partition_point(|range| range.end <= blocks.start);
        let ranges = self.free[first..].iter().take_while(move |range| range.start < blocks.end);
        ranges.map(move |range| range.start.max(blocks.start)..range.end.min(blocks.end))
    }

    /// Whether nothing in the group is in use, so that its bitmap need not be written. The last group's is.
    pub(super) fn is_untouched(&self, group: u32) -> bool {
        let blocks = self.geometry.group(group);
        !has_backup(group) && group + 1 < self.geometry.groups() && self.free_in(group).next() == Some(blocks)
    }

    fn block_bitmap(&self, group: u32, block: &mut Block) {
        block.fill(0xFF);
        let start = group * BLOCKS_PER_GROUP;
        for free in self.free_in(group) {
            set(block, free.start - start..free.end - start, false);
        }
    }

    fn inode_bitmap(&self, group: u32, block: &mut Block) {
        set(block, 0..self.inodes_in(group), true);
        set(block, self.geometry.inodes_per_group()..BLOCK as u32 * 8, true);
    }

    fn descriptor(&self, group: u32) -> GroupDescriptor {
        let mut descriptor = GroupDescriptor::new_zeroed();
        let per_group = self.geometry.inodes_per_group();
        let used = self.inodes_in(group);
        let free: u32 = self.free_in(group).map(|range| range.end - range.start).sum();
        let directories = self.directories.get(group as usize).copied().unwrap_or(0);
        let at = group as usize;
        descriptor.bg_block_bitmap_lo = self.places.block_bitmaps[at].into();
        descriptor.bg_inode_bitmap_lo = self.places.inode_bitmaps[at].into();
        descriptor.bg_inode_table_lo = self.places.tables[at].into();
        // All counts are at most 32768: their high halves stay zero.
        descriptor.bg_free_blocks_count_lo = (free as u16).into();
        descriptor.bg_free_inodes_count_lo = ((per_group - used) as u16).into();
        descriptor.bg_used_dirs_count_lo = (directories as u16).into();
        descriptor.bg_itable_unused_lo = ((per_group - used) as u16).into();
        let mut flags = BG_INODE_ZEROED;
        let mut block = [0; BLOCK as usize];
        if used == 0 {
            flags |= BG_INODE_UNINIT;
        } else {
            self.inode_bitmap(group, &mut block);
            let checksum = crc32c(self.seed, &block[..per_group as usize / 8]);
            descriptor.bg_inode_bitmap_csum_lo = (checksum as u16).into();
            descriptor.bg_inode_bitmap_csum_hi = ((checksum >> 16) as u16).into();
        }
        if self.is_untouched(group) {
            flags |= BG_BLOCK_UNINIT;
        } else {
            self.block_bitmap(group, &mut block);
            let checksum = crc32c(self.seed, &block);
            descriptor.bg_block_bitmap_csum_lo = (checksum as u16).into();
            descriptor.bg_block_bitmap_csum_hi = ((checksum >> 16) as u16).into();
        }
        descriptor.bg_flags = flags.into();
        descriptor.bg_checksum = descriptor_checksum(self.seed, group, descriptor.as_bytes()).into();
        descriptor
    }

    /// All descriptors.
    pub(super) fn descriptors(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.geometry.groups() as usize * size_of::<GroupDescriptor>());
        for group in 0..self.geometry.groups() {
            bytes.extend_from_slice(self.descriptor(group).as_bytes());
        }
        bytes
    }
}

/// Sets or clears the bits `range`.
fn set(bits: &mut Block, range: Range<u32>, on: bool) {
    let (first, last) = ((range.start / 8) as usize, (range.end / 8) as usize);
    let mut merge = |at: usize, mask: u8| match on {
        true => bits[at] |= mask,
        false => bits[at] &= !mask,
    };
    let (low, high) = (0xFFu8 << (range.start % 8), !(0xFFu8 << (range.end % 8)));
    if first == last {
        if !range.is_empty() {
            merge(first, low & high);
        }
        return;
    }
    merge(first, low);
    if high != 0 {
        merge(last, high);
    }
    bits[first + 1..last].fill(if on { 0xFF } else { 0 });
}

/// Which bitmap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bitmap {
    Block,
    Inode,
}

/// The bitmaps of all groups: that of group `n` lies at byte `n * 4096`.
pub(super) struct Bitmaps {
    pub(super) groups: Arc<Groups>,
    pub(super) which: Bitmap,
    pub(super) key: OnceLock<[u8; 32]>,
}

impl Fill for Bitmaps {
    fn key(&self) -> Key {
        let len = u64::from(self.groups.geometry.groups()) * BLOCK;
        let digest = || digest_of(len, |at, buffer| self.fill(at, buffer));
        let format = match self.which {
            Bitmap::Block => "ext4 block bitmaps",
            Bitmap::Inode => "ext4 inode bitmaps",
        };
        Key { format, digest: *self.key.get_or_init(digest) }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        fill_blocks(argument, buffer, |group, block| match self.which {
            Bitmap::Block => self.groups.block_bitmap(group as u32, block),
            Bitmap::Inode => self.groups.inode_bitmap(group as u32, block),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_one_by_one() {
        for (start, end) in
            [(0, 0), (0, 1), (3, 5), (3, 8), (7, 9), (8, 16), (5, 40), (32_760, 32_768), (0, 32_768)]
        {
            let mut bits = [0; BLOCK as usize];
            set(&mut bits, start..end, true);
            let found: Vec<u32> =
                (0..32_768).filter(|bit| bits[*bit as usize / 8] >> (bit % 8) & 1 == 1).collect();
            assert_eq!(found, (start..end).collect::<Vec<u32>>());
            set(&mut bits, start..end, false);
            assert_eq!(bits, [0; BLOCK as usize]);
        }
    }
}
