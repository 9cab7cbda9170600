//! Extended attributes: in the inode first, the rest in a block, large values in inodes of their own
//! (`Documentation/filesystems/ext4/attributes.rst`).

use crate::ext::disk::{
    ACL_DISK_VERSION, ACL_XATTR_VERSION, XATTR_MAGIC, XATTR_MAX_REFCOUNT, XattrEntry, XattrHeader, crc32c,
    xattr_block_checksum,
};
use crate::ext::format::{Feature, Format};
use crate::tree::Xattrs;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem::size_of;
use zerocopy::{FromZeros, IntoBytes};

/// Inodes that share a block.
pub(super) const SHARED: u32 = XATTR_MAX_REFCOUNT;
/// Longest value, in bytes: what the kernel's system calls carry.
const LONGEST: usize = 65_536;

/// A set of attributes as it will be stored, each part in the order of the disk.
#[derive(Debug, Default)]
pub(super) struct Stored<'a> {
    /// In the inode.
    pub(super) inode: Vec<Attribute<'a>>,
    /// In a block.
    pub(super) block: Vec<Attribute<'a>>,
}

/// An attribute in the words of the disk.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Value<'a>,
}

/// Where a value is kept.
#[derive(Debug)]
enum Value<'a> {
    /// Beside its entry.
    Here(Cow<'a, [u8]>),
    /// In an inode of its own, by its place in [`Values`].
    Inode(u32),
}

/// Values with inodes of their own (ea_inode), each kept once.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    by_value: BTreeMap<Cow<'a, [u8]>, u32>,
    /// In the order of their inodes.
    pub(super) list: Vec<Cow<'a, [u8]>>,
}

impl<'a> Values<'a> {
    fn add(&mut self, value: Cow<'a, [u8]>) -> u32 {
        let next = self.list.len() as u32;
        *self.by_value.entry(value).or_insert_with_key(|value| {
            self.list.push(value.clone());
            next
        })
    }

    /// The hash that stands for a value in its inode and in entries.
    pub(super) fn hash(&self, at: u32, seed: u32) -> u32 {
        crc32c(seed, &self.list[at as usize])
    }
}

impl Attribute<'_> {
    /// Entry and value, both padded.
    fn len(&self) -> usize {
        self.entry_len() + self.value_len()
    }

    fn entry_len(&self) -> usize {
        size_of::<XattrEntry>() + self.name.len().next_multiple_of(4)
    }

    fn value_len(&self) -> usize {
        match &self.value {
            Value::Here(value) => value.len().next_multiple_of(4),
            Value::Inode(_) => 0,
        }
    }

    /// The value's place in [`Values`], if it has an inode of its own.
    pub(super) fn in_values(&self) -> Option<u32> {
        match self.value {
            Value::Inode(at) => Some(at),
            Value::Here(_) => None,
        }
    }

    fn full_name(&self) -> Vec<u8> {
        let prefix: &[u8] = match self.index {
            1 => b"user.",
            2 => b"system.posix_acl_access",
            3 => b"system.posix_acl_default",
            4 => b"trusted.",
            _ => b"security.",
        };
        [prefix, self.name].concat()
    }
}

/// Why a set cannot be stored: the attribute and the reason.
pub(super) type Refused = (Vec<u8>, String);

/// Splits a set between inode, block and inodes of their own.
pub(super) fn store<'a>(
    format: &Format,
    xattrs: &'a Xattrs,
    values: &mut Values<'a>,
) -> Result<Stored<'a>, Refused> {
    let mut attributes = Vec::with_capacity(xattrs.len());
    for (name, value) in xattrs {
        if !format.has(Feature::EXT_ATTR) {
            return Err((name.clone(), "extended attributes need the feature ext_attr".to_owned()));
        }
        attributes.push(attribute(name, value).map_err(|reason| (name.clone(), reason))?);
    }
    attributes.sort_by_key(|attribute| (attribute.index, attribute.name.len(), attribute.name));
    // What the kernel needs at every access comes into the inode first: the highest indexes, security and system.
    let mut room = format.inode_attributes().saturating_sub(8);
    let (mut inode, mut block) = (Vec::new(), Vec::new());
    for attribute in attributes.into_iter().rev() {
        if attribute.len() <= room {
            room -= attribute.len();
            inode.push(attribute);
        } else {
            block.push(attribute);
        }
    }
    inode.reverse();
    block.reverse();
    shrink(format, &mut block, values)?;
    Ok(Stored { inode, block })
}

