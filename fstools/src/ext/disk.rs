//! The structures on disk, with the names of the kernel's documentation (`Documentation/filesystems/ext4`).
//!
//! All integers are little endian, those of the journal (JBD2) big endian.

use std::mem::{offset_of, size_of};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

/// Byte position of the primary superblock.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// `s_magic`.
pub const MAGIC: u16 = 0xEF53;

/// `s_feature_compat`: a kernel that does not know one of them may still write.
pub mod compat {
    #![allow(missing_docs)]
    pub const DIR_PREALLOC: u32 = 0x1;
    pub const HAS_JOURNAL: u32 = 0x4;
    pub const EXT_ATTR: u32 = 0x8;
    pub const RESIZE_INODE: u32 = 0x10;
    pub const DIR_INDEX: u32 = 0x20;
    pub const SPARSE_SUPER2: u32 = 0x200;
    pub const FAST_COMMIT: u32 = 0x400;
    pub const STABLE_INODES: u32 = 0x800;
    pub const ORPHAN_FILE: u32 = 0x1000;
}

/// `s_feature_incompat`: a kernel that does not know one of them must not mount.
pub mod incompat {
    #![allow(missing_docs)]
    pub const FILETYPE: u32 = 0x2;
    pub const RECOVER: u32 = 0x4;
    pub const JOURNAL_DEV: u32 = 0x8;
    pub const META_BG: u32 = 0x10;
    pub const EXTENTS: u32 = 0x40;
    pub const BIT64: u32 = 0x80;
    pub const MMP: u32 = 0x100;
    pub const FLEX_BG: u32 = 0x200;
    pub const EA_INODE: u32 = 0x400;
    pub const CSUM_SEED: u32 = 0x2000;
    pub const LARGEDIR: u32 = 0x4000;
    pub const INLINE_DATA: u32 = 0x8000;
    pub const ENCRYPT: u32 = 0x10000;
    pub const CASEFOLD: u32 = 0x20000;
}

/// `s_feature_ro_compat`: a kernel that does not know one of them must not write.
pub mod ro_compat {
    #![allow(missing_docs)]
    pub const SPARSE_SUPER: u32 = 0x1;
    pub const LARGE_FILE: u32 = 0x2;
    pub const HUGE_FILE: u32 = 0x8;
    pub const GDT_CSUM: u32 = 0x10;
    pub const DIR_NLINK: u32 = 0x20;
    pub const EXTRA_ISIZE: u32 = 0x40;
    pub const QUOTA: u32 = 0x100;
    pub const BIGALLOC: u32 = 0x200;
    pub const METADATA_CSUM: u32 = 0x400;
    pub const READONLY: u32 = 0x1000;
    pub const PROJECT: u32 = 0x2000;
    pub const SHARED_BLOCKS: u32 = 0x4000;
    pub const VERITY: u32 = 0x8000;
    pub const ORPHAN_PRESENT: u32 = 0x10000;
}

/// `s_flags`: names are hashed as signed characters.
pub const FLAGS_SIGNED_HASH: u32 = 0x1;
/// `s_flags`: names are hashed as unsigned characters.
pub const FLAGS_UNSIGNED_HASH: u32 = 0x2;
/// `s_state`: cleanly unmounted.
pub const STATE_VALID: u16 = 1;
/// `s_state`: errors were found.
pub const STATE_ERROR: u16 = 2;
/// `s_checksum_type`: CRC-32C, the only one.
pub const CHECKSUM_CRC32C: u8 = 1;
/// `s_def_hash_version`, `dx_root_info.hash_version`: half MD4. With [`FLAGS_UNSIGNED_HASH`] 3 is added in memory only.
pub const HASH_HALF_MD4: u8 = 1;
/// `s_default_mount_opts`: user xattrs.
pub const DEFM_XATTR_USER: u32 = 0x4;
/// `s_default_mount_opts`: ACLs.
pub const DEFM_ACL: u32 = 0x8;

