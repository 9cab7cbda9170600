//! Attributes whose values lie in inodes of their own (`ea_inode`; kernel documentation, "Extended Attributes", and
//! `fs/ext4/xattr.c`). Such an inode has no name. It keeps the hash of its value where others have the time of access, and
//! the number of entries that refer to it where they have the time of change and the version.
//!
//! Sets of attributes are put together here, when all inodes are known.

use super::super::disk::{Inode as Stored, crc32c, inode_flags};
use super::claims::Claims;
use super::inodes::{Found, Inode};
use super::report::{Object, Report};
use super::volume::Volume;
use super::xattrs::{Far, Set, acl, check_far_hash};
use crate::tree::{Tree, Xattrs, XattrsId};
use diskwright_formats::bytes::escaped;
use std::collections::BTreeMap;
use std::mem::offset_of;

/// Longest value (`EXT4_XATTR_SIZE_MAX`).
const LONGEST: u64 = 1 << 24;
/// Attributes of all sets together take at most so many times the bytes that inodes, blocks and values have: inodes that
/// share long values otherwise multiply them without end.
const MOST_COPIES: u64 = 16;
/// What an attribute costs beside its bytes.
const OVERHEAD: u64 = 64;

/// An inode whose attributes are not all in it.
pub(super) struct Waiting {
    pub(super) ino: u32,
    /// Those that it has itself.
    pub(super) own: Set,
    /// The block with the others.
    pub(super) block: Option<u64>,
}

/// A value in an inode of its own.
#[derive(Debug, Default)]
struct Value {
    /// `None` where it cannot be read.
    bytes: Option<Vec<u8>>,
    /// Its hash as stored; `None` where the inode is not one of these.
    hash: Option<u32>,
    /// Entries that refer to it.
    counted: u64,
}

/// All values that entries refer to, by inode.
struct Values<'a> {
    volume: &'a Volume<'a>,
    inodes: &'a [Inode],
    claims: &'a mut Claims,
    read: BTreeMap<u32, Value>,
}

impl Found<'_> {
    /// Puts the sets of attributes of all inodes together that have some elsewhere, and checks the inodes with values.
    pub(super) fn complete(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Found { volume, claims, report, tree, xattr_blocks, inodes, .. } = self;
        let mut values = Values { volume, inodes, claims, read: BTreeMap::new() };
        // A block counts once, however many inodes share it.
        let own = waiting.iter().flat_map(|waiting| &waiting.own.far);
        for far in own.chain(xattr_blocks.sets().flat_map(|set| &set.far)) {
            values.refer(far, report);
        }
        values.check(report);
        let values = values.read;
        let proven = inodes.len() * volume.inode_size
            + xattr_blocks.sets().count() * volume.block_size
            + values.values().filter_map(|value| value.bytes.as_ref()).map(Vec::len).sum::<usize>();
        let mut sets = Sets { known: BTreeMap::new(), left: (proven as u64 + 4096) * MOST_COPIES };
        for waiting in waiting {
            let at = inodes.binary_search_by_key(&waiting.ino, |inode| inode.ino);
            let inode = &mut inodes[at.expect("it waits because it was read")];
            let block = waiting.block.and_then(|block| xattr_blocks.set(block));
            let of = (waiting.ino, inode.at);
            inode.meta.xattrs = sets.id(waiting, block, &values, of, tree, report);
        }
    }
}