/// Gives the largest values inodes of their own until the rest fits into a block.
fn shrink<'a>(
    format: &Format,
    attributes: &mut [Attribute<'a>],
    values: &mut Values<'a>,
) -> Result<(), Refused> {
    let room = format.block_size as usize - size_of::<XattrHeader>() - 4;
    loop {
        let needed: usize = attributes.iter().map(Attribute::len).sum();
        if needed <= room {
            return Ok(());
        }
        let largest = attributes.iter_mut().rev().max_by_key(|attribute| attribute.value_len());
        let largest = largest.expect("what is too large is not empty");
        let reason = match &mut largest.value {
            Value::Here(value) if format.has(Feature::EA_INODE) && (1..=LONGEST).contains(&value.len()) => {
                largest.value = Value::Inode(values.add(std::mem::take(value)));
                continue;
            }
            Value::Here(value) if format.has(Feature::EA_INODE) && value.len() > LONGEST => {
                format!("a value of {} bytes: at most {LONGEST}", value.len())
            }
            Value::Here(value) if !value.is_empty() => format!(
                "attributes of {needed} bytes: {room} fit beside the inode, more with the feature ea_inode; the \
                 largest has a value of {} bytes",
                value.len()
            ),
            _ => format!("names of {needed} bytes: {room} fit beside the inode"),
        };
        return Err((largest.full_name(), reason));
    }
}

fn attribute<'a>(name: &'a [u8], value: &'a [u8]) -> Result<Attribute<'a>, String> {
    let acl = |index| Ok(Attribute { index, name: b"", value: Value::Here(Cow::Owned(disk_acl(value)?)) });
    let (index, name) = match name {
        b"system.posix_acl_access" => return acl(2),
        b"system.posix_acl_default" => return acl(3),
        _ => [(1, &b"user."[..]), (4, b"trusted."), (6, b"security.")]
            .into_iter()
            .find_map(|(index, prefix)| Some((index, name.strip_prefix(prefix)?)))
            .ok_or("a namespace that ext4 does not have: user, trusted, security and POSIX ACLs are known")?,
    };
    match name.len() {
        1..=255 => Ok(Attribute { index, name, value: Value::Here(Cow::Borrowed(value)) }),
        len => Err(format!("a name of {len} bytes behind its namespace: 1 to 255")),
    }
}

/// An ACL in the form of the disk (version 1: entries without an id are short) from that of the system call (version 2,
/// `struct posix_acl_xattr_header`).
fn disk_acl(value: &[u8]) -> Result<Vec<u8>, String> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    let malformed = || "no ACL of version 2".to_owned();
    let (version, entries) = value.split_first_chunk::<4>().ok_or_else(malformed)?;
    if u32::from_le_bytes(*version) != ACL_XATTR_VERSION || entries.len() % 8 != 0 {
        return Err(malformed());
    }
    let mut disk = ACL_DISK_VERSION.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        match u16::from_le_bytes([entry[0], entry[1]]) {
            USER | GROUP => disk.extend_from_slice(entry),
            0x01 | 0x04 | 0x10 | 0x20 => disk.extend_from_slice(&entry[..4]),
            tag => return Err(format!("an ACL entry with an unknown tag: {tag:#x}")),
        }
    }
    Ok(disk)
}

