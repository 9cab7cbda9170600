//! What makes one ext file system unlike another: generation, features, sizes of blocks, inodes and groups.

use super::disk::{
    GOOD_OLD_INODE_SIZE, GroupDescriptor, SUPERBLOCK_OFFSET, compat, has_backup, incompat, ro_compat,
};
use std::mem::size_of;

/// The generation, which is a name for a set of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// No journal, block maps.
    Ext2,
    /// A journal, block maps.
    Ext3,
    /// Extents.
    Ext4,
}

impl Generation {
    /// The name of its row.
    pub(super) fn name(self) -> &'static str {
        match self {
            Generation::Ext2 => "ext2",
            Generation::Ext3 => "ext3",
            Generation::Ext4 => "ext4",
        }
    }
}

/// Which of the superblock's three sets a feature belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// `s_feature_compat`.
    Compat,
    /// `s_feature_incompat`.
    Incompat,
    /// `s_feature_ro_compat`.
    RoCompat,
}

/// A bit of one of the three sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feature(pub(super) Set, pub(super) u32);

#[allow(missing_docs)]
impl Feature {
    pub(super) const HAS_JOURNAL: Feature = Feature(Set::Compat, compat::HAS_JOURNAL);
    pub(super) const EXT_ATTR: Feature = Feature(Set::Compat, compat::EXT_ATTR);
    pub(super) const RESIZE_INODE: Feature = Feature(Set::Compat, compat::RESIZE_INODE);
    pub(super) const DIR_INDEX: Feature = Feature(Set::Compat, compat::DIR_INDEX);
    pub(super) const SPARSE_SUPER2: Feature = Feature(Set::Compat, compat::SPARSE_SUPER2);
    pub(super) const ORPHAN_FILE: Feature = Feature(Set::Compat, compat::ORPHAN_FILE);
    pub(super) const FILETYPE: Feature = Feature(Set::Incompat, incompat::FILETYPE);
    pub(super) const EXTENTS: Feature = Feature(Set::Incompat, incompat::EXTENTS);
    pub(super) const BIT64: Feature = Feature(Set::Incompat, incompat::BIT64);
    pub(super) const FLEX_BG: Feature = Feature(Set::Incompat, incompat::FLEX_BG);
    pub(super) const EA_INODE: Feature = Feature(Set::Incompat, incompat::EA_INODE);
    pub(super) const CSUM_SEED: Feature = Feature(Set::Incompat, incompat::CSUM_SEED);
    pub(super) const SPARSE_SUPER: Feature = Feature(Set::RoCompat, ro_compat::SPARSE_SUPER);
    pub(super) const LARGE_FILE: Feature = Feature(Set::RoCompat, ro_compat::LARGE_FILE);
    pub(super) const HUGE_FILE: Feature = Feature(Set::RoCompat, ro_compat::HUGE_FILE);
    pub(super) const GDT_CSUM: Feature = Feature(Set::RoCompat, ro_compat::GDT_CSUM);
    pub(super) const DIR_NLINK: Feature = Feature(Set::RoCompat, ro_compat::DIR_NLINK);
    pub(super) const EXTRA_ISIZE: Feature = Feature(Set::RoCompat, ro_compat::EXTRA_ISIZE);
    pub(super) const METADATA_CSUM: Feature = Feature(Set::RoCompat, ro_compat::METADATA_CSUM);
}

/// A set of features, as the superblock stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
}

impl Features {
    /// Whether a feature is on.
    pub(super) const fn has(self, feature: Feature) -> bool {
        let word = match feature.0 {
            Set::Compat => self.compat,
            Set::Incompat => self.incompat,
            Set::RoCompat => self.ro_compat,
        };
        word & feature.1 != 0
    }

    /// The set without those of another one.
    pub(super) const fn without(self, other: Features) -> Features {
        Features {
            compat: self.compat & !other.compat,
            incompat: self.incompat & !other.incompat,
            ro_compat: self.ro_compat & !other.ro_compat,
        }
    }

    /// The set with a feature on or off.
    pub(super) const fn with(mut self, feature: Feature, on: bool) -> Features {
        let word = match feature.0 {
            Set::Compat => &mut self.compat,
            Set::Incompat => &mut self.incompat,
            Set::RoCompat => &mut self.ro_compat,
        };
        *word = *word & !feature.1 | if on { feature.1 } else { 0 };
        self
    }
}

/// Everything that decides how structures look, but nothing of how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// The name it goes by.
    pub(super) generation: Generation,
    /// Bytes of a block: 1024, 2048 or 4096.
    pub(super) block_size: u32,
    /// Bytes of an inode: a power of two from 128 to the block size.
    pub(super) inode_size: u16,
    /// Blocks of a group: a multiple of 8, at most the bits of a block.
    pub(super) blocks_per_group: u32,
    /// Features.
    pub(super) features: Features,
    /// Whether a file that begins with a hole has its first block all the same, because GRUB reads nothing before the
    /// first extent of a file (measured with 2.06).
    pub(super) first_blocks: bool,
}

