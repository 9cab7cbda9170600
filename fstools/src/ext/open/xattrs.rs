//! Extended attributes: behind the inode's fields, and in blocks that inodes with equal attributes share. Values in inodes
//! of their own are looked up in `values.rs`.

use super::super::disk::{
    ACL_DISK_VERSION, ACL_XATTR_VERSION, XATTR_MAGIC, XATTR_MAX_REFCOUNT, XATTR_PREFIXES, XattrEntry,
    XattrHeader, incompat, xattr_block_checksum,
};
use super::claims::Claims;
use super::report::{Object, Report};
use super::volume::Volume;
use crate::tree::Xattrs;
use diskwright_formats::bytes::escaped;
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ops::Range;
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// Bytes with attributes in them. `value_offs` counts from their start, where entries begin `first` bytes on.
struct Area<'a> {
    volume: &'a Volume<'a>,
    bytes: &'a [u8],
    first: usize,
    /// Byte position of the area in the image.
    at: u64,
    of: Object,
    /// In a block every entry has its hash, and they are sorted; in an inode the hash may be 0.
    is_block: bool,
}

/// The attributes of an inode or a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    /// Those whose value lies beside them.
    pub(super) near: Xattrs,
    /// Those whose value lies in an inode.
    pub(super) far: Vec<Far>,
}

/// An attribute whose value lies in an inode of its own.
#[derive(Clone, Debug)]
pub(super) struct Far {
    /// Its whole name.
    pub(super) name: Vec<u8>,
    /// The part of it that is stored.
    stored: Vec<u8>,
    /// `e_value_inum`.
    pub(super) ino: u32,
    /// `e_value_size`.
    pub(super) size: u64,
    /// `e_hash`.
    hash: u32,
    /// Whether the value has another form on disk than in the system call.
    pub(super) is_acl: bool,
    /// The structure that refers to it, and the entry's byte position.
    pub(super) of: Object,
    pub(super) at: u64,
}

/// The attributes of an area, and the hash of all entries.
#[derive(Debug, Default)]
struct Read {
    set: Set,
    hash: u32,
}

/// Attributes that are kept in an inode: `bytes` follow its fields, at byte `at` of the image.
pub(super) fn in_inode(volume: &Volume, bytes: &[u8], at: u64, ino: u32, report: &mut Report) -> Set {
    let magic = U32::read_from_prefix(bytes).map_or(0, |(magic, _)| magic.get());
    if magic != XATTR_MAGIC {
        return Set::default();
    }
    let of = Object::Inode(ino);
    let area = Area { volume, bytes: &bytes[4..], first: 0, at: at + 4, of, is_block: false };
    area.read(report).set
}

/// A block of attributes.
#[derive(Debug)]
pub(super) struct Shared {
    set: Set,
    stored: u32,
    counted: u32,
    ino: u32,
}

/// All blocks of attributes by number.
#[derive(Debug, Default)]
pub(super) struct Blocks(BTreeMap<u64, Shared>);

impl Blocks {
    /// The attributes in `block`, for one more inode.
    pub(super) fn get(
        &mut self,
        volume: &Volume,
        block: u64,
        ino: u32,
        claims: &mut Claims,
        report: &mut Report,
    ) -> &Set {
        let shared = self.0.entry(block).or_insert_with(|| {
            claims.add(block, 1, Object::XattrBlock(ino));
            let (set, stored) = match claims.first_visit(block) {
                true => read_block(volume, block, ino, report),
                false => Default::default(),
            };
            Shared { set, stored, counted: 0, ino }
        });
        shared.counted += 1;
        &shared.set
    }

    /// The attributes in a block that an inode asked for.
    pub(super) fn set(&self, block: u64) -> Option<&Set> {
        self.0.get(&block).map(|shared| &shared.set)
    }

