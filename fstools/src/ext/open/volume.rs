//! The superblock and the geometry that follows from it. Whoever holds a [`Volume`] may compute with its numbers.

use super::super::disk::{
    CHECKSUM_CRC32C, GOOD_OLD_INODE_SIZE, MAGIC, STATE_ERROR, STATE_VALID, SUPERBLOCK_OFFSET, Superblock,
    checksum_seed, compat, has_backup, incompat, ino, ro_compat, superblock_checksum,
};
use super::features;
use super::report::{Object, Report, damage};
use diskwright_formats::fault::{Damage, DamageKind};
use diskwright_formats::layout::ReadAt;
use std::mem::offset_of;
use std::ops::Range;
use zerocopy::FromBytes;

/// An image with a superblock that makes sense.
pub(in crate::ext) struct Volume<'a> {
    image: &'a dyn ReadAt,
    /// The primary superblock as it is.
    pub(in crate::ext) superblock: Superblock,
    /// Bytes in a block: 1024 to 65536, a power of two.
    pub(in crate::ext) block_size: usize,
    /// Blocks of the file system.
    pub(in crate::ext) blocks: u64,
    /// 1 with blocks of 1024 bytes, else 0.
    pub(in crate::ext) first_block: u64,
    /// Blocks in a group: a multiple of 8, at most the bits of a block.
    pub(in crate::ext) blocks_per_group: u64,
    /// Inodes in a group: a multiple of 8, at most the bits of a block.
    pub(in crate::ext) inodes_per_group: u32,
    /// Groups; the number of inodes fits into 32 bits.
    pub(in crate::ext) groups: u32,
    /// Bytes in an inode: a power of two from 128 to a block.
    pub(in crate::ext) inode_size: usize,
    /// First inode that is not reserved.
    pub(in crate::ext) first_ino: u32,
    /// Bytes in a group descriptor: a power of two from 32 to a block.
    pub(in crate::ext) descriptor_size: usize,
    /// What metadata checksums start from.
    pub(in crate::ext) seed: u32,
}

macro_rules! at {
    ($field:ident) => {
        SUPERBLOCK_OFFSET + offset_of!(Superblock, $field) as u64
    };
}