impl Format {
    /// Whether a feature is on.
    pub(super) const fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    /// Bytes of a block.
    pub(super) const fn block(&self) -> u64 {
        self.block_size as u64
    }

    /// The first block that counts, and the first of group 0: block 0 is the boot sector alone with blocks of 1 KiB.
    pub(super) const fn first_data_block(&self) -> u32 {
        (self.block_size == SUPERBLOCK_OFFSET as u32) as u32
    }

    /// Bytes of a group descriptor.
    pub(super) const fn descriptor_size(&self) -> usize {
        if self.has(Feature::BIT64) { size_of::<GroupDescriptor>() } else { 32 }
    }

    /// Descriptors in a block.
    pub(super) const fn descriptors_per_block(&self) -> u32 {
        self.block_size / self.descriptor_size() as u32
    }

    /// Inodes in a block.
    pub(super) const fn inodes_per_block(&self) -> u32 {
        self.block_size / self.inode_size as u32
    }

    /// Block numbers in a block.
    pub(super) const fn pointers_per_block(&self) -> u32 {
        self.block_size / 4
    }

    /// Most blocks of a file system: block numbers have 32 bits here, groups are whole, and a copy of all descriptors
    /// takes no more than a quarter of a group.
    pub(super) const fn most_blocks(&self) -> u32 {
        let by_number = (u32::MAX - self.blocks_per_group) / self.blocks_per_group;
        let by_descriptors = (self.blocks_per_group / 4 - 1) as u64 * self.descriptors_per_block() as u64;
        let groups = if by_descriptors < by_number as u64 { by_descriptors as u32 } else { by_number };
        groups * self.blocks_per_group + self.first_data_block()
    }

    /// Whether metadata carries CRC-32C checksums.
    pub(super) const fn checksums(&self) -> bool {
        self.has(Feature::METADATA_CSUM)
    }

    /// Whether groups may say that their bitmaps and tables were never written.
    pub(super) const fn uninitialised_groups(&self) -> bool {
        self.has(Feature::METADATA_CSUM) || self.has(Feature::GDT_CSUM)
    }

    /// Bytes of the fields of an inode: the old 128, and the extra ones where there is room.
    pub(super) const fn inode_fields(&self) -> usize {
        if self.inode_size as usize > GOOD_OLD_INODE_SIZE {
            GOOD_OLD_INODE_SIZE + super::disk::EXTRA_ISIZE as usize
        } else {
            GOOD_OLD_INODE_SIZE
        }
    }

    /// Bytes for attributes in an inode.
    pub(super) const fn inode_attributes(&self) -> usize {
        self.inode_size as usize - self.inode_fields()
    }

    /// Whether a group of a file system of `groups` has a copy of superblock and descriptors; `backups`: how many there
    /// are with sparse_super2, in group 1 and in the last one.
    pub(super) fn has_copy(&self, group: u32, groups: u32, backups: u8) -> bool {
        if self.has(Feature::SPARSE_SUPER2) {
            return group == 0 || backup_groups(groups, backups).contains(&group);
        }
        !self.has(Feature::SPARSE_SUPER) || has_backup(group)
    }
}

/// `s_backup_bgs`: the groups with a copy under sparse_super2; 0 for none.
pub(super) fn backup_groups(groups: u32, backups: u8) -> [u32; 2] {
    let first = if backups >= 1 && groups > 1 { 1 } else { 0 };
    let last = if backups >= 2 && groups > 2 { groups - 1 } else { 0 };
    [first, last]
}

const EXT2: Features = Features {
    compat: compat::EXT_ATTR | compat::RESIZE_INODE | compat::DIR_INDEX,
    incompat: incompat::FILETYPE,
    ro_compat: ro_compat::SPARSE_SUPER | ro_compat::LARGE_FILE,
};

const EXT3: Features = EXT2.with(Feature::HAS_JOURNAL, true);

const EXT4: Features = Features {
    compat: EXT3.compat,
    incompat: incompat::FILETYPE | incompat::EXTENTS | incompat::BIT64 | incompat::FLEX_BG,
    ro_compat: EXT3.ro_compat
        | ro_compat::HUGE_FILE
        | ro_compat::DIR_NLINK
        | ro_compat::EXTRA_ISIZE
        | ro_compat::METADATA_CSUM,
};

impl Generation {
    /// What it has unless somebody asks for something else: what mke2fs 1.47 of Debian 12 makes.
    pub(super) const fn features(self) -> Features {
        match self {
            Generation::Ext2 => EXT2,
            Generation::Ext3 => EXT3,
            Generation::Ext4 => EXT4,
        }
    }
}
