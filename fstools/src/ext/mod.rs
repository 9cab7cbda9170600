//! ext2, ext3 and ext4, as the kernel describes them (`Documentation/filesystems/ext4`;
//! sections `blockgroup`, `super`, `group_descr`, `bitmaps`, `inodes`, `ifork`, `directory`, `attributes`, `journal`).
//!
//! One writer lays all three: [`format`] says which structures a file system has. With blocks of 4 KiB and the features of
//! ext4 the disk looks like this; with blocks of 1 KiB block 0 is the boot sector alone and all moves by one; without
//! flex_bg each group has its own bitmaps and table.
//!
//! ```text
//! group 0    0        boot sector, superblock at byte 1024
//!            1        group descriptors, a block for 64 groups (8 GiB)
//!            ...      blocks reserved for more of them, listed by inode 7
//!            ...      block bitmaps of groups 0 .. 16
//!            ...      inode bitmaps of groups 0 .. 16
//!            ...      inode tables of groups 0 .. 16, 256 bytes an inode
//!            ...      directories of the whole tree
//!            ...      attributes and their values, long symlinks, journal (inode 8), orphan file, list of inode 7
//!            ...      file data in the order of the tree
//! group 1    32768    copy of superblock, descriptors and reserve (also in the powers of 3, 5 and 7)
//! group 16   524288   bitmaps and tables of groups 16 .. 32
//!                     ... and so on; what is free lies at the end
//! ```
//!
//! The writer is ours: those that exist in Rust lack 64bit, resize_inode or names that are not UTF-8, hold more than a
//! kilobyte for each file, or write holes.

pub mod disk;
mod dump;
mod format;
mod hash;
mod lay;
mod open;
mod options;
mod profile;
mod reid;

use crate::registry::Row;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// What refusals and damage are named after.
const NAME: &str = "ext4";
/// Most links of an inode.
const LINK_MAX: u32 = 65_000;
/// Where e2fsck puts files without a name.
const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Bytes of it that exist from the start, because e2fsck cannot rely on free blocks.
const LOST_AND_FOUND_LEN: u32 = 16_384;

const LIMITS: &[&str] = &[
    "blocks of 1024, 2048 or 4096 bytes, inodes from 128 bytes to a block",
    "2^32 blocks for the file system (16 TiB with blocks of 4 KiB); a file as long with extents, else 2 TiB and less",
    "65000 hard links of a file",
    "attributes of a file up to a block beside those in the inode, 64 KiB each with ea_inode; user, trusted, security \
     and POSIX ACLs",
    "times from 1901 to 2310, to 2038 with inodes of 128 bytes (others are clamped)",
];

/// Names of the releases whose defaults are known.
pub(crate) fn targets() -> Vec<&'static str> {
    profile::names()
}

/// The row of ext4.
pub const EXT4: Row = Row {
    name: "ext4",
    aliases: &["ext"],
    about: "Linux's own file system, read and written by every kernel",
    options: options::HELP,
    limits: LIMITS,
    configure: lay::ext4,
    recognise: |image| open::generation(image) == Some("ext4"),
    resembles: |image| open::resembled(image) == Some("ext4"),
    open: open::open,
    dump: dump::dump,
    reid: reid::reid,
};

/// The row of ext3.
pub const EXT3: Row = Row {
    name: "ext3",
    aliases: &[],
    about: "ext2 with a journal, for systems without extents",
    configure: lay::ext3,
    recognise: |image| open::generation(image) == Some("ext3"),
    resembles: |image| open::resembled(image) == Some("ext3"),
    ..EXT4
};

/// The row of ext2.
pub const EXT2: Row = Row {
    name: "ext2",
    about: "the one without a journal, read by every boot loader",
    configure: lay::ext2,
    recognise: |image| open::generation(image) == Some("ext2"),
    resembles: |image| open::resembled(image) == Some("ext2"),
    ..EXT3
};

fn refusal(kind: RefusalKind, object: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new(NAME, object), reason)
}