    /// Those of all blocks.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Set> {
        self.0.values().map(|shared| &shared.set)
    }

    /// Compares how many inodes were said to use a block with those that do.
    pub(super) fn check(&self, volume: &Volume, report: &mut Report) {
        for (&block, shared) in self.0.iter().filter(|(_, shared)| shared.stored != shared.counted) {
            let at = volume.offset(block) + offset_of!(XattrHeader, h_refcount) as u64;
            let of = Object::XattrBlock(shared.ino);
            report.mismatch(of, at, format_args!("{} references", shared.counted), shared.stored);
        }
    }
}

/// Attributes and reference count.
fn read_block(volume: &Volume, block: u64, ino: u32, report: &mut Report) -> (Set, u32) {
    let (of, at) = (Object::XattrBlock(ino), volume.offset(block));
    let bytes = match volume.read_block(block, of) {
        Ok(bytes) => bytes,
        Err(damage) => {
            report.add(damage);
            return Default::default();
        }
    };
    let (header, _) = XattrHeader::ref_from_prefix(&bytes).expect("a block is longer than the header");
    let magic = header.h_magic.get();
    if magic != XATTR_MAGIC {
        report.value(of, at, format_args!("an xattr block: {XATTR_MAGIC:#x}"), format_args!("{magic:#x}"));
        return Default::default();
    }
    if header.h_blocks.get() != 1 {
        report.value(of, at + offset_of!(XattrHeader, h_blocks) as u64, "1 block", header.h_blocks);
    }
    let count = header.h_refcount.get();
    if count > XATTR_MAX_REFCOUNT {
        let at = at + offset_of!(XattrHeader, h_refcount) as u64;
        report.value(of, at, format_args!("at most {XATTR_MAX_REFCOUNT} references"), count);
    }
    if volume.has_checksums() {
        let at = at + offset_of!(XattrHeader, h_checksum) as u64;
        let computed = xattr_block_checksum(volume.seed, block, &bytes);
        report.checksum(of, at, computed, header.h_checksum.get());
    }
    let area = Area { volume, bytes: &bytes, first: size_of::<XattrHeader>(), at, of, is_block: true };
    let Read { set, hash } = area.read(report);
    // libext2fs leaves it 0: a block that the kernel does not share.
    if header.h_hash.get() != 0 {
        let at = at + offset_of!(XattrHeader, h_hash) as u64;
        report.checksum(of, at, hash, header.h_hash.get());
    }
    (set, count)
}

