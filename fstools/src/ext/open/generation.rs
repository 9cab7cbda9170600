//! Which of ext2, ext3 and ext4 an image is. The disk has one magic number for all three; they are told apart by their
//! features, as blkid does (util-linux, `libblkid/src/superblocks/ext.c`) and with it fstab, mount and KIWI.

use super::super::disk::{MAGIC, Superblock, compat, incompat, ro_compat};
use diskwright_formats::fault::Damage;
use diskwright_formats::layout::ReadAt;
use zerocopy::FromBytes;

/// `s_feature_ro_compat` of ext2 and ext3: sparse_super, large_file, btree_dir.
const OLD_RO_COMPAT: u32 = ro_compat::SPARSE_SUPER | ro_compat::LARGE_FILE | 0x4;
/// `s_feature_incompat` of ext2 and ext3; ext2 has no journal to recover.
const OLD_INCOMPAT: u32 = incompat::FILETYPE | incompat::META_BG | incompat::RECOVER;

/// What the features of a superblock say: the row's name, which is the one that mount, blkid and fstab have. ext4 has at least
/// one feature that the drivers of the other two do not know; ext3 is ext2 with a journal. (blkid has no name for a file
/// system that is to be recovered from a journal that it has not; here it is ext2.)
fn of(superblock: &Superblock) -> &'static str {
    let new_incompat = superblock.s_feature_incompat.get() & !OLD_INCOMPAT;
    let new_ro_compat = superblock.s_feature_ro_compat.get() & !OLD_RO_COMPAT;
    let has_journal = superblock.s_feature_compat.get() & compat::HAS_JOURNAL != 0;
    match (new_incompat | new_ro_compat != 0, has_journal) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    }
}

/// Which of the three an image says that it is. Never fails: unreadable is none, and the journal of another file system
/// has the magic number, too, and is none.
pub(in crate::ext) fn generation(image: &dyn ReadAt) -> Option<&'static str> {
    let superblock = superblock(image)?;
    let is_it = superblock.s_magic.get() == MAGIC && !is_journal(&superblock);
    is_it.then(|| of(&superblock))
}

/// Which of the three what lies where the superblock does would be but for its magic number: every field that has few
/// values has one of them.
pub(in crate::ext) fn resembled(image: &dyn ReadAt) -> Option<&'static str> {
    let it = superblock(image)?;
    let block_size = 1024u64 << it.s_log_block_size.get().min(6);
    let counted = |per_group: u32| (1..=8 * block_size).contains(&per_group.into());
    let does = it.s_log_block_size.get() <= 6
        && it.s_first_data_block.get() == u32::from(block_size == 1024)
        && counted(it.s_blocks_per_group.get())
        && counted(it.s_inodes_per_group.get())
        && it.s_inodes_count.get().is_multiple_of(it.s_inodes_per_group.get())
        && it.s_rev_level.get() == 1
        && it.s_first_ino.get() >= 11
        && it.s_inode_size.get().is_power_of_two()
        && (128..=block_size).contains(&it.s_inode_size.get().into())
        && it.s_uuid != [0; 16]
        && !is_journal(&it);
    does.then(|| of(&it))
}

/// The name of what an image is or was before its magic number was spoilt.
pub(in crate::ext) fn name_of(image: &dyn ReadAt) -> &'static str {
    generation(image).or_else(|| resembled(image)).unwrap_or("ext4")
}

/// The same damage, of a file system of this name.
pub(in crate::ext) fn named(mut damage: Damage, name: &'static str) -> Damage {
    damage.spot.format = name;
    damage
}

fn is_journal(superblock: &Superblock) -> bool {
    superblock.s_feature_incompat.get() & incompat::JOURNAL_DEV != 0
}

fn superblock(image: &dyn ReadAt) -> Option<Superblock> {
    let mut bytes = [0; size_of::<Superblock>()];
    image.read_exact_at(1024, &mut bytes).ok()?;
    Superblock::read_from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn features_tell_the_three_apart() {
        for (compat, incompat, ro_compat, expected) in [
            (0, 0, 0, "ext2"),
            // As mke2fs -t ext2 and -t ext3 have them.
            (0x38, 0x2, 0x3, "ext2"),
            (0x3C, 0x2, 0x3, "ext3"),
            (0x3C, 0x6, 0x3, "ext3"),
            (0x38, 0x12, 0x7, "ext2"),
            // compat features make none of them another one.
            (0x1238, 0x2, 0x3, "ext2"),
            (0x123C, 0x2, 0x3, "ext3"),
            (0x38, 0x42, 0x3, "ext4"),
            (0x38, 0x82, 0x3, "ext4"),
            (0x3C, 0x202, 0x3, "ext4"),
            (0x3C, 0x402, 0x3, "ext4"),
            (0x3C, 0x2, 0x13, "ext4"),
            (0x3C, 0x2, 0xB, "ext4"),
            (0x3C, 0x2, 0x43, "ext4"),
            (0x38, 0x6, 0x3, "ext2"),
        ] {
            let mut superblock = Superblock::new_zeroed();
            superblock.s_feature_compat.set(compat);
            superblock.s_feature_incompat.set(incompat);
            superblock.s_feature_ro_compat.set(ro_compat);
            let found = of(&superblock);
            assert_eq!(found, expected, "{compat:#x} {incompat:#x} {ro_compat:#x}");
        }
    }
}