/// The superblock.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Superblock {
    pub s_inodes_count: U32,
    pub s_blocks_count_lo: U32,
    pub s_r_blocks_count_lo: U32,
    pub s_free_blocks_count_lo: U32,
    pub s_free_inodes_count: U32,
    pub s_first_data_block: U32,
    pub s_log_block_size: U32,
    pub s_log_cluster_size: U32,
    pub s_blocks_per_group: U32,
    pub s_clusters_per_group: U32,
    pub s_inodes_per_group: U32,
    pub s_mtime: U32,
    pub s_wtime: U32,
    pub s_mnt_count: U16,
    pub s_max_mnt_count: U16,
    pub s_magic: U16,
    pub s_state: U16,
    pub s_errors: U16,
    pub s_minor_rev_level: U16,
    pub s_lastcheck: U32,
    pub s_checkinterval: U32,
    pub s_creator_os: U32,
    pub s_rev_level: U32,
    pub s_def_resuid: U16,
    pub s_def_resgid: U16,
    pub s_first_ino: U32,
    pub s_inode_size: U16,
    pub s_block_group_nr: U16,
    pub s_feature_compat: U32,
    pub s_feature_incompat: U32,
    pub s_feature_ro_compat: U32,
    pub s_uuid: [u8; 16],
    pub s_volume_name: [u8; 16],
    pub s_last_mounted: [u8; 64],
    pub s_algorithm_usage_bitmap: U32,
    pub s_prealloc_blocks: u8,
    pub s_prealloc_dir_blocks: u8,
    pub s_reserved_gdt_blocks: U16,
    pub s_journal_uuid: [u8; 16],
    pub s_journal_inum: U32,
    pub s_journal_dev: U32,
    pub s_last_orphan: U32,
    pub s_hash_seed: [U32; 4],
    pub s_def_hash_version: u8,
    pub s_jnl_backup_type: u8,
    pub s_desc_size: U16,
    pub s_default_mount_opts: U32,
    pub s_first_meta_bg: U32,
    pub s_mkfs_time: U32,
    pub s_jnl_blocks: [U32; 17],
    pub s_blocks_count_hi: U32,
    pub s_r_blocks_count_hi: U32,
    pub s_free_blocks_count_hi: U32,
    pub s_min_extra_isize: U16,
    pub s_want_extra_isize: U16,
    pub s_flags: U32,
    pub s_raid_stride: U16,
    pub s_mmp_interval: U16,
    pub s_mmp_block: [U32; 2],
    pub s_raid_stripe_width: U32,
    pub s_log_groups_per_flex: u8,
    pub s_checksum_type: u8,
    pub s_reserved_pad: U16,
    pub s_kbytes_written: [U32; 2],
    pub s_snapshot_inum: U32,
    pub s_snapshot_id: U32,
    pub s_snapshot_r_blocks_count: [U32; 2],
    pub s_snapshot_list: U32,
    pub s_error_count: U32,
    pub s_first_error_time: U32,
    pub s_first_error_ino: U32,
    pub s_first_error_block: [U32; 2],
    pub s_first_error_func: [u8; 32],
    pub s_first_error_line: U32,
    pub s_last_error_time: U32,
    pub s_last_error_ino: U32,
    pub s_last_error_line: U32,
    pub s_last_error_block: [U32; 2],
    pub s_last_error_func: [u8; 32],
    pub s_mount_opts: [u8; 64],
    pub s_usr_quota_inum: U32,
    pub s_grp_quota_inum: U32,
    pub s_overhead_clusters: U32,
    pub s_backup_bgs: [U32; 2],
    pub s_encrypt_algos: [u8; 4],
    pub s_encrypt_pw_salt: [u8; 16],
    pub s_lpf_ino: U32,
    pub s_prj_quota_inum: U32,
    pub s_checksum_seed: U32,
    pub s_wtime_hi: u8,
    pub s_mtime_hi: u8,
    pub s_mkfs_time_hi: u8,
    pub s_lastcheck_hi: u8,
    pub s_first_error_time_hi: u8,
    pub s_last_error_time_hi: u8,
    pub s_first_error_errcode: u8,
    pub s_last_error_errcode: u8,
    pub s_encoding: U16,
    pub s_encoding_flags: U16,
    pub s_orphan_file_inum: U32,
    pub s_reserved: [U32; 94],
    pub s_checksum: U32,
}

