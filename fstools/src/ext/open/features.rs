//! Features by bit: name, and whether this reader understands it.

use super::super::disk::{compat, incompat, ro_compat};

/// A feature: bit, the name that mke2fs gives it, whether it is understood here.
pub(super) type Feature = (u32, &'static str, bool);

/// `s_feature_compat`.
pub(super) const COMPAT: &[Feature] = &[
    (compat::DIR_PREALLOC, "dir_prealloc", true),
    (0x2, "imagic_inodes", false),
    (compat::HAS_JOURNAL, "has_journal", true),
    (compat::EXT_ATTR, "ext_attr", true),
    (compat::RESIZE_INODE, "resize_inode", true),
    (compat::DIR_INDEX, "dir_index", true),
    (0x40, "lazy_bg", false),
    (0x80, "snapshot_bitmap", false),
    (0x100, "exclude_bitmap", false),
    (compat::SPARSE_SUPER2, "sparse_super2", true),
    (compat::FAST_COMMIT, "fast_commit", true),
    (compat::STABLE_INODES, "stable_inodes", true),
    (compat::ORPHAN_FILE, "orphan_file", true),
];

/// `s_feature_incompat`. What is not understood here ends the reading.
pub(super) const INCOMPAT: &[Feature] = &[
    (0x1, "compression", false),
    (incompat::FILETYPE, "filetype", true),
    (incompat::RECOVER, "needs_recovery", true),
    (incompat::JOURNAL_DEV, "journal_dev", false),
    (incompat::META_BG, "meta_bg", true),
    (incompat::EXTENTS, "extents", true),
    (incompat::BIT64, "64bit", true),
    (incompat::MMP, "mmp", true),
    (incompat::FLEX_BG, "flex_bg", true),
    (incompat::EA_INODE, "ea_inode", true),
    (0x1000, "dirdata", false),
    (incompat::CSUM_SEED, "metadata_csum_seed", true),
    (incompat::LARGEDIR, "large_dir", true),
    (incompat::INLINE_DATA, "inline_data", false),
    (incompat::ENCRYPT, "encrypt", false),
    (incompat::CASEFOLD, "casefold", true),
];

/// `s_feature_ro_compat`.
pub(super) const RO_COMPAT: &[Feature] = &[
    (ro_compat::SPARSE_SUPER, "sparse_super", true),
    (ro_compat::LARGE_FILE, "large_file", true),
    (0x4, "btree_dir", false),
    (ro_compat::HUGE_FILE, "huge_file", true),
    (ro_compat::GDT_CSUM, "uninit_bg", true),
    (ro_compat::DIR_NLINK, "dir_nlink", true),
    (ro_compat::EXTRA_ISIZE, "extra_isize", true),
    (0x80, "snapshot", false),
    (ro_compat::QUOTA, "quota", true),
    (ro_compat::BIGALLOC, "bigalloc", false),
    (ro_compat::METADATA_CSUM, "metadata_csum", true),
    (0x800, "replica", false),
    (ro_compat::READONLY, "read-only", true),
    (ro_compat::PROJECT, "project", true),
    (ro_compat::SHARED_BLOCKS, "shared_blocks", true),
    (ro_compat::VERITY, "verity", true),
    (ro_compat::ORPHAN_PRESENT, "orphan_present", true),
];

/// The bits of `set` that are not understood, by name; unknown ones as a number.
pub(super) fn strangers(known: &[Feature], set: u32) -> Vec<String> {
    let understood = known.iter().filter(|row| row.2).fold(0, |all, row| all | row.0);
    let strange = (0..32).map(|bit| 1u32 << bit).filter(|bit| set & bit & !understood != 0);
    let name =
        |bit| known.iter().find(|row| row.0 == bit).map_or(format!("{bit:#x}"), |row| row.1.to_owned());
    strange.map(name).collect()
}

/// All bits of `set` by name.
pub(in crate::ext) fn names(superblock: &super::super::disk::Superblock) -> String {
    let sets = [
        (COMPAT, superblock.s_feature_compat.get()),
        (INCOMPAT, superblock.s_feature_incompat.get()),
        (RO_COMPAT, superblock.s_feature_ro_compat.get()),
    ];
    let named = sets.iter().flat_map(|(rows, set)| rows.iter().filter(move |row| set & row.0 != 0));
    named.map(|row| row.1).collect::<Vec<_>>().join(",")
}
