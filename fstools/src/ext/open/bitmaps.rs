//! Bitmaps and counts, rebuilt from what is in use and compared.

use super::super::disk::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, GroupDescriptor, SUPERBLOCK_OFFSET, Superblock, crc32c, mode,
};
use super::groups::{Group, front_blocks};
use super::inodes::Inode;
use super::report::{Object, Report};
use super::volume::Volume;
use std::mem::offset_of;
use std::ops::Range;

/// Compares all bitmaps and counts. `used`: runs of blocks in use; `inodes`: inodes in use; both in order.
pub(super) fn check(
    volume: &Volume,
    groups: &[Group],
    used: &[Range<u64>],
    inodes: &[Inode],
    report: &mut Report,
) {
    let (mut free_blocks, mut free_inodes) = (0, 0);
    for (number, group) in (0..).zip(groups) {
        if report.is_full() {
            return;
        }
        let check = Check { volume, number, group };
        free_blocks += check.blocks(used, report);
        free_inodes += check.inodes(inodes, report);
    }
    let superblock = &volume.superblock;
    let mut compare = |at: usize, expected: u64, what: &str, found: u64| {
        if expected != found && volume.is_clean() && groups.len() == volume.groups as usize {
            let expected = format!("{expected} free {what}");
            report.mismatch(Object::Superblock, SUPERBLOCK_OFFSET + at as u64, expected, found);
        }
    };
    let stored = superblock.free_blocks_count();
    compare(offset_of!(Superblock, s_free_blocks_count_lo), free_blocks, "blocks", stored);
    let stored = superblock.s_free_inodes_count.get().into();
    compare(offset_of!(Superblock, s_free_inodes_count), free_inodes, "inodes", stored);
}

struct Check<'a> {
    volume: &'a Volume<'a>,
    number: u32,
    group: &'a Group,
}

macro_rules! field {
    ($self:expr, $field:ident) => {
        $self.group.at + offset_of!(GroupDescriptor, $field) as u64
    };
}