const _: () = {
    assert!(size_of::<Superblock>() == 1024);
    assert!(offset_of!(Superblock, s_magic) == 0x38);
    assert!(offset_of!(Superblock, s_uuid) == 0x68);
    assert!(offset_of!(Superblock, s_reserved_gdt_blocks) == 0xCE);
    assert!(offset_of!(Superblock, s_hash_seed) == 0xEC);
    assert!(offset_of!(Superblock, s_desc_size) == 0xFE);
    assert!(offset_of!(Superblock, s_jnl_blocks) == 0x10C);
    assert!(offset_of!(Superblock, s_blocks_count_hi) == 0x150);
    assert!(offset_of!(Superblock, s_flags) == 0x160);
    assert!(offset_of!(Superblock, s_log_groups_per_flex) == 0x174);
    assert!(offset_of!(Superblock, s_mount_opts) == 0x200);
    assert!(offset_of!(Superblock, s_overhead_clusters) == 0x248);
    assert!(offset_of!(Superblock, s_checksum_seed) == 0x270);
    assert!(offset_of!(Superblock, s_orphan_file_inum) == 0x280);
    assert!(offset_of!(Superblock, s_checksum) == 0x3FC);
};

/// A group descriptor of 64 bytes (`64bit`); the short form is its first 32 bytes.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct GroupDescriptor {
    pub bg_block_bitmap_lo: U32,
    pub bg_inode_bitmap_lo: U32,
    pub bg_inode_table_lo: U32,
    pub bg_free_blocks_count_lo: U16,
    pub bg_free_inodes_count_lo: U16,
    pub bg_used_dirs_count_lo: U16,
    pub bg_flags: U16,
    pub bg_exclude_bitmap_lo: U32,
    pub bg_block_bitmap_csum_lo: U16,
    pub bg_inode_bitmap_csum_lo: U16,
    pub bg_itable_unused_lo: U16,
    pub bg_checksum: U16,
    pub bg_block_bitmap_hi: U32,
    pub bg_inode_bitmap_hi: U32,
    pub bg_inode_table_hi: U32,
    pub bg_free_blocks_count_hi: U16,
    pub bg_free_inodes_count_hi: U16,
    pub bg_used_dirs_count_hi: U16,
    pub bg_itable_unused_hi: U16,
    pub bg_exclude_bitmap_hi: U32,
    pub bg_block_bitmap_csum_hi: U16,
    pub bg_inode_bitmap_csum_hi: U16,
    pub bg_reserved: U32,
}

const _: () = {
    assert!(size_of::<GroupDescriptor>() == 64);
    assert!(offset_of!(GroupDescriptor, bg_flags) == 0x12);
    assert!(offset_of!(GroupDescriptor, bg_checksum) == 0x1E);
    assert!(offset_of!(GroupDescriptor, bg_block_bitmap_hi) == 0x20);
    assert!(offset_of!(GroupDescriptor, bg_block_bitmap_csum_hi) == 0x38);
};

/// `bg_flags`: no inode of the group is in use; bitmap and table are not initialised.
pub const BG_INODE_UNINIT: u16 = 1;
/// `bg_flags`: the block bitmap is not initialised; only the group's own metadata is in use.
pub const BG_BLOCK_UNINIT: u16 = 2;
/// `bg_flags`: the unused part of the inode table is zero.
pub const BG_INODE_ZEROED: u16 = 4;

/// Inodes with a fixed number.
pub mod ino {
    #![allow(missing_docs)]
    pub const BAD_BLOCKS: u32 = 1;
    pub const ROOT: u32 = 2;
    pub const USER_QUOTA: u32 = 3;
    pub const GROUP_QUOTA: u32 = 4;
    pub const RESIZE: u32 = 7;
    pub const JOURNAL: u32 = 8;
    pub const FIRST: u32 = 11;
}

/// Length of the part of an inode that every ext file system has.
pub const GOOD_OLD_INODE_SIZE: usize = 128;

