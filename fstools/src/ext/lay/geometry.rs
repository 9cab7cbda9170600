//! Blocks and groups: how many, and where their metadata lies.

use super::extents::blocks_with_tree;
use crate::ext::disk::has_backup;
use crate::ext::options::{Inodes, Journal, Options};
use crate::ext::{BLOCK, BLOCKS_PER_GROUP, DESCRIPTORS_PER_BLOCK, INODE_SIZE, INODES_PER_BLOCK, MAX_BLOCKS};
use std::ops::Range;

/// Most blocks of an inode table: one bitmap block counts 32768 inodes.
const MAX_TABLE: u64 = BLOCK * 8 / INODES_PER_BLOCK as u64;
/// Most blocks reserved for descriptors: what one indirect block lists.
const MAX_RESERVED_GDT: u64 = BLOCK / 4;
/// Groups in a TiB: the size up to which every file system can grow online.
const TIB_GROUPS: u64 = (1 << 40) / BLOCK / BLOCKS_PER_GROUP as u64;

/// Sizes of all metadata of a file system that is not the tree's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Blocks of the file system.
    pub(super) blocks: u32,
    /// Blocks of an inode table.
    pub(super) table: u32,
    /// Blocks of all group descriptors.
    pub(super) gdt: u32,
    /// Blocks behind them that descriptors of more groups can take.
    pub(super) reserved_gdt: u32,
    /// Whether inode 7 keeps those.
    pub(super) resize_inode: bool,
    /// Blocks of the journal; 0 for none.
    pub(super) journal: u32,
    /// Groups whose bitmaps and tables lie together.
    pub(super) flex: u32,
}

impl Geometry {
    /// The geometry of a file system of so many blocks for so many inodes; `None` where they do not fit.
    pub(super) fn of(blocks: u32, inodes: u32, options: &Options) -> Option<Geometry> {
        let groups = Some(u64::from(blocks.div_ceil(BLOCKS_PER_GROUP))).filter(|&groups| groups > 0)?;
        let gdt = groups.div_ceil(DESCRIPTORS_PER_BLOCK.into());
        let wanted = match options.inodes {
            Inodes::Count(count) => u64::from(count),
            // One spare inode for sixteen in use.
            Inodes::Ratio(bytes) => {
                (u64::from(blocks) * BLOCK / u64::from(bytes)).max(u64::from(inodes) + u64::from(inodes) / 16)
            }
        };
        let table = wanted.div_ceil(groups * u64::from(INODES_PER_BLOCK)).min(MAX_TABLE);
        let geometry = Geometry {
            blocks,
            table: table as u32,
            gdt: gdt as u32,
            reserved_gdt: reserved_gdt(blocks, gdt, options) as u32,
            resize_inode: options.resize_inode,
            journal: journal(blocks, options.journal),
            flex: options.flex,
        };
        let enough = table * groups * u64::from(INODES_PER_BLOCK) >= u64::from(inodes);
        (blocks <= MAX_BLOCKS && enough).then_some(geometry)
    }

    /// The same without its size: what all sizes of a plateau share.
    pub(super) fn shape(self) -> Geometry {
        Geometry { blocks: self.groups() * BLOCKS_PER_GROUP, ..self }
    }

    /// Block groups.
    pub(super) fn groups(&self) -> u32 {
        self.blocks.div_ceil(BLOCKS_PER_GROUP)
    }

    /// Inodes of a group.
    pub(super) fn inodes_per_group(&self) -> u32 {
        self.table * INODES_PER_BLOCK
    }

    /// The blocks of a group.
    pub(super) fn group(&self, group: u32) -> Range<u32> {
        let start = group * BLOCKS_PER_GROUP;
        start..self.blocks.min(start.saturating_add(BLOCKS_PER_GROUP))
    }

    /// Groups with a copy of superblock and descriptors.
    pub(super) fn copies(&self) -> impl Iterator<Item = u32> {
        (0..self.groups()).filter(|&group| has_backup(group))
    }

    /// Blocks of one copy of superblock, descriptors and their reserve.
    pub(super) fn copy_blocks(&self) -> u32 {
        1 + self.gdt + self.reserved_gdt
    }

    /// Blocks of metadata whose place is fixed.
    pub(super) fn fixed(&self) -> u64 {
        let copies = backups_below(self.groups());
        let groups = u64::from(self.groups());
        copies * u64::from(self.copy_blocks()) + groups * (2 + u64::from(self.table))
    }

    /// Blocks left for the tree; `None` where the metadata does not fit.
    pub(super) fn room(&self) -> Option<u64> {
        let last_set = (self.groups() - 1) / self.flex * self.flex;
        let mut places = Places::default();
        places.place_set(self, last_set)?;
        u64::from(self.blocks).checked_sub(self.fixed() + self.movable())
    }

    /// Blocks of metadata at most that takes part of the data area: the journal and the lists of inode 7.
    pub(super) fn movable(&self) -> u64 {
        blocks_with_tree(std::iter::once(self.journal.into())) + u64::from(self.resize_inode)
    }
}

/// Copies of the superblock in groups `0 .. groups`.
fn backups_below(groups: u32) -> u64 {
    let powers = [3u64, 5, 7].map(|base| {
        std::iter::successors(Some(base), |power| Some(power * base))
            .take_while(|&power| power < groups.into())
            .count() as u64
    });
    u64::from(groups.min(2)) + powers.iter().sum::<u64>()
}