/// What entries need to know of values with inodes of their own.
#[derive(Clone, Copy)]
pub(super) struct Elsewhere<'a> {
    pub(super) values: &'a Values<'a>,
    /// The inode of the first of them.
    pub(super) first_inode: u32,
    /// What metadata checksums start from.
    pub(super) seed: u32,
}

/// The bytes behind the fields of an inode: empty, or all of them.
pub(super) fn in_inode(format: &Format, attributes: &[Attribute], elsewhere: Elsewhere) -> Box<[u8]> {
    if attributes.is_empty() {
        return Box::default();
    }
    let mut bytes = vec![0; format.inode_attributes()];
    bytes[..4].copy_from_slice(&XATTR_MAGIC.to_le_bytes());
    // Values count from the first entry. The kernel leaves the hashes of values in the inode zero.
    render(attributes, 0, &mut bytes[4..], false, elsewhere);
    bytes.into()
}

/// The block of a set at block number `at`, used by `references` inodes.
pub(super) fn in_block(
    format: &Format,
    attributes: &[Attribute],
    elsewhere: Elsewhere,
    at: u32,
    references: u32,
) -> Vec<u8> {
    let mut bytes = vec![0; format.block_size as usize];
    let hash = render(attributes, size_of::<XattrHeader>(), &mut bytes, true, elsewhere);
    let mut header = XattrHeader::new_zeroed();
    header.h_magic = XATTR_MAGIC.into();
    header.h_refcount = references.into();
    header.h_blocks = 1.into();
    header.h_hash = hash.into();
    bytes[..size_of::<XattrHeader>()].copy_from_slice(header.as_bytes());
    if format.checksums() {
        let checksum = xattr_block_checksum(elsewhere.seed, at.into(), &bytes);
        bytes[0x10..0x14].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

/// Writes entries from `at` up and values from the end down; returns the hash over all entries.
fn render(attributes: &[Attribute], at: usize, out: &mut [u8], hashed: bool, elsewhere: Elsewhere) -> u32 {
    let mut at = at;
    let mut end = out.len();
    let mut hashes = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let mut entry = XattrEntry::new_zeroed();
        entry.e_name_len = attribute.name.len() as u8;
        entry.e_name_index = attribute.index;
        // Names beyond ASCII have two hashes. All kernels and e2fsck take the one of signed characters on x86; Linux before
        // 6.2 and e2fsck before 1.47 take no other there.
        let add = |hash: u32, &byte: &u8| hash.rotate_left(5) ^ byte as i8 as u32;
        let name_hash = attribute.name.iter().fold(0, add);
        match &attribute.value {
            Value::Here(value) => {
                end -= attribute.value_len();
                out[end..][..value.len()].copy_from_slice(value);
                entry.e_value_offs = (if value.is_empty() { 0 } else { end as u16 }).into();
                entry.e_value_size = (value.len() as u32).into();
                entry.e_hash = if hashed { hash_words(name_hash, value) } else { 0 }.into();
            }
            &Value::Inode(value) => {
                entry.e_value_inum = (elsewhere.first_inode + value).into();
                entry.e_value_size = (elsewhere.values.list[value as usize].len() as u32).into();
                let hash = elsewhere.values.hash(value, elsewhere.seed);
                entry.e_hash = (name_hash.rotate_left(16) ^ hash).into();
            }
        }
        hashes.push(entry.e_hash.get());
        out[at..][..size_of::<XattrEntry>()].copy_from_slice(entry.as_bytes());
        out[at + size_of::<XattrEntry>()..][..attribute.name.len()].copy_from_slice(attribute.name);
        at += attribute.entry_len();
    }
    match hashes.contains(&0) {
        true => 0,
        false => hashes.iter().fold(0u32, |hash, entry| hash.rotate_left(16) ^ entry),
    }
}

/// The hash of an entry: of its name, then of its value's words.
fn hash_words(name: u32, value: &[u8]) -> u32 {
    value.chunks(4).fold(name, |hash, bytes| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}
