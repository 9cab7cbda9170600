//! Names of the structures, and the list of what is wrong with them.

use crate::registry::MOST_DAMAGE;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

/// A structure of the file system: whom a block belongs to, and what a damage names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ext) enum Object {
    /// The primary superblock.
    Superblock,
    /// A copy of the superblock in this group.
    SuperblockBackup(u32),
    /// A block of group descriptors: `block` of the table, in the copy that group `copy` holds.
    Descriptors { copy: u32, block: u32 },
    /// The descriptor of this group in the table that counts.
    Descriptor(u32),
    /// The descriptor of `group` in the copy that group `copy` holds.
    DescriptorBackup { group: u32, copy: u32 },
    /// Blocks kept in this group for descriptors of later groups.
    ReservedDescriptors(u32),
    /// Which blocks of this group are in use.
    BlockBitmap(u32),
    /// Which inodes of this group are in use.
    InodeBitmap(u32),
    /// The inodes of this group.
    InodeTable(u32),
    /// An inode by number.
    Inode(u32),
    /// A block of the extent tree of this inode.
    ExtentNode(u32),
    /// A block of block numbers of this inode.
    IndirectBlock(u32),
    /// A block of a directory, by its number in the directory.
    Directory { ino: u32, block: u32 },
    /// An index node of a directory, by its block number in the directory.
    Index { ino: u32, block: u32 },
    /// A block of attributes, and the first inode that uses it.
    XattrBlock(u32),
    /// The target of a symlink that does not fit into its inode.
    Symlink(u32),
    /// The journal, from this of its blocks on.
    Journal(u32),
    /// The orphan file, from this of its blocks on.
    OrphanFile(u32),
    /// The block of multiple mount protection.
    Mmp,
    /// The value of an attribute in an inode of its own, from this of its blocks on.
    XattrValue { ino: u32, block: u32 },
    /// Data of a file, from this of its blocks on.
    Data { ino: u32, block: u32 },
    /// Blocks that a file has but never wrote; they read as zero.
    Unwritten { ino: u32, block: u32 },
}

impl Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Object::Superblock => f.write_str("superblock"),
            Object::SuperblockBackup(group) => write!(f, "group {group}/superblock backup"),
            Object::Descriptors { copy, block } => write!(f, "group {copy}/descriptor table block {block}"),
            Object::Descriptor(group) => write!(f, "group {group}/descriptor"),
            Object::DescriptorBackup { group, copy } => {
                write!(f, "group {copy}/descriptor backup of group {group}")
            }
            Object::ReservedDescriptors(group) => write!(f, "group {group}/reserved descriptor blocks"),
            Object::BlockBitmap(group) => write!(f, "group {group}/block bitmap"),
            Object::InodeBitmap(group) => write!(f, "group {group}/inode bitmap"),
            Object::InodeTable(group) => write!(f, "group {group}/inode table"),
            Object::Inode(ino) => write!(f, "inode {ino}"),
            Object::ExtentNode(ino) => write!(f, "inode {ino}/extent node"),
            Object::IndirectBlock(ino) => write!(f, "inode {ino}/indirect block"),
            Object::Directory { ino, block } => write!(f, "inode {ino}/directory block {block}"),
            Object::Index { ino, block: 0 } => write!(f, "inode {ino}/htree root"),
            Object::Index { ino, block } => write!(f, "inode {ino}/htree node {block}"),
            Object::XattrBlock(ino) => write!(f, "inode {ino}/xattr block"),
            Object::Symlink(ino) => write!(f, "inode {ino}/symlink target"),
            Object::Journal(block) => write!(f, "journal block {block}"),
            Object::OrphanFile(block) => write!(f, "orphan file block {block}"),
            Object::Mmp => f.write_str("mmp block"),
            Object::XattrValue { ino, block } => write!(f, "inode {ino}/xattr value block {block}"),
            Object::Data { ino, block } => write!(f, "inode {ino}/data block {block}"),
            Object::Unwritten { ino, block } => write!(f, "inode {ino}/unwritten block {block}"),
        }
    }
}

impl Object {
    /// The inode that it belongs to.
    fn ino(self) -> Option<u32> {
        match self {
            Object::Inode(ino)
            | Object::ExtentNode(ino)
            | Object::IndirectBlock(ino)
            | Object::XattrBlock(ino)
            | Object::Symlink(ino)
            | Object::Directory { ino, .. }
            | Object::Index { ino, .. }
            | Object::XattrValue { ino, .. }
            | Object::Data { ino, .. }
            | Object::Unwritten { ino, .. } => Some(ino),
            _ => None,
        }
    }
}

