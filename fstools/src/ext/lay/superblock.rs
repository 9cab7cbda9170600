//! The superblock, the journal's, and the inode that keeps room for more group descriptors.

use super::geometry::Geometry;
use super::group::Groups;
use crate::ext::disk::{
    CHECKSUM_CRC32C, EXTRA_ISIZE, FLAGS_SIGNED_HASH, GOOD_OLD_INODE_SIZE, HASH_HALF_MD4, JOURNAL_MAGIC,
    JOURNAL_SUPERBLOCK_V2, JournalSuperblock, MAGIC, ORPHAN_MAGIC, OrphanTail, STATE_VALID, Superblock,
    crc32c, ino, inode_seed, superblock_checksum,
};
use crate::ext::format::{Feature, Format, backup_groups};
use crate::ext::options::Options;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Extents, What};
use std::mem::size_of;
use zerocopy::{FromZeros, IntoBytes};

/// Everything that comes from identity and options.
pub(super) struct Ids {
    pub(super) uuid: [u8; 16],
    pub(super) hash_seed: [u8; 16],
    journal_uuid: [u8; 16],
    /// What metadata checksums start from.
    pub(super) seed: u32,
    /// Seconds since 1970, not before.
    pub(super) epoch: i64,
}

impl Ids {
    pub(super) fn of(identity: &Identity, options: &Options) -> Ids {
        let uuid = options.uuid.unwrap_or_else(|| identity.uuid("uuid"));
        let hash_seed = options.hash_seed.unwrap_or_else(|| identity.inherited_uuid("hash-seed"));
        // With metadata_csum_seed a clone keeps all checksums of its origin.
        let seed_of = match options.format.has(Feature::CSUM_SEED) {
            true => options.uuid.unwrap_or_else(|| identity.inherited_uuid("uuid")),
            false => uuid,
        };
        Ids {
            uuid: uuid.into_bytes(),
            hash_seed: hash_seed.into_bytes(),
            journal_uuid: identity.inherited_uuid("journal-uuid").into_bytes(),
            seed: crc32c(!0, seed_of.as_bytes()),
            // The superblock's times have 40 bits.
            epoch: identity.epoch().clamp(0, (1 << 40) - 1),
        }
    }

    /// The hash seed as the hash takes it.
    pub(super) fn hash_words(&self) -> [u32; 4] {
        let (words, _) = self.hash_seed.as_chunks();
        [0, 1, 2, 3].map(|at| u32::from_le_bytes(words[at]))
    }
}

/// Inodes of the file system itself that are not where they always are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    /// `i_block` and size of the journal's.
    pub(super) journal: Option<[u32; 17]>,
    /// The orphan file's number.
    pub(super) orphan_file: Option<u32>,
}

/// The superblock as all copies have it, but for group number and checksum.
pub(super) fn superblock(ids: &Ids, options: &Options, groups: &Groups, own: Own) -> Superblock {
    let mut sb = Superblock::new_zeroed();
    let geometry = &groups.geometry;
    counts(&mut sb, options, groups);
    features(&mut sb, &options.format, own);
    let (time, time_hi) = (ids.epoch as u32, (ids.epoch >> 32) as u8);
    (sb.s_wtime, sb.s_wtime_hi) = (time.into(), time_hi);
    (sb.s_mkfs_time, sb.s_mkfs_time_hi) = (time.into(), time_hi);
    (sb.s_lastcheck, sb.s_lastcheck_hi) = (time.into(), time_hi);
    sb.s_max_mnt_count = 0xFFFF.into();
    sb.s_magic = MAGIC.into();
    sb.s_state = STATE_VALID.into();
    sb.s_errors = options.errors.into();
    sb.s_rev_level = 1.into();
    sb.s_uuid = ids.uuid;
    sb.s_volume_name[..options.label.len()].copy_from_slice(options.label.as_bytes());
    sb.s_last_mounted[..options.last_mounted.len()].copy_from_slice(options.last_mounted.as_bytes());
    sb.s_hash_seed = ids.hash_words().map(Into::into);
    sb.s_def_hash_version = HASH_HALF_MD4;
    sb.s_default_mount_opts = options.default_mount_options.into();
    sb.s_mount_opts[..options.mount_options.len()].copy_from_slice(options.mount_options.as_bytes());
    sb.s_flags = FLAGS_SIGNED_HASH.into();
    sb.s_raid_stride = options.stride.into();
    sb.s_raid_stripe_width = options.stripe_width.into();
    if options.format.checksums() {
        sb.s_checksum_type = CHECKSUM_CRC32C;
    }
    if options.format.has(Feature::CSUM_SEED) {
        sb.s_checksum_seed = ids.seed.into();
    }
    if let Some(number) = own.orphan_file {
        sb.s_orphan_file_inum = number.into();
    }
    if options.format.has(Feature::SPARSE_SUPER2) {
        sb.s_backup_bgs = backup_groups(geometry.groups(), geometry.backups).map(Into::into);
    }
    if let Some(blocks) = own.journal {
        sb.s_journal_inum = ino::JOURNAL.into();
        sb.s_jnl_backup_type = 1;
        sb.s_jnl_blocks = blocks.map(Into::into);
    }
    // What can never be given to files.
    sb.s_overhead_clusters = ((geometry.fixed() + u64::from(geometry.journal)) as u32).into();
    sb
}

