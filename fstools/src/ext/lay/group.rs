//! Group descriptors and bitmaps.

use super::blocks::{digest_of, fill_blocks};
use super::geometry::{Geometry, Places};
use crate::ext::disk::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, BG_INODE_ZEROED, GroupDescriptor, crc16, crc32c, descriptor_checksum,
};
use crate::ext::format::Feature;
use diskwright_formats::layout::{Fill, Key};
use std::mem::{offset_of, size_of};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use zerocopy::{FromZeros, IntoBytes};

/// What is in use in which group.
pub(super) struct Groups {
    pub(super) seed: u32,
    pub(super) uuid: [u8; 16],
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
    pub(super) fn lacks_block_bitmap(&self, group: u32) -> bool {
        let blocks = self.geometry.group(group);
        self.geometry.format.uninitialised_groups()
            && !self.geometry.has_copy(group)
            && group + 1 < self.geometry.groups()
            && self.free_in(group).next() == Some(blocks)
    }

    /// Whether no inode of the group is in use, so that its bitmap need not be written.
    pub(super) fn lacks_inode_bitmap(&self, group: u32) -> bool {
        self.geometry.format.uninitialised_groups() && self.inodes_in(group) == 0
    }

    fn block_bitmap(&self, group: u32, block: &mut [u8]) {
        block.fill(0xFF);
        let start = self.geometry.group(group).start;
        for free in self.free_in(group) {
            set(block, free.start - start..free.end - start, false);
        }
    }

    fn inode_bitmap(&self, group: u32, block: &mut [u8]) {
        let bits = block.len() as u32 * 8;
        set(block, 0..self.inodes_in(group), true);
        set(block, self.geometry.inodes_per_group()..bits, true);
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
        let format = &self.geometry.format;
        if format.uninitialised_groups() {
            descriptor.bg_itable_unused_lo = ((per_group - used) as u16).into();
            let flag = |on, flag| if on { flag } else { 0 };
            descriptor.bg_flags = (BG_INODE_ZEROED
                | flag(self.lacks_inode_bitmap(group), BG_INODE_UNINIT)
                | flag(self.lacks_block_bitmap(group), BG_BLOCK_UNINIT))
            .into();
        }
        if format.checksums() {
            self.checksums(group, &mut descriptor);
        } else if format.has(Feature::GDT_CSUM) {
            let sum = crc16(crc16(!0, &self.uuid), &group.to_le_bytes());
            let bytes = &descriptor.as_bytes()[..format.descriptor_size()];
            let sum = crc16(sum, &bytes[..offset_of!(GroupDescriptor, bg_checksum)]);
            let rest = &bytes[offset_of!(GroupDescriptor, bg_checksum) + 2..];
            descriptor.bg_checksum = crc16(sum, rest).into();
        }
        descriptor
    }

    /// Checksums of the bitmaps that there are, and of the descriptor itself.
    fn checksums(&self, group: u32, descriptor: &mut GroupDescriptor) {
        let format = &self.geometry.format;
        let mut block = vec![0; format.block_size as usize];
        if !self.lacks_inode_bitmap(group) {
            self.inode_bitmap(group, &mut block);
            let len = self.geometry.inodes_per_group() as usize / 8;
            let checksum = crc32c(self.seed, &block[..len]);
            descriptor.bg_inode_bitmap_csum_lo = (checksum as u16).into();
            descriptor.bg_inode_bitmap_csum_hi = ((checksum >> 16) as u16).into();
        }
        if !self.lacks_block_bitmap(group) {
            self.block_bitmap(group, &mut block);
            let checksum = crc32c(self.seed, &block[..format.blocks_per_group as usize / 8]);
            descriptor.bg_block_bitmap_csum_lo = (checksum as u16).into();
            descriptor.bg_block_bitmap_csum_hi = ((checksum >> 16) as u16).into();
        }
        let size = format.descriptor_size();
        if size < size_of::<GroupDescriptor>() {
            // The high halves are not stored.
            descriptor.as_mut_bytes()[size..].fill(0);
        }
        let checksum = descriptor_checksum(self.seed, group, &descriptor.as_bytes()[..size]);
        descriptor.bg_checksum = checksum.into();
    }

    /// All descriptors.
    pub(super) fn descriptors(&self) -> Vec<u8> {
        let size = self.geometry.format.descriptor_size();
        let mut bytes = Vec::with_capacity(self.geometry.groups() as usize * size);
        for group in 0..self.geometry.groups() {
            bytes.extend_from_slice(&self.descriptor(group).as_bytes()[..size]);
        }
        bytes
    }
}

/// Sets or clears the bits `range`.
fn set(bits: &mut [u8], range: Range<u32>, on: bool) {
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

/// The bitmaps of all groups: that of group `n` lies at byte `n * block`.
pub(super) struct Bitmaps {
    pub(super) groups: Arc<Groups>,
    pub(super) which: Bitmap,
    pub(super) key: OnceLock<[u8; 32]>,
}

impl Fill for Bitmaps {
    fn key(&self) -> Key {
        let len = u64::from(self.groups.geometry.groups()) * self.groups.geometry.format.block();
        let digest = || digest_of(len, |at, buffer| self.fill(at, buffer));
        let format = match self.which {
            Bitmap::Block => "ext4 block bitmaps",
            Bitmap::Inode => "ext4 inode bitmaps",
        };
        Key { format, digest: *self.key.get_or_init(digest) }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        let size = self.groups.geometry.format.block_size;
        fill_blocks(size, argument, buffer, |group, block| match self.which {
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
            let mut bits = [0; 4096];
            set(&mut bits, start..end, true);
            let found: Vec<u32> =
                (0..32_768).filter(|bit| bits[*bit as usize / 8] >> (bit % 8) & 1 == 1).collect();
            assert_eq!(found, (start..end).collect::<Vec<u32>>());
            set(&mut bits, start..end, false);
            assert_eq!(bits, [0; 4096]);
        }
    }
}