/// An inode of 160 bytes: the old 128, and the extra fields that `i_extra_isize` = 32 counts.
/// With `i_extra_isize` < 32 the last fields are not there.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Inode {
    pub i_mode: U16,
    pub i_uid: U16,
    pub i_size_lo: U32,
    pub i_atime: U32,
    pub i_ctime: U32,
    pub i_mtime: U32,
    pub i_dtime: U32,
    pub i_gid: U16,
    pub i_links_count: U16,
    pub i_blocks_lo: U32,
    pub i_flags: U32,
    /// `l_i_version`.
    pub i_osd1: U32,
    pub i_block: [u8; 60],
    pub i_generation: U32,
    pub i_file_acl_lo: U32,
    pub i_size_high: U32,
    pub i_obso_faddr: U32,
    pub i_blocks_hi: U16,
    pub i_file_acl_hi: U16,
    pub i_uid_hi: U16,
    pub i_gid_hi: U16,
    pub i_checksum_lo: U16,
    pub i_reserved: U16,
    pub i_extra_isize: U16,
    pub i_checksum_hi: U16,
    pub i_ctime_extra: U32,
    pub i_mtime_extra: U32,
    pub i_atime_extra: U32,
    pub i_crtime: U32,
    pub i_crtime_extra: U32,
    pub i_version_hi: U32,
    pub i_projid: U32,
}

const _: () = {
    assert!(size_of::<Inode>() == GOOD_OLD_INODE_SIZE + EXTRA_ISIZE as usize);
    assert!(offset_of!(Inode, i_block) == 0x28);
    assert!(offset_of!(Inode, i_file_acl_lo) == 0x68);
    assert!(offset_of!(Inode, i_checksum_lo) == 0x7C);
    assert!(offset_of!(Inode, i_extra_isize) == 0x80);
    assert!(offset_of!(Inode, i_checksum_hi) == 0x82);
    assert!(offset_of!(Inode, i_crtime) == 0x90);
};

/// `i_extra_isize` of today's kernels.
pub const EXTRA_ISIZE: u16 = 32;

/// `i_mode`: the type bits.
pub mod mode {
    #![allow(missing_docs)]
    pub const TYPE: u16 = 0xF000;
    pub const FIFO: u16 = 0x1000;
    pub const CHAR: u16 = 0x2000;
    pub const DIRECTORY: u16 = 0x4000;
    pub const BLOCK: u16 = 0x6000;
    pub const REGULAR: u16 = 0x8000;
    pub const SYMLINK: u16 = 0xA000;
    pub const SOCKET: u16 = 0xC000;
}

/// `i_flags`.
pub mod inode_flags {
    #![allow(missing_docs)]
    pub const INDEX: u32 = 0x1000;
    pub const HUGE_FILE: u32 = 0x40000;
    pub const EXTENTS: u32 = 0x80000;
    pub const VERITY: u32 = 0x100000;
    pub const EA_INODE: u32 = 0x200000;
    pub const INLINE_DATA: u32 = 0x10000000;
    pub const ENCRYPT: u32 = 0x800;
    pub const CASEFOLD: u32 = 0x40000000;
}

/// Head of a node of an extent tree.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct ExtentHeader {
    pub eh_magic: U16,
    pub eh_entries: U16,
    pub eh_max: U16,
    pub eh_depth: U16,
    pub eh_generation: U32,
}

/// An entry of a leaf (`eh_depth` = 0).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct ExtentLeaf {
    pub ee_block: U32,
    pub ee_len: U16,
    pub ee_start_hi: U16,
    pub ee_start_lo: U32,
}

/// An entry of an inner node.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct ExtentIndex {
    pub ei_block: U32,
    pub ei_leaf_lo: U32,
    pub ei_leaf_hi: U16,
    pub ei_unused: U16,
}

const _: () = assert!(size_of::<ExtentHeader>() == 12);
const _: () = assert!(size_of::<ExtentLeaf>() == 12 && size_of::<ExtentIndex>() == 12);

/// `eh_magic`.
pub const EXTENT_MAGIC: u16 = 0xF30A;
/// `eh_max` of the root in `i_block`.
pub const EXTENTS_IN_INODE: u16 = 4;
/// Longest initialised extent in blocks; `ee_len` above it means unwritten.
pub const EXTENT_MAX_LEN: u16 = 32768;
/// Deepest extent tree that the kernel reads.
pub const EXTENT_MAX_DEPTH: u16 = 5;

/// Head of a directory entry; `name_len` bytes follow, padded to 4.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DirEntry {
    pub inode: U32,
    pub rec_len: U16,
    pub name_len: u8,
    pub file_type: u8,
}

/// The last 12 bytes of a directory leaf with metadata_csum: an entry of inode 0 with the checksum for a name.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DirEntryTail {
    pub det_reserved_zero1: U32,
    pub det_rec_len: U16,
    pub det_reserved_zero2: u8,
    pub det_reserved_ft: u8,
    pub det_checksum: U32,
}

