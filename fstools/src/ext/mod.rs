//! ext4: extents, 64bit, flex_bg, metadata_csum, dir_index, as the kernel describes it (`Documentation/filesystems/ext4`;
//! sections `blockgroup`, `super`, `group_descr`, `bitmaps`, `inodes`, `ifork`, `directory`, `attributes`, `journal`).
//!
//! ```text
//! group 0    0        boot sector, superblock at byte 1024
//!            1        group descriptors, a block for 64 groups (8 GiB)
//!            ...      blocks reserved for more of them, listed by inode 7
//!            ...      block bitmaps of groups 0 .. 16
//!            ...      inode bitmaps of groups 0 .. 16
//!            ...      inode tables of groups 0 .. 16, 256 bytes an inode
//!            ...      directories of the whole tree
//!            ...      attributes, long symlinks, journal (inode 8), list of inode 7
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
mod hash;
mod lay;
mod open;
mod options;

use crate::registry::Row;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// The row's name.
const NAME: &str = "ext4";
/// Bytes of a block.
const BLOCK: u64 = 4096;
/// Blocks of a group: the bits of a block.
const BLOCKS_PER_GROUP: u32 = 32_768;
/// Descriptors of 64 bytes in a block.
const DESCRIPTORS_PER_BLOCK: u32 = 64;
/// Bytes of an inode.
const INODE_SIZE: usize = 256;
/// Inodes in a block.
const INODES_PER_BLOCK: u32 = 16;
/// Bytes for attributes in an inode, behind 128 + 32 bytes of fields.
const INODE_XATTRS: usize = 96;
/// Most blocks of a file system: 2^32, less the last group. (The format has more with 64bit.)
const MAX_BLOCKS: u32 = u32::MAX - u32::MAX % BLOCKS_PER_GROUP;
/// Most blocks of a file: logical block numbers have 32 bits, and the kernel keeps one for itself.
const MAX_FILE_BLOCKS: u64 = u32::MAX as u64;
/// Most links of an inode.
const LINK_MAX: u32 = 65_000;
/// Where e2fsck puts files without a name.
const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Blocks of it that exist from the start, because e2fsck cannot rely on free ones.
const LOST_AND_FOUND_BLOCKS: u32 = 4;

/// The row of the registry.
pub const EXT4: Row = Row {
    name: NAME,
    aliases: &["ext"],
    about: "Linux's own file system, read and written by every kernel",
    options: options::HELP,
    limits: &[
        "blocks of 4096 bytes, inodes of 256 bytes",
        "16 TiB for the file system and for a file",
        "65000 hard links of a file",
        "attributes of a file up to 4060 bytes beside those in the inode; user, trusted, security and POSIX ACLs",
        "times from 1901 to 2310 (others are clamped)",
    ],
    configure: lay::configure,
    recognise: open::recognise,
    resembles: open::resembles,
    open: open::open,
    dump: dump::dump,
};

fn refusal(kind: RefusalKind, object: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new(NAME, object), reason)
}
