//! The superblock, the journal's, and the inode that keeps room for more group descriptors.

use super::geometry::Geometry;
use super::group::Groups;
use crate::ext::disk::{
    CHECKSUM_CRC32C, DEFM_ACL, DEFM_XATTR_USER, EXTRA_ISIZE, FLAGS_SIGNED_HASH, GroupDescriptor,
    HASH_HALF_MD4, JOURNAL_MAGIC, JOURNAL_SUPERBLOCK_V2, JournalSuperblock, MAGIC, STATE_VALID, Superblock,
    compat, crc32c, incompat, ino, ro_compat, superblock_checksum,
};
use crate::ext::options::Options;
use crate::ext::{BLOCK, BLOCKS_PER_GROUP, INODE_SIZE};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, What};
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
        let seed_of = match options.csum_seed {
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

/// The superblock as all copies have it, but for group number and checksum. `journal`: `i_block` and size of inode 8.
pub(super) fn superblock(
    ids: &Ids,
    options: &Options,
    groups: &Groups,
    journal: Option<[u32; 17]>,
) -> Superblock {
    let mut sb = Superblock::new_zeroed();
    let geometry = &groups.geometry;
    counts(&mut sb, options, groups);
    features(&mut sb, options, journal.is_some());
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
    sb.s_default_mount_opts = (DEFM_XATTR_USER | DEFM_ACL).into();
    sb.s_flags = FLAGS_SIGNED_HASH.into();
    sb.s_raid_stride = options.stride.into();
    sb.s_raid_stripe_width = options.stripe_width.into();
    sb.s_checksum_type = CHECKSUM_CRC32C;
    if options.csum_seed {
        sb.s_checksum_seed = ids.seed.into();
    }
    if let Some(blocks) = journal {
        sb.s_journal_inum = ino::JOURNAL.into();
        sb.s_jnl_backup_type = 1;
        sb.s_jnl_blocks = blocks.map(Into::into);
    }
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
    let log_block_size = (BLOCK / 1024).ilog2();
    sb.s_log_block_size = log_block_size.into();
    sb.s_log_cluster_size = log_block_size.into();
    sb.s_blocks_per_group = BLOCKS_PER_GROUP.into();
    sb.s_clusters_per_group = BLOCKS_PER_GROUP.into();
    sb.s_inodes_per_group = geometry.inodes_per_group().into();
    sb.s_first_ino = ino::FIRST.into();
    sb.s_inode_size = (INODE_SIZE as u16).into();
    sb.s_reserved_gdt_blocks = (geometry.reserved_gdt as u16).into();
    sb.s_desc_size = (size_of::<GroupDescriptor>() as u16).into();
    sb.s_min_extra_isize = EXTRA_ISIZE.into();
    sb.s_want_extra_isize = EXTRA_ISIZE.into();
    sb.s_log_groups_per_flex = geometry.flex.ilog2() as u8;
}

fn features(sb: &mut Superblock, options: &Options, journal: bool) {
    let when = |on: bool, bit: u32| if on { bit } else { 0 };
    let compat = compat::EXT_ATTR
        | when(journal, compat::HAS_JOURNAL)
        | when(options.resize_inode, compat::RESIZE_INODE)
        | when(options.dir_index, compat::DIR_INDEX);
    let incompat = incompat::FILETYPE
        | incompat::EXTENTS
        | incompat::BIT64
        | incompat::FLEX_BG
        | when(options.csum_seed, incompat::CSUM_SEED);
    let ro_compat = ro_compat::SPARSE_SUPER
        | ro_compat::LARGE_FILE
        | ro_compat::EXTRA_ISIZE
        | ro_compat::METADATA_CSUM
        | when(options.huge_file, ro_compat::HUGE_FILE)
        | when(options.dir_nlink, ro_compat::DIR_NLINK);
    sb.s_feature_compat = compat.into();
    sb.s_feature_incompat = incompat.into();
    sb.s_feature_ro_compat = ro_compat.into();
}

/// The copy of the superblock in a group.
pub(super) fn copy(superblock: &Superblock, group: u32) -> Vec<u8> {
    let mut copy = superblock.clone();
    copy.s_block_group_nr = (group as u16).into();
    copy.s_checksum = superblock_checksum(&copy).into();
    copy.as_bytes().to_vec()
}

/// The first block of a clean journal.
pub(super) fn journal(ids: &Ids, blocks: u32) -> Vec<u8> {
    let mut journal = JournalSuperblock::new_zeroed();
    journal.h_magic = JOURNAL_MAGIC.into();
    journal.h_blocktype = JOURNAL_SUPERBLOCK_V2.into();
    journal.s_blocksize = (BLOCK as u32).into();
    journal.s_maxlen = blocks.into();
    journal.s_first = 1.into();
    journal.s_sequence = 1.into();
    journal.s_uuid = ids.journal_uuid;
    journal.s_nr_users = 1.into();
    journal.as_bytes().to_vec()
}

/// Size of inode 7: all that a double indirect block can list.
pub(super) const RESIZE_INODE_SIZE: u64 = {
    let listed = BLOCK / 4;
    (listed * listed + listed + 12) * BLOCK
};

/// The lists of inode 7: its double indirect block at `at` names every reserved block behind the primary descriptors, and
/// each of these names its copies in the other groups.
pub(super) fn resize_lists(geometry: &Geometry, at: u32, out: &mut Vec<Extent>) {
    let what = What::new(&"resize inode");
    let first = 1 + geometry.gdt;
    let mut list = vec![0; BLOCK as usize];
    for reserved in 0..geometry.reserved_gdt {
        let slot = ((geometry.gdt + reserved) as usize % (BLOCK as usize / 4)) * 4;
        list[slot..slot + 4].copy_from_slice(&(first + reserved).to_le_bytes());
        let copies = geometry.copies().skip(1).map(|group| group * BLOCKS_PER_GROUP + first + reserved);
        let bytes: Vec<u8> = copies.flat_map(u32::to_le_bytes).collect();
        if !bytes.is_empty() {
            out.push(Extent::of_bytes(u64::from(first + reserved) * BLOCK, bytes, what));
        }
    }
    if geometry.reserved_gdt > 0 {
        out.push(Extent::of_bytes(u64::from(at) * BLOCK, list, what));
    }
}

/// Blocks of inode 7.
pub(super) fn resize_blocks(geometry: &Geometry) -> u32 {
    1 + geometry.reserved_gdt * geometry.copies().count() as u32
}