const _: () = assert!(size_of::<DirEntry>() == 8 && size_of::<DirEntryTail>() == 12);

/// `det_reserved_ft`.
pub const DIR_TAIL_FILE_TYPE: u8 = 0xDE;

/// `file_type` of a directory entry, from the type bits of the mode; 0 for none.
pub fn file_type_of(i_mode: u16) -> u8 {
    match i_mode & mode::TYPE {
        mode::REGULAR => 1,
        mode::DIRECTORY => 2,
        mode::CHAR => 3,
        mode::BLOCK => 4,
        mode::FIFO => 5,
        mode::SOCKET => 6,
        mode::SYMLINK => 7,
        _ => 0,
    }
}

/// `dx_root_info`: at byte 24 of block 0 of an indexed directory, behind the entries of `.` and `..`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DxRootInfo {
    pub reserved_zero: U32,
    pub hash_version: u8,
    pub info_length: u8,
    pub indirect_levels: u8,
    pub unused_flags: u8,
}

/// Takes the place of the first entry's hash in every node of an index: at byte 32 of the root, at byte 8 of others.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DxCountLimit {
    pub limit: U16,
    pub count: U16,
}

/// An entry of an index node.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DxEntry {
    pub hash: U32,
    pub block: U32,
}

/// Behind the last possible entry (`limit`) of an index node.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DxTail {
    pub dt_reserved: U32,
    pub dt_checksum: U32,
}

const _: () = assert!(size_of::<DxRootInfo>() == 8 && size_of::<DxEntry>() == 8 && size_of::<DxTail>() == 8);

/// Byte position of [`DxRootInfo`] in the root of an index.
pub const DX_ROOT_INFO: usize = 24;
/// Byte position of the entries in the root of an index.
pub const DX_ROOT_ENTRIES: usize = 32;
/// Byte position of the entries in another node of an index, behind an empty directory entry.
pub const DX_NODE_ENTRIES: usize = 8;

/// Head of an xattr block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct XattrHeader {
    pub h_magic: U32,
    pub h_refcount: U32,
    pub h_blocks: U32,
    pub h_hash: U32,
    pub h_checksum: U32,
    pub h_reserved: [U32; 3],
}

/// An attribute; `e_name_len` bytes of name follow, padded to 4. Four zero bytes end the list.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct XattrEntry {
    pub e_name_len: u8,
    pub e_name_index: u8,
    /// From the first entry (in an inode), from the start of the block (in a block).
    pub e_value_offs: U16,
    pub e_value_inum: U32,
    pub e_value_size: U32,
    pub e_hash: U32,
}

const _: () = assert!(size_of::<XattrHeader>() == 32 && size_of::<XattrEntry>() == 16);

/// `h_magic`, and the first word of the attributes in an inode (at byte 128 + `i_extra_isize`).
pub const XATTR_MAGIC: u32 = 0xEA02_0000;
/// `h_refcount` goes no higher.
pub const XATTR_MAX_REFCOUNT: u32 = 1024;

/// `e_name_index` and the prefix that it stands for. The ACLs and `system.richacl` are whole names.
pub const XATTR_PREFIXES: &[(u8, &[u8])] = &[
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
    (7, b"system."),
    (8, b"system.richacl"),
];

/// `e_version` of an ACL on disk (`struct ext4_acl_header`).
pub const ACL_DISK_VERSION: u32 = 1;
/// `a_version` of an ACL in the system call (`struct posix_acl_xattr_header`).
pub const ACL_XATTR_VERSION: u32 = 2;

/// The journal's superblock, in its first block. Big endian.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct JournalSuperblock {
    pub h_magic: big_endian::U32,
    pub h_blocktype: big_endian::U32,
    pub h_sequence: big_endian::U32,
    pub s_blocksize: big_endian::U32,
    pub s_maxlen: big_endian::U32,
    pub s_first: big_endian::U32,
    pub s_sequence: big_endian::U32,
    pub s_start: big_endian::U32,
    pub s_errno: big_endian::U32,
    pub s_feature_compat: big_endian::U32,
    pub s_feature_incompat: big_endian::U32,
    pub s_feature_ro_compat: big_endian::U32,
    pub s_uuid: [u8; 16],
    pub s_nr_users: big_endian::U32,
    pub s_dynsuper: big_endian::U32,
    pub s_max_transaction: big_endian::U32,
    pub s_max_trans_data: big_endian::U32,
    pub s_checksum_type: u8,
    pub s_padding2: [u8; 3],
    pub s_num_fc_blks: big_endian::U32,
    pub s_head: big_endian::U32,
    pub s_padding: [big_endian::U32; 40],
    pub s_checksum: big_endian::U32,
    pub s_users: [u8; 768],
}

