//! Blocks and groups: how many, and where their metadata lies.

use super::map;
use crate::ext::format::{Feature, Format, Generation, backup_groups};
use crate::ext::options::{Inodes, Options};
use std::ops::Range;

/// Bytes up to which every file system can grow online.
const GROWTH: u64 = 1 << 40;
/// Blocks of a file system without a journal, because it would take half of it.
const TOO_SMALL_FOR_A_JOURNAL: u32 = 2048;

/// Sizes of all metadata of a file system that is not the tree's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// How its structures look.
    pub(super) format: Format,
    /// Blocks of the file system.
    pub(super) blocks: u32,
    /// Blocks of an inode table.
    pub(super) table: u32,
    /// Blocks of all group descriptors.
    pub(super) gdt: u32,
    /// Blocks behind them that descriptors of more groups can take, kept by inode 7.
    pub(super) reserved_gdt: u32,
    /// Blocks of the journal; 0 for none.
    pub(super) journal: u32,
    /// Blocks of the orphan file; 0 for none.
    pub(super) orphan_file: u32,
    /// Groups whose bitmaps and tables lie together.
    pub(super) flex: u32,
    /// Copies of the superblock with sparse_super2.
    pub(super) backups: u8,
}

impl Geometry {
    /// The geometry of a file system of so many blocks for so many inodes; `None` where they do not fit.
    ///
    /// Inode tables and copies of the descriptors take no more than a quarter of a group each, so that data lies between
    /// any two interruptions but one ([`map::most_cuts`]).
    pub(super) fn of(blocks: u32, inodes: u32, options: &Options) -> Option<Geometry> {
        let format = options.format;
        let (per_group, per_block) = (format.blocks_per_group, u64::from(format.inodes_per_block()));
        let inside = blocks.checked_sub(format.first_data_block())?;
        let groups = Some(u64::from(inside.div_ceil(per_group))).filter(|&groups| groups > 0)?;
        let gdt = groups.div_ceil(format.descriptors_per_block().into());
        let wanted = match options.inodes {
            Inodes::Count(count) => u64::from(count),
            // One spare inode for sixteen in use.
            Inodes::Ratio(bytes) => {
                let by_size = u64::from(blocks) * format.block() / u64::from(bytes);
                by_size.max(u64::from(inodes) + u64::from(inodes) / 16)
            }
        };
        // The bitmap of a group has whole bytes.
        let unit = (8 / per_block).max(1);
        let quarter = u64::from(per_group / 4);
        let most = (u64::from(8 * format.block_size) / per_block).min(quarter - 2);
        // Inode numbers have 32 bits.
        let most = most.min(u64::from(u32::MAX) / (groups * per_block)) / unit * unit;
        let table = wanted.div_ceil(groups * per_block).next_multiple_of(unit).min(most);
        let journal = journal(blocks, options);
        let reserved_gdt = reserved_gdt(blocks, gdt, options).min((quarter - 1).saturating_sub(gdt));
        let geometry = Geometry {
            format,
            blocks,
            table: table as u32,
            gdt: gdt as u32,
            reserved_gdt: reserved_gdt as u32,
            journal,
            orphan_file: if journal > 0 { orphan_file(blocks, options) } else { 0 },
            flex: options.flex,
            backups: options.backups,
        };
        // What was asked for by number is a promise.
        let promised = if let Inodes::Count(count) = options.inodes { count.max(inodes) } else { inodes };
        let enough = table * groups * per_block >= u64::from(promised);
        // Nobody mounts ext3 without a journal as ext3.
        let nameless =
            format.generation == Generation::Ext3 && format.has(Feature::HAS_JOURNAL) && journal == 0;
        (blocks <= format.most_blocks() && enough && !nameless).then_some(geometry)
    }

    /// The same without its size: what all sizes of a plateau share.
    pub(super) fn shape(self) -> Geometry {
        Geometry { blocks: self.groups() * self.format.blocks_per_group, ..self }
    }

    /// Block groups.
    pub(super) fn groups(&self) -> u32 {
        (self.blocks - self.format.first_data_block()).div_ceil(self.format.blocks_per_group)
    }

    /// Inodes of a group.
    pub(super) fn inodes_per_group(&self) -> u32 {
        self.table * self.format.inodes_per_block()
    }

    /// The blocks of a group.
    pub(super) fn group(&self, group: u32) -> Range<u32> {
        let start = self.format.first_data_block() + group * self.format.blocks_per_group;
        start..self.blocks.min(start.saturating_add(self.format.blocks_per_group))
    }

    /// Whether a group has a copy of superblock and descriptors.
    pub(super) fn has_copy(&self, group: u32) -> bool {
        self.format.has_copy(group, self.groups(), self.backups)
    }

    /// Groups with a copy of superblock and descriptors.
    pub(super) fn copies(&self) -> impl Iterator<Item = u32> {
        (0..self.groups()).filter(|&group| self.has_copy(group))
    }