/// Blocks to reserve for the descriptors of a file system that grows: a thousandfold as mke2fs does, but no further
/// than to 1 TiB or sixteenfold, whichever is larger.
fn reserved_gdt(blocks: u32, gdt: u64, options: &Options) -> u64 {
    if !options.resize_inode {
        return 0;
    }
    let blocks = u64::from(blocks);
    let groups = match options.resize {
        Some(blocks) => blocks.div_ceil(BLOCKS_PER_GROUP.into()),
        None => {
            let groups_of = |blocks: u64| blocks.div_ceil(BLOCKS_PER_GROUP.into());
            groups_of(1024 * blocks).min(groups_of(16 * blocks).max(TIB_GROUPS))
        }
    };
    groups.div_ceil(DESCRIPTORS_PER_BLOCK.into()).saturating_sub(gdt).min(MAX_RESERVED_GDT)
}

/// Blocks of the journal by the rule of mke2fs (`ext2fs_default_journal_size`).
fn journal(blocks: u32, journal: Journal) -> u32 {
    match journal {
        Journal::None => 0,
        Journal::Blocks(blocks) => blocks,
        Journal::Default => match blocks {
            0..2048 => 0,
            2048..32_768 => 1024,
            32_768..262_144 => 4096,
            262_144..524_288 => 8192,
            524_288..4_194_304 => 16_384,
            4_194_304..8_388_608 => 32_768,
            8_388_608..16_777_216 => 65_536,
            16_777_216..33_554_432 => 131_072,
            _ => 262_144,
        },
    }
}

/// Where the metadata of the groups lies, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// By group.
    pub(super) block_bitmaps: Vec<u32>,
    /// By group.
    pub(super) inode_bitmaps: Vec<u32>,
    /// First block of the inode table, by group.
    pub(super) tables: Vec<u32>,
    /// Everything else: sorted intervals.
    pub(super) data: Vec<Range<u32>>,
}

impl Places {
    /// Places the metadata of all groups. `None` where it does not fit.
    pub(super) fn of(geometry: &Geometry) -> Option<Places> {
        let mut places = Places::default();
        for first in (0..geometry.groups()).step_by(geometry.flex as usize) {
            places.place_set(geometry, first)?;
        }
        Some(places)
    }

    /// Places the metadata of the flexible group that starts at group `first`: bitmaps, then tables, from its front.
    fn place_set(&mut self, geometry: &Geometry, first: u32) -> Option<()> {
        let groups = first..geometry.groups().min(first + geometry.flex);
        let count = groups.len();
        let mut free = Vec::with_capacity(count);
        for group in groups {
            let mut range = geometry.group(group);
            if has_backup(group) {
                range.start =
                    range.start.checked_add(geometry.copy_blocks()).filter(|&start| start <= range.end)?;
            }
            push_joined(&mut free, range);
        }
        for _ in 0..count {
            self.block_bitmaps.push(take_whole(&mut free, 1)?);
        }
        for _ in 0..count {
            self.inode_bitmaps.push(take_whole(&mut free, 1)?);
        }
        for _ in 0..count {
            self.tables.push(take_whole(&mut free, geometry.table)?);
        }
        free.into_iter().for_each(|range| push_joined(&mut self.data, range));
        Some(())
    }
}

fn push_joined(ranges: &mut Vec<Range<u32>>, range: Range<u32>) {
    match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

fn take_whole(free: &mut [Range<u32>], blocks: u32) -> Option<u32> {
    let range = free.iter_mut().find(|range| range.end - range.start >= blocks)?;
    range.start += blocks;
    Some(range.start - blocks)
}

const _: () = assert!(INODE_SIZE * INODES_PER_BLOCK as usize == BLOCK as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_counted() {
        for groups in [1, 2, 3, 4, 8, 10, 26, 28, 50, 200, 131_000] {
            let counted = (0..groups).filter(|&group| has_backup(group)).count() as u64;
            assert_eq!(backups_below(groups), counted, "{groups}");
        }
    }

    #[test]
    fn places_are_disjoint_and_fill_the_file_system() {
        let options = Options::default();
        for (blocks, inodes) in [(512, 20), (32_768, 20), (70_000, 20), (1 << 20, 20), (700_000, 600_000)] {
            let geometry = Geometry::of(blocks, inodes, &options).expect("fits");
            let places = Places::of(&geometry).expect("fits");
            let copies = geometry.copies().map(|group| {
                let start = group * BLOCKS_PER_GROUP;
                start..start + geometry.copy_blocks()
            });
            let one = |&start: &u32| start..start + 1;
            let mut all: Vec<Range<u32>> = copies
                .chain(places.block_bitmaps.iter().map(one))
                .chain(places.inode_bitmaps.iter().map(one))
                .chain(places.tables.iter().map(|&start| start..start + geometry.table))
                .chain(places.data.iter().cloned())
                .collect();
            all.sort_by_key(|range| range.start);
            let end = all.iter().fold(0, |end, range| {
                assert_eq!(end, range.start, "{blocks}");
                range.end
            });
            assert_eq!(end, blocks);
        }
    }
}