const _: () = {
    assert!(size_of::<JournalSuperblock>() == 1024);
    assert!(offset_of!(JournalSuperblock, s_uuid) == 0x30);
    assert!(offset_of!(JournalSuperblock, s_num_fc_blks) == 0x54);
    assert!(offset_of!(JournalSuperblock, s_checksum) == 0xFC);
};

/// `h_magic`.
pub const JOURNAL_MAGIC: u32 = 0xC03B_3998;
/// `h_blocktype` of a version 2 superblock.
pub const JOURNAL_SUPERBLOCK_V2: u32 = 4;

/// The end of every block of the orphan file (`Documentation/filesystems/ext4/orphan.rst`): inode numbers come before it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(missing_docs)]
pub struct OrphanTail {
    pub ob_magic: U32,
    pub ob_checksum: U32,
}

const _: () = assert!(size_of::<OrphanTail>() == 8);

/// `ob_magic`.
pub const ORPHAN_MAGIC: u32 = 0x0B10_CA04;

/// CRC-16 (reflected 0x8005) as gdt_csum uses it: a running value.
pub fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    let step = |sum: u16, _| (sum >> 1) ^ if sum & 1 == 1 { 0xA001 } else { 0 };
    bytes.iter().fold(seed, |sum, &byte| (0..8).fold(sum ^ u16::from(byte), step))
}

/// CRC-32C (Castagnoli, reflected) as ext4 uses it: a running value without the final inversion.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// What every metadata checksum starts from: `s_checksum_seed` with metadata_csum_seed, else the hash of the UUID.
pub fn checksum_seed(superblock: &Superblock) -> u32 {
    match superblock.s_feature_incompat.get() & incompat::CSUM_SEED {
        0 => crc32c(!0, &superblock.s_uuid),
        _ => superblock.s_checksum_seed.get(),
    }
}

/// What the checksums of one inode's own blocks start from.
pub fn inode_seed(seed: u32, ino: u32, generation: u32) -> u32 {
    crc32c(crc32c(seed, &ino.to_le_bytes()), &generation.to_le_bytes())
}

/// Checksum of a superblock: of all bytes before it, without a seed.
pub fn superblock_checksum(superblock: &Superblock) -> u32 {
    crc32c(!0, &superblock.as_bytes()[..offset_of!(Superblock, s_checksum)])
}

/// Checksum of an inode (`bytes`: all `s_inode_size` of them) with both checksum fields taken as zero. The high half is
/// stored only where `i_extra_isize` reaches it.
pub fn inode_checksum(inode_seed: u32, bytes: &[u8]) -> u32 {
    const LO: usize = offset_of!(Inode, i_checksum_lo);
    const HI: usize = offset_of!(Inode, i_checksum_hi);
    let extra = bytes.get(GOOD_OLD_INODE_SIZE..GOOD_OLD_INODE_SIZE + 2);
    let has_high = extra.is_some_and(|extra| u16::from_le_bytes([extra[0], extra[1]]) >= 4);
    let start = crc32c(crc32c(inode_seed, &bytes[..LO]), &[0; 2]);
    if !has_high {
        return crc32c(start, &bytes[LO + 2..]);
    }
    crc32c(crc32c(crc32c(start, &bytes[LO + 2..HI]), &[0; 2]), &bytes[HI + 2..])
}

/// Checksum of a group descriptor: the low half of CRC-32C over the group's number and the `desc_size` bytes of
/// `descriptor` with the checksum field taken as zero.
pub fn descriptor_checksum(seed: u32, group: u32, descriptor: &[u8]) -> u16 {
    const AT: usize = offset_of!(GroupDescriptor, bg_checksum);
    let start = crc32c(crc32c(seed, &group.to_le_bytes()), &descriptor[..AT]);
    crc32c(crc32c(start, &[0; 2]), &descriptor[AT + 2..]) as u16
}