impl Area<'_> {
    fn read(&self, report: &mut Report) -> Read {
        let mut read = Read::default();
        let mut values: Vec<Range<usize>> = Vec::new();
        let mut before: Option<(u8, usize, Vec<u8>)> = None;
        let mut has_zero_hash = false;
        let mut at = self.first;
        let end = loop {
            let head = self.bytes.get(at..at + 4);
            match head {
                Some([0, 0, 0, 0]) => break at + 4,
                // An inode's attributes may fill it to the last byte but for a part of a word.
                None => {
                    report.value(
                        self.of,
                        self.at + at as u64,
                        "four zero bytes behind the last attribute",
                        "none",
                    );
                    break at;
                }
                Some(_) => {}
            }
            let Some((entry, name)) = self.entry(at, report) else { break at };
            let next = at + size_of::<XattrEntry>() + name.len().next_multiple_of(4);
            let key = (entry.e_name_index, name.len(), name.to_vec());
            if self.is_block && before.as_ref().is_some_and(|before| *before >= key) {
                report.value(self.of, self.at + at as u64, "attributes in order", escaped(name));
            }
            before = Some(key);
            let whole = self.whole_name(&entry, name, at, report);
            if entry.e_value_inum.get() != 0 {
                read.set.far.extend(self.far(&entry, name, whole, at, report));
            } else if let Some(value) = self.value(&entry, at, report) {
                self.check_hash(&entry, name, &value, at, report);
                if let Some(whole) = whole {
                    self.keep(&entry, whole, &value, at, &mut read.set.near, report);
                }
                values.push(value);
            }
            has_zero_hash |= entry.e_hash.get() == 0;
            read.hash = read.hash.rotate_left(16) ^ entry.e_hash.get();
            at = next;
        };
        self.check_overlaps(values, end, report);
        if has_zero_hash {
            read.hash = 0;
        }
        read
    }

    fn entry(&self, at: usize, report: &mut Report) -> Option<(XattrEntry, &[u8])> {
        let rest = &self.bytes[at..];
        let entry = XattrEntry::read_from_prefix(rest).ok().and_then(|(entry, rest)| {
            let name = rest.get(..entry.e_name_len.into())?;
            Some((entry, name))
        });
        if entry.is_none() {
            report.value(
                self.of,
                self.at + at as u64,
                "an attribute within its bytes",
                "one that ends behind",
            );
        }
        entry
    }

    /// An attribute whose value lies in an inode.
    fn far(
        &self,
        entry: &XattrEntry,
        name: &[u8],
        whole: Option<Vec<u8>>,
        at: usize,
        report: &mut Report,
    ) -> Option<Far> {
        let at = self.at + at as u64;
        let ino = entry.e_value_inum.get();
        if !self.volume.incompat(incompat::EA_INODE) {
            report.value(
                self.of,
                at + 4,
                "no value in an inode without ea_inode",
                format_args!("inode {ino}"),
            );
            return None;
        }
        Some(Far {
            name: whole?,
            stored: name.to_vec(),
            ino,
            size: entry.e_value_size.get().into(),
            hash: entry.e_hash.get(),
            is_acl: is_acl(entry.e_name_index),
            of: self.of,
            at,
        })
    }

    /// Where the value lies.
    fn value(&self, entry: &XattrEntry, at: usize, report: &mut Report) -> Option<Range<usize>> {
        let size = entry.e_value_size.get() as usize;
        let start = if size == 0 { 0 } else { usize::from(entry.e_value_offs.get()) };
        let end = start.checked_add(size).filter(|&end| end <= self.bytes.len());
        if end.is_none() {
            let expected = format!("a value within {} bytes", self.bytes.len());
            report.value(self.of, self.at + at as u64 + 2, expected, format_args!("{size} bytes at {start}"));
        }
        Some(start..end?)
    }

    fn check_hash(
        &self,
        entry: &XattrEntry,
        name: &[u8],
        value: &Range<usize>,
        at: usize,
        report: &mut Report,
    ) {
        let stored = entry.e_hash.get();
        let padded = value.start..value.start + value.len().next_multiple_of(4);
        let value = self.bytes.get(padded).unwrap_or(&self.bytes[value.clone()]);
        let computed = entry_hash(name, value, |byte| byte.into());
        // Kernels of machines with signed characters stored another hash for names beyond ASCII.
        let signed = entry_hash(name, value, |byte| byte as i8 as u32);
        if stored == signed || (stored == 0 && !self.is_block) {
            return;
        }
        report.checksum(self.of, self.at + at as u64 + 12, computed, stored);
    }

    /// The name with what its index stands for.
    fn whole_name(&self, entry: &XattrEntry, name: &[u8], at: usize, report: &mut Report) -> Option<Vec<u8>> {
        let at = self.at + at as u64;
        let index = entry.e_name_index;
        let prefix = XATTR_PREFIXES.iter().find(|row| row.0 == index).map(|row| row.1);
        let Some(prefix) = prefix else {
            report.value(self.of, at + 1, "a known name index", index);
            return None;
        };
        let is_whole = is_acl(index) || index == 8;
        if is_whole != name.is_empty() || name.contains(&0) {
            report.value(self.of, at, "a name that fits its index", escaped(name));
            return None;
        }
        Some([prefix, name].concat())
    }

    fn keep(
        &self,
        entry: &XattrEntry,
        whole: Vec<u8>,
        value: &Range<usize>,
        at: usize,
        into: &mut Xattrs,
        report: &mut Report,
    ) {
        let bytes = &self.bytes[value.clone()];
        let value = match is_acl(entry.e_name_index) {
            true => acl(bytes).unwrap_or_else(|| {
                report.value(self.of, self.at + value.start as u64, "an access control list", "other bytes");
                bytes.to_vec()
            }),
            false => bytes.to_vec(),
        };
        if into.contains_key(&whole) {
            report.value(self.of, self.at + at as u64, "every name once", escaped(&whole));
        }
        into.insert(whole, value);
    }

    /// Values lie behind the entries (`end` is the byte behind their terminator) and share no byte.
    fn check_overlaps(&self, mut values: Vec<Range<usize>>, end: usize, report: &mut Report) {
        values.retain(|value| !value.is_empty());
        values.sort_by_key(|value| value.start);
        let mut free = end;
        for value in values {
            if value.start < free {
                let at = self.at + value.start as u64;
                report.value(self.of, at, format_args!("a value from byte {free} on"), value.start);
            }
            free = free.max(value.end);
        }
    }
}