impl<'a> Volume<'a> {
    /// Reads and checks the primary superblock. Fails where nothing can be computed from it.
    pub(in crate::ext) fn read(image: &'a dyn ReadAt, report: &mut Report) -> Result<Volume<'a>, Damage> {
        let bytes = read(image, SUPERBLOCK_OFFSET, size_of::<Superblock>(), Object::Superblock)?;
        let superblock = Superblock::read_from_bytes(&bytes).expect("1024 bytes were read");
        if superblock.s_magic.get() != MAGIC {
            let found = format!("{:#06x}", superblock.s_magic);
            return Err(wrong(at!(s_magic), format_args!("the magic number {MAGIC:#06x}"), found));
        }
        refuse_strangers(&superblock)?;
        let volume = Volume::measure(image, superblock)?;
        volume.check(report);
        Ok(volume)
    }

    fn measure(image: &'a dyn ReadAt, superblock: Superblock) -> Result<Volume<'a>, Damage> {
        let log = superblock.s_log_block_size.get();
        require(log <= 6, at!(s_log_block_size), "at most 6", log)?;
        let block_size = 1024usize << log;
        let bits = block_size as u32 * 8;
        let first_block = u64::from(log == 0);
        let first = superblock.s_first_data_block.get();
        require(u64::from(first) == first_block, at!(s_first_data_block), first_block, first)?;
        let per_group = superblock.s_blocks_per_group.get();
        let fits = |count: u32| count > 0 && count <= bits && count.is_multiple_of(8);
        let range = format!("a multiple of 8 up to {bits}");
        require(fits(per_group), at!(s_blocks_per_group), &range, per_group)?;
        let inodes_per_group = superblock.s_inodes_per_group.get();
        require(fits(inodes_per_group), at!(s_inodes_per_group), &range, inodes_per_group)?;
        let (blocks, blocks_per_group) = (superblock.blocks_count(), u64::from(per_group));
        require(
            blocks > first_block && blocks <= u64::MAX >> 17,
            at!(s_blocks_count_lo),
            "a number of blocks",
            blocks,
        )?;
        let groups = (blocks - first_block).div_ceil(blocks_per_group);
        let most = u64::from(u32::MAX / inodes_per_group);
        require(groups <= most, at!(s_blocks_count_lo), format_args!("at most {most} groups"), groups)?;
        let (inode_size, first_ino) = inode_geometry(&superblock, block_size)?;
        let descriptor_size = descriptor_size(&superblock, block_size)?;
        // Loops over groups are bounded by the image this way.
        let table = groups.saturating_mul(descriptor_size as u64);
        if table > image.len() {
            let (at, of) = (at!(s_blocks_count_lo), Object::Superblock);
            let expected = format!("{table} bytes of group descriptors");
            let found = format!("{} bytes", image.len());
            return Err(damage(DamageKind::Truncated, of, at, expected, found));
        }
        let seed = checksum_seed(&superblock);
        let groups = groups as u32;
        Ok(Volume {
            image,
            superblock,
            block_size,
            blocks,
            first_block,
            blocks_per_group,
            inodes_per_group,
            groups,
            inode_size,
            first_ino,
            descriptor_size,
            seed,
        })
    }

    /// Everything of the primary superblock that can be read past.
    fn check(&self, report: &mut Report) {
        let superblock = &self.superblock;
        if self.has_checksums() {
            let computed = superblock_checksum(superblock);
            report.checksum(Object::Superblock, at!(s_checksum), computed, superblock.s_checksum.get());
        }
        let mut check = |good: bool, at: u64, expected: &str, found: u64| {
            if !good {
                report.value(Object::Superblock, at, expected, found);
            }
        };
        let state = superblock.s_state.get();
        check(state & STATE_ERROR == 0, at!(s_state), "a file system without known errors", state.into());
        let inodes = superblock.s_inodes_count.get();
        let expected = format!("inodes per group times groups: {}", self.inodes());
        check(inodes == self.inodes(), at!(s_inodes_count), &expected, inodes.into());
        let cluster = superblock.s_log_cluster_size.get();
        let log = superblock.s_log_block_size.get();
        check(cluster == log, at!(s_log_cluster_size), "the same as s_log_block_size", cluster.into());
        let clusters = superblock.s_clusters_per_group.get();
        let same = u64::from(clusters) == self.blocks_per_group;
        check(same, at!(s_clusters_per_group), "the same as s_blocks_per_group", clusters.into());
        let reserved = superblock.reserved_blocks_count();
        check(reserved <= self.blocks / 2, at!(s_r_blocks_count_lo), "at most half of all blocks", reserved);
        let group = superblock.s_block_group_nr.get();
        check(group == 0, at!(s_block_group_nr), "group 0", group.into());
        let reserve = superblock.s_reserved_gdt_blocks.get();
        let most = self.block_size / 4;
        check(
            usize::from(reserve) <= most,
            at!(s_reserved_gdt_blocks),
            "at most a quarter block",
            reserve.into(),
        );
        let orphan = superblock.s_last_orphan.get();
        let exists = orphan == 0 || (self.first_ino..=self.inodes()).contains(&orphan);
        check(exists, at!(s_last_orphan), "an inode that is not reserved", orphan.into());
        let kind = superblock.s_checksum_type;
        let known = !self.has_checksums() || kind == CHECKSUM_CRC32C;
        check(known, at!(s_checksum_type), "crc32c: 1", kind.into());
        if state & STATE_VALID == 0 {
            report.pending(format!("s_state {state}: the file system was not unmounted"));
        }
        self.check_sizes(report);
        self.check_features(report);
        self.check_length(report);
    }

    /// What is derived from other sizes.
    fn check_sizes(&self, report: &mut Report) {
        let superblock = &self.superblock;
        let room = self.inode_size - GOOD_OLD_INODE_SIZE;
        let extra = [
            (at!(s_min_extra_isize), superblock.s_min_extra_isize.get()),
            (at!(s_want_extra_isize), superblock.s_want_extra_isize.get()),
        ];
        for (at, extra) in extra.into_iter().filter(|(_, extra)| usize::from(*extra) > room) {
            report.value(Object::Superblock, at, format_args!("at most {room} bytes behind 128"), extra);
        }
        let quotas = [
            (at!(s_usr_quota_inum), superblock.s_usr_quota_inum.get(), ino::USER_QUOTA),
            (at!(s_grp_quota_inum), superblock.s_grp_quota_inum.get(), ino::GROUP_QUOTA),
            (at!(s_prj_quota_inum), superblock.s_prj_quota_inum.get(), 0),
        ];
        for (at, number, reserved) in quotas {
            let is_free = (self.first_ino..=self.inodes()).contains(&number);
            if number != 0 && number != reserved && !is_free {
                report.value(Object::Superblock, at, "an inode for quotas, or 0", number);
            }
        }
        if !self.compat(compat::SPARSE_SUPER2) {
            return;
        }
        // None, the first, or two of which the second is later.
        let [first, second] = superblock.s_backup_bgs.map(|group| group.get());
        let good = first < self.groups && second < self.groups && (second == 0 || first < second);
        if !good {
            let expected = format!("two groups below {} in order, or 0", self.groups);
            let found = format!("{first} and {second}");
            report.value(Object::Superblock, at!(s_backup_bgs), expected, found);
        }
    }

    fn check_features(&self, report: &mut Report) {
        let superblock = &self.superblock;
        let compat_set = superblock.s_feature_compat.get();
        let ro_set = superblock.s_feature_ro_compat.get();
        for name in features::strangers(features::COMPAT, compat_set) {
            report.unsupported(
                Object::Superblock,
                at!(s_feature_compat),
                format_args!("compat feature {name}"),
            );
        }
        for name in features::strangers(features::RO_COMPAT, ro_set) {
            report.unsupported(
                Object::Superblock,
                at!(s_feature_ro_compat),
                format_args!("ro_compat feature {name}"),
            );
        }
        let mut check = |bad: bool, at: u64, expected: &str, found: &str| {
            if bad {
                report.value(Object::Superblock, at, expected, found);
            }
        };
        let has_journal = compat_set & compat::HAS_JOURNAL != 0;
        check(
            self.incompat(incompat::RECOVER) && !has_journal,
            at!(s_feature_incompat),
            "a journal to recover from",
            "needs_recovery without has_journal",
        );
        check(
            ro_set & ro_compat::ORPHAN_PRESENT != 0 && compat_set & compat::ORPHAN_FILE == 0,
            at!(s_feature_ro_compat),
            "an orphan file with orphan_present",
            "none",
        );
        check(
            ro_set & ro_compat::GDT_CSUM != 0 && self.has_checksums(),
            at!(s_feature_ro_compat),
            "one kind of descriptor checksum",
            "uninit_bg and metadata_csum",
        );
        check(
            self.incompat(incompat::CSUM_SEED) && !self.has_checksums(),
            at!(s_feature_incompat),
            "metadata_csum with metadata_csum_seed",
            "metadata_csum_seed alone",
        );
        check(
            self.incompat(incompat::META_BG) && compat_set & compat::RESIZE_INODE != 0,
            at!(s_feature_compat),
            "no resize_inode with meta_bg",
            "both",
        );
        check(
            compat_set & compat::RESIZE_INODE == 0 && superblock.s_reserved_gdt_blocks.get() != 0,
            at!(s_reserved_gdt_blocks),
            "0 without resize_inode",
            "more",
        );
    }

    fn check_length(&self, report: &mut Report) {
        let (len, have) = (self.len(), self.image.len());
        if have < len {
            let (of, at) = (Object::Superblock, at!(s_blocks_count_lo));
            report.add(damage(
                DamageKind::Truncated,
                of,
                at,
                format_args!("an image of {len} bytes"),
                format_args!("{have} bytes"),
            ));
        }
    }

    /// Whether it was unmounted. If not, the counts in the superblock are behind; the next mount takes those of the groups.
    pub(in crate::ext) fn is_clean(&self) -> bool {
        self.superblock.s_state.get() & STATE_VALID != 0 && !self.incompat(incompat::RECOVER)
    }

    /// Bytes of the file system.
    pub(in crate::ext) fn len(&self) -> u64 {
        self.blocks * self.block_size as u64
    }

    /// Blocks that the image has, whatever the superblock says.
    pub(in crate::ext) fn blocks_present(&self) -> u64 {
        self.image.len().div_ceil(self.block_size as u64).min(self.blocks)
    }

    /// Bytes of the image.
    pub(in crate::ext) fn image_len(&self) -> u64 {
        self.image.len()
    }

    /// Inodes of the file system.
    pub(in crate::ext) fn inodes(&self) -> u32 {
        self.groups * self.inodes_per_group
    }

    /// Byte position of a block.
    pub(in crate::ext) fn offset(&self, block: u64) -> u64 {
        block.saturating_mul(self.block_size as u64)
    }

    /// The blocks of a group.
    pub(in crate::ext) fn group_blocks(&self, group: u32) -> Range<u64> {
        let start = self.first_block + u64::from(group) * self.blocks_per_group;
        start..(start + self.blocks_per_group).min(self.blocks)
    }

    /// Blocks of the inode table of a group.
    pub(in crate::ext) fn table_blocks(&self) -> u64 {
        (u64::from(self.inodes_per_group) * self.inode_size as u64).div_ceil(self.block_size as u64)
    }

    /// Whether blocks `start .. start + len` belong to the file system.
    pub(in crate::ext) fn holds(&self, start: u64, len: u64) -> bool {
        start >= self.first_block && start.checked_add(len).is_some_and(|end| end <= self.blocks)
    }

    /// Whether a feature that changes the form is set.
    pub(in crate::ext) fn incompat(&self, bit: u32) -> bool {
        self.superblock.s_feature_incompat.get() & bit != 0
    }

    /// Whether a feature that readers may ignore is set.
    pub(in crate::ext) fn ro_compat(&self, bit: u32) -> bool {
        self.superblock.s_feature_ro_compat.get() & bit != 0
    }

    /// Whether a feature that everybody may ignore is set.
    pub(in crate::ext) fn compat(&self, bit: u32) -> bool {
        self.superblock.s_feature_compat.get() & bit != 0
    }

    /// Whether metadata carries CRC-32C.
    pub(in crate::ext) fn has_checksums(&self) -> bool {
        self.ro_compat(ro_compat::METADATA_CSUM)
    }

    /// Whether descriptors carry a checksum; only then their `UNINIT` flags and `itable_unused` count.
    pub(in crate::ext) fn has_descriptor_checksums(&self) -> bool {
        self.has_checksums() || self.ro_compat(ro_compat::GDT_CSUM)
    }

    /// Whether a group holds the superblock or a copy of it.
    pub(in crate::ext) fn has_super(&self, group: u32) -> bool {
        if group == 0 {
            return true;
        }
        if self.compat(compat::SPARSE_SUPER2) {
            return self.superblock.s_backup_bgs.iter().any(|backup| backup.get() == group);
        }
        !self.ro_compat(ro_compat::SPARSE_SUPER) || has_backup(group)
    }

    /// Reads `len` bytes at `offset`, which belong to `of`. `len` is one that the caller is ready to hold.
    pub(in crate::ext) fn read_at(&self, offset: u64, len: usize, of: Object) -> Result<Vec<u8>, Damage> {
        read(self.image, offset, len, of)
    }

    /// Reads a block that belongs to `of`.
    pub(in crate::ext) fn read_block(&self, block: u64, of: Object) -> Result<Vec<u8>, Damage> {
        read(self.image, self.offset(block), self.block_size, of)
    }
}

fn read(image: &dyn ReadAt, offset: u64, len: usize, of: Object) -> Result<Vec<u8>, Damage> {
    let end = offset.checked_add(len as u64);
    if end.is_none_or(|end| end > image.len()) {
        let found = format!("the end of the image: byte {}", image.len());
        return Err(damage(DamageKind::Truncated, of, offset, format_args!("{len} bytes"), found));
    }
    let mut bytes = vec![0; len];
    match image.read_exact_at(offset, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(damage(DamageKind::Io, of, offset, format_args!("{len} bytes"), error)),
    }
}

fn refuse_strangers(superblock: &Superblock) -> Result<(), Damage> {
    let at = at!(s_feature_incompat);
    let strangers = features::strangers(features::INCOMPAT, superblock.s_feature_incompat.get());
    if !strangers.is_empty() {
        let found = format!("incompat feature {}", strangers.join(", "));
        return Err(damage(
            DamageKind::Unsupported,
            Object::Superblock,
            at,
            "features that this reader knows",
            found,
        ));
    }
    // With clusters all bitmaps and counts have another unit.
    if superblock.s_feature_ro_compat.get() & ro_compat::BIGALLOC != 0 {
        let at = at!(s_feature_ro_compat);
        let expected = "features that this reader knows";
        let found = "ro_compat feature bigalloc";
        return Err(damage(DamageKind::Unsupported, Object::Superblock, at, expected, found));
    }
    let revision = superblock.s_rev_level.get();
    if revision > 1 {
        let found = format!("revision {revision}");
        return Err(damage(
            DamageKind::Unsupported,
            Object::Superblock,
            at!(s_rev_level),
            "revision 0 or 1",
            found,
        ));
    }
    Ok(())
}

/// Size of an inode, and the first that is not reserved.
fn inode_geometry(superblock: &Superblock, block_size: usize) -> Result<(usize, u32), Damage> {
    if superblock.s_rev_level.get() == 0 {
        return Ok((128, 11));
    }
    let size = usize::from(superblock.s_inode_size.get());
    let fits = size.is_power_of_two() && (128..=block_size).contains(&size);
    require(fits, at!(s_inode_size), format_args!("a power of two from 128 to {block_size}"), size)?;
    let first = superblock.s_first_ino.get();
    let fits = first >= 11 && first <= superblock.s_inodes_per_group.get();
    require(fits, at!(s_first_ino), "11 or more, within the first group", first)?;
    Ok((size, first))
}

fn descriptor_size(superblock: &Superblock, block_size: usize) -> Result<usize, Damage> {
    if superblock.s_feature_incompat.get() & incompat::BIT64 == 0 {
        return Ok(32);
    }
    let size = usize::from(superblock.s_desc_size.get());
    let fits = size.is_power_of_two() && (64..=block_size.min(1024)).contains(&size);
    require(fits, at!(s_desc_size), "a power of two from 64 to 1024", size)?;
    Ok(size)
}

fn require(
    good: bool,
    at: u64,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Result<(), Damage> {
    if good { Ok(()) } else { Err(wrong(at, expected, found)) }
}

fn wrong(at: u64, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Damage {
    damage(DamageKind::Value, Object::Superblock, at, expected, found)
}