/// Checksum of an index node of a directory: its used entries, then its tail with the checksum taken as zero.
/// `entries_at`: [`DX_ROOT_ENTRIES`] or [`DX_NODE_ENTRIES`].
pub fn dx_checksum(inode_seed: u32, block: &[u8], entries_at: usize, count: usize, tail: &DxTail) -> u32 {
    let used = crc32c(inode_seed, &block[..entries_at + count * size_of::<DxEntry>()]);
    crc32c(crc32c(used, tail.dt_reserved.as_bytes()), &[0; 4])
}

/// Checksum of an xattr block at block number `block`, with `h_checksum` taken as zero.
pub fn xattr_block_checksum(seed: u32, block: u64, bytes: &[u8]) -> u32 {
    const AT: usize = offset_of!(XattrHeader, h_checksum);
    let start = crc32c(crc32c(seed, &block.to_le_bytes()), &bytes[..AT]);
    crc32c(crc32c(start, &[0; 4]), &bytes[AT + 4..])
}

/// Whether a group holds a copy of the superblock (sparse_super): groups 0, 1 and the powers of 3, 5 and 7.
pub fn has_backup(group: u32) -> bool {
    let power_of = |base: u32| {
        let mut rest = group;
        while rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

impl Superblock {
    /// Blocks of the file system.
    pub fn blocks_count(&self) -> u64 {
        join(self.s_blocks_count_lo, self.high(self.s_blocks_count_hi))
    }

    /// Free blocks.
    pub fn free_blocks_count(&self) -> u64 {
        join(self.s_free_blocks_count_lo, self.high(self.s_free_blocks_count_hi))
    }

    /// Blocks that only root may use.
    pub fn reserved_blocks_count(&self) -> u64 {
        join(self.s_r_blocks_count_lo, self.high(self.s_r_blocks_count_hi))
    }

    /// The high half of a count: only with 64bit.
    fn high(&self, hi: U32) -> U32 {
        match self.s_feature_incompat.get() & incompat::BIT64 {
            0 => U32::ZERO,
            _ => hi,
        }
    }
}

impl GroupDescriptor {
    /// A descriptor from `bytes` of 32 or 64 bytes (or more); what is missing is zero.
    pub fn read(bytes: &[u8]) -> GroupDescriptor {
        let mut descriptor = GroupDescriptor::new_zeroed();
        let len = bytes.len().min(size_of::<GroupDescriptor>());
        descriptor.as_mut_bytes()[..len].copy_from_slice(&bytes[..len]);
        descriptor
    }

    /// Block number of the block bitmap.
    pub fn block_bitmap(&self) -> u64 {
        join(self.bg_block_bitmap_lo, self.bg_block_bitmap_hi)
    }

    /// Block number of the inode bitmap.
    pub fn inode_bitmap(&self) -> u64 {
        join(self.bg_inode_bitmap_lo, self.bg_inode_bitmap_hi)
    }

    /// Block number of the first block of the inode table.
    pub fn inode_table(&self) -> u64 {
        join(self.bg_inode_table_lo, self.bg_inode_table_hi)
    }

    /// Free blocks of the group.
    pub fn free_blocks_count(&self) -> u32 {
        join16(self.bg_free_blocks_count_lo, self.bg_free_blocks_count_hi)
    }

    /// Free inodes of the group.
    pub fn free_inodes_count(&self) -> u32 {
        join16(self.bg_free_inodes_count_lo, self.bg_free_inodes_count_hi)
    }

    /// Directories of the group.
    pub fn used_dirs_count(&self) -> u32 {
        join16(self.bg_used_dirs_count_lo, self.bg_used_dirs_count_hi)
    }

    /// Inodes at the end of the table that were never used.
    pub fn itable_unused(&self) -> u32 {
        join16(self.bg_itable_unused_lo, self.bg_itable_unused_hi)
    }

    /// Checksum of the block bitmap.
    pub fn block_bitmap_csum(&self) -> u32 {
        join16(self.bg_block_bitmap_csum_lo, self.bg_block_bitmap_csum_hi)
    }

    /// Checksum of the inode bitmap.
    pub fn inode_bitmap_csum(&self) -> u32 {
        join16(self.bg_inode_bitmap_csum_lo, self.bg_inode_bitmap_csum_hi)
    }
}

impl Inode {
    /// An inode from its `s_inode_size` bytes; what `i_extra_isize` does not count is zero.
    pub fn read(bytes: &[u8]) -> Inode {
        let mut inode = Inode::new_zeroed();
        let extra = bytes.get(GOOD_OLD_INODE_SIZE..GOOD_OLD_INODE_SIZE + 2);
        let extra = extra.map_or(0, |extra| usize::from(u16::from_le_bytes([extra[0], extra[1]])));
        let len = (GOOD_OLD_INODE_SIZE + extra).min(bytes.len()).min(size_of::<Inode>());
        inode.as_mut_bytes()[..len].copy_from_slice(&bytes[..len]);
        inode
    }

    /// Length in bytes. The high half counts for regular files (and directories, with largedir).
    pub fn size(&self) -> u64 {
        join(self.i_size_lo, self.i_size_high)
    }

    /// Block number of the xattr block; 0 for none.
    pub fn file_acl(&self) -> u64 {
        u64::from(self.i_file_acl_lo) | u64::from(self.i_file_acl_hi) << 32
    }

    /// `i_blocks` as stored: units of 512 bytes, or blocks with [`inode_flags::HUGE_FILE`].
    pub fn blocks(&self) -> u64 {
        u64::from(self.i_blocks_lo) | u64::from(self.i_blocks_hi) << 32
    }

    /// Owner.
    pub fn uid(&self) -> u32 {
        join16(self.i_uid, self.i_uid_hi)
    }

    /// Group.
    pub fn gid(&self) -> u32 {
        join16(self.i_gid, self.i_gid_hi)
    }
}

impl ExtentLeaf {
    /// Block number of the first block.
    pub fn start(&self) -> u64 {
        u64::from(self.ee_start_lo) | u64::from(self.ee_start_hi) << 32
    }
}

impl ExtentIndex {
    /// Block number of the node below.
    pub fn leaf(&self) -> u64 {
        u64::from(self.ei_leaf_lo) | u64::from(self.ei_leaf_hi) << 32
    }
}

/// Seconds and nanoseconds of a time: `seconds` signed, `extra` = nanoseconds << 2 | epoch.
pub fn decode_time(seconds: U32, extra: U32) -> (i64, u32) {
    let low = i64::from(seconds.get() as i32);
    (low + (i64::from(extra.get() & 3) << 32), extra.get() >> 2)
}

/// The two words of a time that is in range ([`MIN_TIME`] to [`MAX_TIME`]).
pub fn encode_time(sec: i64, nsec: u32) -> (U32, U32) {
    let low = sec as u32;
    let epoch = ((sec - i64::from(low as i32)) >> 32) as u32 & 3;
    (low.into(), (nsec << 2 | epoch).into())
}

/// Earliest time: 1901-12-13.
pub const MIN_TIME: i64 = i32::MIN as i64;
/// Latest time: 2446-05-10.
pub const MAX_TIME: i64 = i32::MAX as i64 + (3 << 32);
/// Latest time that everybody reads as it is, 2310-04-03: e2fsck takes the first half of the last epoch for times before
/// 1970 that an old kernel wrote wrongly, and wants to change them.
pub const LATEST_SAFE_TIME: i64 = (3 << 32) - (1 << 31) - 1;

fn join(lo: U32, hi: U32) -> u64 {
    u64::from(lo) | u64::from(hi) << 32
}

fn join16(lo: U16, hi: U16) -> u32 {
    u32::from(lo) | u32::from(hi) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_has_no_final_inversion() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xE306_9283);
    }

    #[test]
    fn crc16_is_that_of_arc() {
        assert_eq!(crc16(0, b"123456789"), 0xBB3D);
    }

    #[test]
    fn backups_are_in_powers_of_three_five_and_seven() {
        let groups: Vec<u32> = (0..130).filter(|&group| has_backup(group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn times_survive() {
        for sec in [MIN_TIME, -1, 0, 1, i64::from(i32::MAX), 1 << 31, u32::MAX.into(), 1 << 32, MAX_TIME] {
            let (low, extra) = encode_time(sec, 999_999_999);
            assert_eq!(decode_time(low, extra), (sec, 999_999_999));
        }
    }
}