fn is_acl(index: u8) -> bool {
    matches!(index, 2 | 3)
}

/// The hash of an entry whose value lies in an inode is over the name and the hash of the value; there is no such entry
/// without one.
pub(super) fn check_far_hash(far: &Far, hash: u32, report: &mut Report) {
    let computed = entry_hash(&far.stored, &hash.to_le_bytes(), |byte| byte.into());
    let signed = entry_hash(&far.stored, &hash.to_le_bytes(), |byte| byte as i8 as u32);
    if far.hash != signed {
        report.checksum(far.of, far.at + 12, computed, far.hash);
    }
}

/// `e_hash`: over the name and the words of the value.
fn entry_hash(name: &[u8], value: &[u8], char: fn(u8) -> u32) -> u32 {
    let over_name = name.iter().fold(0u32, |hash, &byte| hash.rotate_left(5) ^ char(byte));
    value.chunks(4).fold(over_name, |hash, word| {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        hash.rotate_left(16) ^ u32::from_le_bytes(padded)
    })
}

/// An access control list in the form of the system call, from the form on disk: there only entries of named users and
/// groups have an id.
pub(super) fn acl(disk: &[u8]) -> Option<Vec<u8>> {
    const NAMED: [u16; 2] = [0x02, 0x08];
    const UNNAMED: [u16; 4] = [0x01, 0x04, 0x10, 0x20];
    let (version, mut rest) = U32::read_from_prefix(disk).ok()?;
    let mut form = ACL_XATTR_VERSION.to_le_bytes().to_vec();
    (version.get() == ACL_DISK_VERSION).then_some(())?;
    while !rest.is_empty() {
        let (tag, _) = U16::read_from_prefix(rest).ok()?;
        let len = match tag.get() {
            tag if NAMED.contains(&tag) => 8,
            tag if UNNAMED.contains(&tag) => 4,
            _ => return None,
        };
        form.extend_from_slice(rest.get(..len)?);
        if len == 4 {
            form.extend_from_slice(&[0xFF; 4]);
        }
        rest = &rest[len..];
    }
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gets_its_missing_ids() {
        let disk = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xE8, 3, 0, 0, 0x20, 0, 4, 0];
        let form = acl(&disk).unwrap();
        assert_eq!(form[..4], [2, 0, 0, 0]);
        assert_eq!(form[4..12], [1, 0, 6, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(form[12..20], [2, 0, 4, 0, 0xE8, 3, 0, 0]);
        assert_eq!(form.len(), 28);
        for broken in [&disk[..3], &disk[..10], &[2, 0, 0, 0], &[1, 0, 0, 0, 9, 9, 0, 0]] {
            assert_eq!(acl(broken), None, "{broken:?}");
        }
    }
}