fn counts(sb: &mut Superblock, options: &Options, groups: &Groups) {
    let geometry = &groups.geometry;
    let inodes = geometry.inodes_per_group() * geometry.groups();
    sb.s_inodes_count = inodes.into();
    // Fewer than 2^32 blocks: the high halves stay zero.
    sb.s_blocks_count_lo = geometry.blocks.into();
    sb.s_r_blocks_count_lo = (options.reserved_blocks(geometry.blocks) as u32).into();
    sb.s_free_blocks_count_lo = (groups.free_blocks() as u32).into();
    sb.s_free_inodes_count = (inodes - groups.last_inode).into();
    let format = &options.format;
    let log_block_size = (format.block_size / 1024).ilog2();
    sb.s_first_data_block = format.first_data_block().into();
    sb.s_log_block_size = log_block_size.into();
    sb.s_log_cluster_size = log_block_size.into();
    sb.s_blocks_per_group = format.blocks_per_group.into();
    sb.s_clusters_per_group = format.blocks_per_group.into();
    sb.s_inodes_per_group = geometry.inodes_per_group().into();
    sb.s_first_ino = ino::FIRST.into();
    sb.s_inode_size = format.inode_size.into();
    sb.s_reserved_gdt_blocks = (geometry.reserved_gdt as u16).into();
    if format.has(Feature::BIT64) {
        sb.s_desc_size = (format.descriptor_size() as u16).into();
    }
    if format.inode_fields() > GOOD_OLD_INODE_SIZE {
        sb.s_min_extra_isize = EXTRA_ISIZE.into();
        sb.s_want_extra_isize = EXTRA_ISIZE.into();
    }
    if format.has(Feature::FLEX_BG) {
        sb.s_log_groups_per_flex = geometry.flex.ilog2() as u8;
    }
}

fn features(sb: &mut Superblock, format: &Format, own: Own) {
    // A file system can be too small for its journal.
    let features = format.features.with(Feature::HAS_JOURNAL, own.journal.is_some());
    let features = features.with(Feature::ORPHAN_FILE, own.orphan_file.is_some());
    // Inode 7 is a large file of its own, by its size.
    let large = format.has(Feature::RESIZE_INODE) && resize_inode_size(format) > i32::MAX as u64;
    let features = features.with(Feature::LARGE_FILE, large || format.has(Feature::LARGE_FILE));
    sb.s_feature_compat = features.compat.into();
    sb.s_feature_incompat = features.incompat.into();
    sb.s_feature_ro_compat = features.ro_compat.into();
}

/// The copy of the superblock in a group.
pub(super) fn copy(superblock: &Superblock, format: &Format, group: u32) -> Vec<u8> {
    let mut copy = superblock.clone();
    copy.s_block_group_nr = (group as u16).into();
    if format.checksums() {
        copy.s_checksum = superblock_checksum(&copy).into();
    }
    copy.as_bytes().to_vec()
}

/// The first block of a clean journal.
pub(super) fn journal(ids: &Ids, format: &Format, blocks: u32) -> Vec<u8> {
    let mut journal = JournalSuperblock::new_zeroed();
    journal.h_magic = JOURNAL_MAGIC.into();
    journal.h_blocktype = JOURNAL_SUPERBLOCK_V2.into();
    journal.s_blocksize = format.block_size.into();
    journal.s_maxlen = blocks.into();
    journal.s_first = 1.into();
    journal.s_sequence = 1.into();
    journal.s_uuid = ids.journal_uuid;
    journal.s_nr_users = 1.into();
    journal.as_bytes().to_vec()
}

/// The end of block `at` of an orphan file that nobody uses; all before it is zero.
pub(super) fn orphan_tail(ids: &Ids, format: &Format, ino: u32, at: u32) -> OrphanTail {
    let checksum = match format.checksums() {
        true => {
            let start = crc32c(inode_seed(ids.seed, ino, 0), &u64::from(at).to_le_bytes());
            crc32c(start, &vec![0; format.block_size as usize - size_of::<OrphanTail>()])
        }
        false => 0,
    };
    OrphanTail { ob_magic: ORPHAN_MAGIC.into(), ob_checksum: checksum.into() }
}

/// Size of inode 7: all that a double indirect block can list.
pub(super) fn resize_inode_size(format: &Format) -> u64 {
    let listed = u64::from(format.pointers_per_block());
    (listed * listed + listed + 12) * format.block()
}

/// The lists of inode 7: its double indirect block at `at` names every reserved block behind the primary descriptors, and
/// each of these names its copies in the other groups.
pub(super) fn resize_lists(geometry: &Geometry, at: u32, out: &mut Extents) {
    let what = What::new(&"resize inode");
    let format = &geometry.format;
    let reserve_of = |group| geometry.group(group).start + 1 + geometry.gdt;
    let first = reserve_of(0);
    let mut list = vec![0; format.block_size as usize];
    for reserved in 0..geometry.reserved_gdt {
        let slot = ((geometry.gdt + reserved) % format.pointers_per_block()) as usize * 4;
        list[slot..slot + 4].copy_from_slice(&(first + reserved).to_le_bytes());
        let copies = geometry.copies().skip(1).map(|group| reserve_of(group) + reserved);
        let bytes: Vec<u8> = copies.flat_map(u32::to_le_bytes).collect();
        if !bytes.is_empty() {
            out.push(Extent::of_bytes(u64::from(first + reserved) * format.block(), bytes, what));
        }
    }
    if geometry.reserved_gdt > 0 {
        out.push(Extent::of_bytes(u64::from(at) * format.block(), list, what));
    }
}

/// Blocks of inode 7.
pub(super) fn resize_blocks(geometry: &Geometry) -> u32 {
    1 + geometry.reserved_gdt * geometry.copies().count() as u32
}