impl Check<'_> {
    /// Returns the number of free blocks.
    fn blocks(&self, used: &[Range<u64>], report: &mut Report) -> u64 {
        let Check { volume, number, group } = *self;
        let range = volume.group_blocks(number);
        let first = used.partition_point(|run| run.end <= range.start);
        let here = used[first..].iter().take_while(|run| run.start < range.end);
        let here =
            here.map(|run| run.start.max(range.start) - range.start..run.end.min(range.end) - range.start);
        let runs: Vec<Range<u64>> = here.collect();
        let count: u64 = runs.iter().map(|run| run.end - run.start).sum();
        let free = range.end - range.start - count;
        let of = Object::Descriptor(number);
        if u64::from(group.descriptor.free_blocks_count()) != free {
            let found = group.descriptor.free_blocks_count();
            let expected = format!("{free} free blocks");
            report.mismatch(of, field!(self, bg_free_blocks_count_lo), expected, found);
        }
        if group.has(BG_BLOCK_UNINIT, volume) {
            let own = self.own_blocks(&range);
            if count != own {
                let expected = format!("an initialised bitmap for {count} blocks in use");
                report.mismatch(of, field!(self, bg_flags), expected, format_args!("BLOCK_UNINIT for {own}"));
            }
        } else if let Some(block) = group.block_bitmap {
            let tail = range.end - range.start..volume.block_size as u64 * 8;
            let bits = bits(volume, runs.into_iter().chain([tail]));
            let sum = (volume.blocks_per_group, group.descriptor.block_bitmap_csum());
            let name = |bit| format!("block {}", range.start + bit);
            self.bitmap(Object::BlockBitmap(number), block, &bits, sum, name, report);
        }
        free
    }

    /// Blocks of the group that its own metadata takes: all that is in use where the bitmap is not initialised.
    fn own_blocks(&self, range: &Range<u64>) -> u64 {
        let group = &self.group.descriptor;
        let within = |start: u64, len: u64| {
            start >= range.start && start.checked_add(len).is_some_and(|end| end <= range.end)
        };
        let front = front_blocks(self.volume, self.number).min(range.end - range.start);
        let table = self.volume.table_blocks();
        let parts = [(group.block_bitmap(), 1), (group.inode_bitmap(), 1), (group.inode_table(), table)];
        front + parts.iter().filter(|part| within(part.0, part.1)).map(|part| part.1).sum::<u64>()
    }

    /// Returns the number of free inodes.
    fn inodes(&self, inodes: &[Inode], report: &mut Report) -> u64 {
        let Check { volume, number, group } = *self;
        let first = number * volume.inodes_per_group + 1;
        let end = u64::from(first) + u64::from(volume.inodes_per_group);
        let from = inodes.partition_point(|inode| inode.ino < first);
        let here = inodes[from..].iter().take_while(|inode| u64::from(inode.ino) < end);
        let reserved = u64::from(volume.first_ino - 1).saturating_sub(u64::from(first - 1));
        let reserved = reserved.min(volume.inodes_per_group.into());
        let open = here.clone().filter(|inode| inode.ino >= volume.first_ino);
        let open = open.map(|inode| u64::from(inode.ino - first)..u64::from(inode.ino - first) + 1);
        let runs: Vec<Range<u64>> = std::iter::once(0..reserved).chain(open).collect();
        let count: u64 = runs.iter().map(|run| run.end - run.start).sum();
        let free = u64::from(volume.inodes_per_group) - count;
        let directories = here.filter(|inode| inode.mode & mode::TYPE == mode::DIRECTORY).count() as u64;
        let descriptor = &group.descriptor;
        let mut compare = |at: u64, expected: u64, found: u32, what: &str| {
            if expected != u64::from(found) {
                let of = Object::Descriptor(number);
                report.mismatch(of, at, format_args!("{expected} {what}"), found);
            }
        };
        let found = descriptor.free_inodes_count();
        compare(field!(self, bg_free_inodes_count_lo), free, found, "free inodes");
        let found = descriptor.used_dirs_count();
        compare(field!(self, bg_used_dirs_count_lo), directories, found, "directories");
        if group.has(BG_INODE_UNINIT, volume) {
            if count > 0 {
                let expected = format!("an initialised bitmap for {count} inodes in use");
                report.mismatch(Object::Descriptor(number), field!(self, bg_flags), expected, "INODE_UNINIT");
            }
        } else if let Some(block) = group.inode_bitmap {
            let tail = volume.inodes_per_group.into()..volume.block_size as u64 * 8;
            let bits = bits(volume, runs.into_iter().chain([tail]));
            let sum = (volume.inodes_per_group.into(), descriptor.inode_bitmap_csum());
            let name = |bit| format!("inode {}", u64::from(first) + bit);
            self.bitmap(Object::InodeBitmap(number), block, &bits, sum, name, report);
        }
        free
    }

    /// Compares a bitmap with what it should be. `sum`: how many bits the checksum covers, and the stored one.
    fn bitmap(
        &self,
        of: Object,
        block: u64,
        expected: &[u8],
        sum: (u64, u32),
        name: impl Fn(u64) -> String,
        report: &mut Report,
    ) {
        let volume = self.volume;
        let found = match volume.read_block(block, of) {
            Ok(found) => found,
            Err(damage) => return report.add(damage),
        };
        let at = volume.offset(block);
        if let Some(byte) = (0..found.len()).find(|&byte| expected[byte] != found[byte]) {
            let bit = (expected[byte] ^ found[byte]).trailing_zeros();
            let number = byte as u64 * 8 + u64::from(bit);
            let state = |bytes: &[u8]| if bytes[byte] >> bit & 1 == 1 { "in use" } else { "free" };
            let what = if number < sum.0 { name(number) } else { format!("padding bit {number}") };
            let text = |bytes| format!("{what} {}", state(bytes));
            report.mismatch(of, at + byte as u64, text(expected), text(&found));
        }
        if volume.has_checksums() {
            let computed = crc32c(volume.seed, &found[..sum.0 as usize / 8]);
            let mask = if volume.descriptor_size >= 64 { u32::MAX } else { 0xFFFF };
            report.checksum(of, at, computed & mask, sum.1 & mask);
        }
    }
}

/// A block of bits with these runs set.
fn bits(volume: &Volume, runs: impl Iterator<Item = Range<u64>>) -> Vec<u8> {
    let mut bits = vec![0u8; volume.block_size];
    for run in runs {
        let (start, end) = (run.start as usize, run.end as usize);
        let (first, last) = (start.div_ceil(8), end / 8);
        if first > last {
            (start..end).for_each(|bit| bits[bit / 8] |= 1 << (bit % 8));
            continue;
        }
        bits[first..last].fill(0xFF);
        (start..first * 8).chain(last * 8..end).for_each(|bit| bits[bit / 8] |= 1 << (bit % 8));
    }
    bits
}