    /// Blocks of one copy of superblock, descriptors and their reserve.
    pub(super) fn copy_blocks(&self) -> u32 {
        1 + self.gdt + self.reserved_gdt
    }

    /// Blocks of metadata whose place is fixed, the boot block included.
    pub(super) fn fixed(&self) -> u64 {
        let groups = self.groups();
        let copies = if self.format.has(Feature::SPARSE_SUPER2) {
            1 + backup_groups(groups, self.backups).iter().filter(|&&group| group > 0).count() as u64
        } else if self.format.has(Feature::SPARSE_SUPER) {
            backups_below(groups)
        } else {
            groups.into()
        };
        let of_groups = u64::from(groups) * (2 + u64::from(self.table));
        u64::from(self.format.first_data_block()) + copies * u64::from(self.copy_blocks()) + of_groups
    }

    /// Blocks left for the tree; `None` where the metadata does not fit.
    pub(super) fn room(&self) -> Option<u64> {
        // The first set has the most copies, the last one the least room.
        let last_set = (self.groups() - 1) / self.flex * self.flex;
        for set in [0, last_set] {
            Places::default().place_set(self, set)?;
        }
        u64::from(self.blocks).checked_sub(self.fixed() + self.movable())
    }

    /// Blocks of metadata at most that takes part of the data area: journal, orphan file, the list of inode 7.
    pub(super) fn movable(&self) -> u64 {
        let file = |blocks| map::blocks_with_map(&self.format, std::iter::once(0..blocks));
        file(self.journal) + file(self.orphan_file) + u64::from(self.format.has(Feature::RESIZE_INODE))
    }
}

/// Copies of the superblock in groups `0 .. groups` with sparse_super.
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
    let format = &options.format;
    if !format.has(Feature::RESIZE_INODE) {
        return 0;
    }
    let blocks = u64::from(blocks);
    let groups_of = |blocks: u64| blocks.div_ceil(format.blocks_per_group.into());
    let groups = match options.resize {
        Some(blocks) => groups_of(blocks),
        None => groups_of((1024 * blocks).min((16 * blocks).max(GROWTH / format.block()))),
    };
    // One indirect block lists them.
    let most = u64::from(format.pointers_per_block());
    groups.div_ceil(format.descriptors_per_block().into()).saturating_sub(gdt).min(most)
}

/// Blocks of the journal by the rule of mke2fs (`ext2fs_default_journal_size`).
fn journal(blocks: u32, options: &Options) -> u32 {
    match (options.format.has(Feature::HAS_JOURNAL), options.journal) {
        (false, _) => 0,
        (true, Some(blocks)) => blocks,
        (true, None) => match blocks {
            0..TOO_SMALL_FOR_A_JOURNAL => 0,
            TOO_SMALL_FOR_A_JOURNAL..32_768 => 1024,
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

/// Blocks of the orphan file by the rule of mke2fs (`ext2fs_default_orphan_file_blocks`).
fn orphan_file(blocks: u32, options: &Options) -> u32 {
    match (options.format.has(Feature::ORPHAN_FILE), options.orphan_file) {
        (false, _) => 0,
        (true, Some(blocks)) => blocks,
        (true, None) => (blocks / 4096).clamp(32, 512),
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
        let groups = first..geometry.groups().min(first.saturating_add(geometry.flex));
        let count = groups.len();
        let mut free = Vec::with_capacity(count);
        for group in groups {
            let mut range = geometry.group(group);
            if geometry.has_copy(group) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::disk::has_backup;

    #[test]
    fn backups_are_counted() {
        for groups in [1, 2, 3, 4, 8, 10, 26, 28, 50, 200, 131_000] {
            let counted = (0..groups).filter(|&group| has_backup(group)).count() as u64;
            assert_eq!(backups_below(groups), counted, "{groups}");
        }
    }

    #[test]
    fn places_are_disjoint_and_fill_the_file_system() {
        let large = [(32_768, 20), (70_000, 20), (1 << 20, 20), (700_000, 600_000)];
        for (generation, block_size) in
            [(Generation::Ext4, 4096), (Generation::Ext4, 1024), (Generation::Ext2, 2048)]
        {
            let mut options = Options::of(generation);
            (options.format.block_size, options.format.blocks_per_group) = (block_size, 8 * block_size);
            for (blocks, inodes) in [(512, 20)].into_iter().chain(large) {
                let geometry = Geometry::of(blocks, inodes, &options).expect("fits");
                let places = Places::of(&geometry).expect("fits");
                let copies = geometry.copies().map(|group| {
                    let start = geometry.group(group).start;
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
                let end = all.iter().fold(geometry.format.first_data_block(), |end, range| {
                    assert_eq!(end, range.start, "{blocks}");
                    range.end
                });
                assert_eq!(end, blocks);
                let free: u32 = places.data.iter().map(|range| range.end - range.start).sum();
                assert_eq!(u64::from(free), u64::from(blocks) - geometry.fixed());
            }
        }
    }
}