/// What was found wrong so far, and with what.
#[derive(Debug)]
pub(in crate::ext) struct Report {
    damage: Vec<(Option<Object>, Damage)>,
    /// What the next mount will do first.
    pending: Vec<String>,
    /// Bytes of the image.
    len: u64,
}

impl Report {
    /// Nothing yet, of an image of `len` bytes.
    pub(in crate::ext) fn new(len: u64) -> Report {
        Report { damage: Vec::new(), pending: Vec::new(), len }
    }

    /// Notes what the next mount will do first, which is no damage.
    pub(in crate::ext) fn pending(&mut self, what: String) {
        self.pending.push(what);
    }

    /// What the next mount will do first.
    pub(in crate::ext) fn take_pending(&mut self) -> Vec<String> {
        std::mem::take(&mut self.pending)
    }

    /// Whether nothing more is collected: whoever loops over the image's own numbers stops here.
    pub(in crate::ext) fn is_full(&self) -> bool {
        self.damage.len() >= MOST_DAMAGE
    }

    /// The damage that was found first.
    pub(in crate::ext) fn first(&self) -> Option<&Damage> {
        self.damage.first().map(|(_, damage)| damage)
    }

    /// The inodes that damages are about.
    pub(in crate::ext) fn inodes(&self) -> BTreeSet<u32> {
        self.damage.iter().filter_map(|(of, _)| of.and_then(Object::ino)).collect()
    }

    /// Everything, in the order in which it was found. `paths`: a path for an inode, where it has one.
    pub(in crate::ext) fn into_damage(self, paths: &BTreeMap<u32, Vec<u8>>) -> Vec<Damage> {
        let with_path = |(of, mut damage): (Option<Object>, Damage)| {
            if let Some(path) = of.and_then(Object::ino).and_then(|ino| paths.get(&ino)) {
                damage.spot.object = format!("{} of {}", damage.spot.object, escaped(path));
            }
            damage
        };
        self.damage.into_iter().map(with_path).collect()
    }

    /// Adds a damage, unless there are [`MOST_DAMAGE`] already.
    pub(in crate::ext) fn add(&mut self, damage: Damage) {
        if !self.is_full() {
            self.damage.push((None, damage));
        }
    }

    /// A field that the format does not allow.
    pub(in crate::ext) fn value(&mut self, of: Object, at: u64, expected: impl Display, found: impl Display) {
        self.put(DamageKind::Value, of, at, expected, found);
    }

    /// A field that contradicts another structure.
    pub(in crate::ext) fn mismatch(
        &mut self,
        of: Object,
        at: u64,
        expected: impl Display,
        found: impl Display,
    ) {
        self.put(DamageKind::Mismatch, of, at, expected, found);
    }

    /// Compares a stored checksum, at byte `at`, with the one that the bytes have.
    pub(in crate::ext) fn checksum(&mut self, of: Object, at: u64, computed: u32, stored: u32) {
        if computed != stored {
            let text = |sum: u32| format!("checksum {sum:#x}");
            self.put(DamageKind::Checksum, of, at, text(computed), text(stored));
        }
    }

    /// Something known that this reader cannot read or check.
    pub(in crate::ext) fn unsupported(&mut self, of: Object, at: u64, what: impl Display) {
        self.put(DamageKind::Unsupported, of, at, "a feature that is known", what);
    }

    fn put(&mut self, kind: DamageKind, of: Object, at: u64, expected: impl Display, found: impl Display) {
        if !self.is_full() {
            // Whatever is wrong with bytes that the image does not have: it is cut off.
            let kind = if at > self.len { DamageKind::Truncated } else { kind };
            self.damage.push((Some(of), damage(kind, of, at, expected, found)));
        }
    }
}

/// One damage of an ext file system; the reader puts the right name of the three in the end.
pub(in crate::ext) fn damage(
    kind: DamageKind,
    of: Object,
    at: u64,
    expected: impl Display,
    found: impl Display,
) -> Damage {
    Damage::new(kind, Spot::new("ext4", of.to_string()), at, expected.to_string(), found.to_string())
}