impl Values<'_> {
    /// Counts a reference and compares the entry with what it refers to.
    fn refer(&mut self, far: &Far, report: &mut Report) {
        if !self.read.contains_key(&far.ino) {
            let value = self.value(far, report);
            self.read.insert(far.ino, value);
        }
        let value = self.read.get_mut(&far.ino).expect("just inserted");
        value.counted += 1;
        let Some(hash) = value.hash else {
            let found = format!("inode {} of {}", far.ino, escaped(&far.name));
            return report.mismatch(far.of, far.at + 4, "an inode with the value of an attribute", found);
        };
        check_far_hash(far, hash, report);
        if let Some(bytes) = value.bytes.as_ref().filter(|bytes| bytes.len() as u64 != far.size) {
            let expected = format!("the length of the value in inode {}: {}", far.ino, bytes.len());
            report.mismatch(far.of, far.at + 8, expected, far.size);
        }
    }

    fn find(&self, ino: u32) -> Option<&Inode> {
        let at = self.inodes.binary_search_by_key(&ino, |inode| inode.ino).ok()?;
        self.inodes.get(at).filter(|inode| inode.flags & inode_flags::EA_INODE != 0)
    }

    fn value(&mut self, far: &Far, report: &mut Report) -> Value {
        let Some(inode) = self.find(far.ino).cloned() else { return Value::default() };
        let Some(stored) = self.stored(&inode, report) else { return Value::default() };
        let hash = stored.i_atime.get();
        let bytes = self.bytes(&inode, report);
        if let (Some(bytes), Some(run)) = (&bytes, inode.runs.first()) {
            let of = Object::XattrValue { ino: inode.ino, block: 0 };
            let at = self.volume.offset(run.start);
            report.checksum(of, at, crc32c(self.volume.seed, bytes), hash);
        }
        Value { bytes, hash: Some(hash), counted: 0 }
    }

    /// The fields that inodes with a name use for times.
    fn stored(&self, inode: &Inode, report: &mut Report) -> Option<Stored> {
        let bytes = self.volume.read_at(inode.at, self.volume.inode_size, Object::Inode(inode.ino));
        bytes.map_err(|damage| report.add(damage)).ok().map(|bytes| Stored::read(&bytes))
    }

    /// The whole value. Its blocks are read once, like those of other metadata.
    fn bytes(&mut self, inode: &Inode, report: &mut Report) -> Option<Vec<u8>> {
        let of = Object::Inode(inode.ino);
        let size_at = inode.at + offset_of!(Stored, i_size_lo) as u64;
        if inode.size > LONGEST {
            report.value(of, size_at, format_args!("a value of at most {LONGEST} bytes"), inode.size);
            return None;
        }
        let volume = self.volume;
        let mut bytes = Vec::new();
        for run in &inode.runs {
            let is_next = bytes.len() as u64 == u64::from(run.block) * volume.block_size as u64;
            if !is_next || !run.written {
                break;
            }
            for index in 0..u64::from(run.len) {
                if bytes.len() as u64 >= inode.size {
                    break;
                }
                if !self.claims.first_visit(run.start + index) {
                    return None;
                }
                let of = Object::XattrValue { ino: inode.ino, block: run.block + index as u32 };
                match volume.read_block(run.start + index, of) {
                    Ok(block) => bytes.extend_from_slice(&block),
                    Err(damage) => {
                        report.add(damage);
                        return None;
                    }
                }
            }
        }
        if (bytes.len() as u64) < inode.size {
            let expected = format!("{} bytes without a hole", inode.size);
            report.mismatch(of, size_at, expected, format_args!("{} of them", bytes.len()));
            return None;
        }
        bytes.truncate(inode.size as usize);
        Some(bytes)
    }

    /// Compares the stored numbers of references with those that were counted.
    fn check(&self, report: &mut Report) {
        for inode in self.inodes.iter().filter(|inode| inode.flags & inode_flags::EA_INODE != 0) {
            if report.is_full() {
                return;
            }
            let Some(stored) = self.stored(inode, report) else { continue };
            let of = Object::Inode(inode.ino);
            let counted = self.read.get(&inode.ino).map_or(0, |value| value.counted);
            let references = u64::from(stored.i_ctime.get()) << 32 | u64::from(stored.i_osd1.get());
            if references != counted {
                let at = inode.at + offset_of!(Stored, i_osd1) as u64;
                report.mismatch(of, at, format_args!("{counted} references"), references);
            }
            if inode.links != 1 {
                let at = inode.at + offset_of!(Stored, i_links_count) as u64;
                report.mismatch(of, at, "i_links_count 1 of an attribute's inode", inode.links);
            }
        }
    }
}

/// What an inode's set is made of: its own attributes, those in inodes, the block.
type Parts = (Xattrs, Vec<(Vec<u8>, u32)>, Option<u64>);

/// Sets that were put together.
struct Sets {
    known: BTreeMap<Parts, XattrsId>,
    /// Bytes that further sets may have.
    left: u64,
}

impl Sets {
    fn id(
        &mut self,
        waiting: Waiting,
        block: Option<&Set>,
        values: &BTreeMap<u32, Value>,
        (ino, at): (u32, u64),
        tree: &mut Tree,
        report: &mut Report,
    ) -> XattrsId {
        let Waiting { own, block: number, .. } = waiting;
        let far = own.far.iter().map(|far| (far.name.clone(), far.ino)).collect();
        let parts = (own.near, far, number);
        if let Some(&id) = self.known.get(&parts) {
            return id;
        }
        let of = Object::Inode(ino);
        let far = || own.far.iter().chain(block.into_iter().flat_map(|set| &set.far));
        let near = || parts.0.iter().chain(block.into_iter().flat_map(|set| &set.near));
        let value = |far: &Far| values.get(&far.ino).and_then(|value| value.bytes.as_deref());
        let long = far().map(|far| far.name.len() + value(far).map_or(0, <[u8]>::len));
        let short = near().map(|(name, value)| name.len() + value.len());
        let cost: u64 = long.chain(short).map(|len| len as u64 + OVERHEAD).sum();
        let Some(left) = self.left.checked_sub(cost) else {
            report.unsupported(of, at, format_args!("{cost} bytes of attributes that others share"));
            return XattrsId(0);
        };
        self.left = left;
        let mut all = Xattrs::new();
        let near = near().map(|(name, value)| (name, value.clone()));
        let far = far().filter_map(|far| Some((&far.name, in_call_form(far, value(far)?, report))));
        for (name, value) in near.chain(far.collect::<Vec<_>>()) {
            if all.insert(name.clone(), value).is_some() {
                let at = at + offset_of!(Stored, i_file_acl_lo) as u64;
                report.mismatch(of, at, "every attribute once", escaped(name));
            }
        }
        let id = tree.intern(all);
        self.known.insert(parts, id);
        id
    }
}

/// A value as the system call gives it.
fn in_call_form(far: &Far, value: &[u8], report: &mut Report) -> Vec<u8> {
    if !far.is_acl {
        return value.to_vec();
    }
    acl(value).unwrap_or_else(|| {
        report.value(far.of, far.at, "an access control list", "other bytes");
        value.to_vec()
    })
}
