//! Extended attributes: in the inode first, the rest in a block (`Documentation/filesystems/ext4/attributes.rst`).

use crate::ext::disk::{
    ACL_DISK_VERSION, ACL_XATTR_VERSION, XATTR_MAGIC, XATTR_MAX_REFCOUNT, XattrEntry, XattrHeader,
    xattr_block_checksum,
};
use crate::ext::{BLOCK, INODE_XATTRS};
use crate::tree::Xattrs;
use std::borrow::Cow;
use std::mem::size_of;
use zerocopy::{FromZeros, IntoBytes};

/// Inodes that share a block.
pub(super) const SHARED: u32 = XATTR_MAX_REFCOUNT;

/// A set of attributes as it is stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// Bytes behind the fields of the inode; empty or [`INODE_XATTRS`] long.
    pub(super) inode: Box<[u8]>,
    /// A block without reference count and checksum; empty when all is in the inode.
    pub(super) block: Box<[u8]>,
}

/// An attribute in the words of the disk.
struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
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
        self.value.len().next_multiple_of(4)
    }
}

/// Why a set cannot be stored: the attribute and the reason.
pub(super) type Refused = (Vec<u8>, String);

/// Splits a set between inode and block.
pub(super) fn store(xattrs: &Xattrs) -> Result<Stored, Refused> {
    let mut attributes = Vec::with_capacity(xattrs.len());
    for (name, value) in xattrs {
        attributes.push(attribute(name, value).map_err(|reason| (name.clone(), reason))?);
    }
    attributes.sort_by_key(|attribute| (attribute.index, attribute.name.len(), attribute.name));
    // What the kernel needs at every access comes into the inode first: the highest indexes, security and system.
    let mut room = INODE_XATTRS - 8;
    let mut inside: Vec<bool> = vec![false; attributes.len()];
    for (attribute, inside) in attributes.iter().zip(&mut inside).rev() {
        if attribute.len() <= room {
            room -= attribute.len();
            *inside = true;
        }
    }
    let (mut inode, mut block) = (Vec::new(), Vec::new());
    for (attribute, inside) in attributes.into_iter().zip(inside) {
        if inside { inode.push(attribute) } else { block.push(attribute) }
    }
    Ok(Stored { inode: in_inode(&inode), block: in_block(&block)? })
}

fn attribute<'a>(name: &'a [u8], value: &'a [u8]) -> Result<Attribute<'a>, String> {
    let acl = |index| Ok(Attribute { index, name: b"", value: Cow::Owned(disk_acl(value)?) });
    let (index, name) = match name {
        b"system.posix_acl_access" => return acl(2),
        b"system.posix_acl_default" => return acl(3),
        _ => [(1, &b"user."[..]), (4, b"trusted."), (6, b"security.")]
            .into_iter()
            .find_map(|(index, prefix)| Some((index, name.strip_prefix(prefix)?)))
            .ok_or("a namespace that ext4 does not have: user, trusted, security and POSIX ACLs are known")?,
    };
    match name.len() {
        1..=255 => Ok(Attribute { index, name, value: Cow::Borrowed(value) }),
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

fn in_inode(attributes: &[Attribute]) -> Box<[u8]> {
    if attributes.is_empty() {
        return Box::default();
    }
    let mut bytes = vec![0; INODE_XATTRS];
    bytes[..4].copy_from_slice(&XATTR_MAGIC.to_le_bytes());
    // Values count from the first entry. The kernel leaves the hashes of these entries zero.
    render(attributes, 0, &mut bytes[4..], |_| 0);
    bytes.into()
}

fn in_block(attributes: &[Attribute]) -> Result<Box<[u8]>, Refused> {
    if attributes.is_empty() {
        return Ok(Box::default());
    }
    let room = BLOCK as usize - size_of::<XattrHeader>() - 4;
    let needed: usize = attributes.iter().map(Attribute::len).sum();
    if needed > room {
        let largest = attributes.iter().max_by_key(|attribute| attribute.len()).expect("not empty");
        let reason = format!(
            "attributes of {needed} bytes: {room} fit beside the inode; the largest has a value of {} bytes",
            largest.value.len()
        );
        let prefix: &[u8] = match largest.index {
            1 => b"user.",
            2 => b"system.posix_acl_access",
            3 => b"system.posix_acl_default",
            4 => b"trusted.",
            _ => b"security.",
        };
        return Err(([prefix, largest.name].concat(), reason));
    }
    let mut bytes = vec![0; BLOCK as usize];
    let hash = render(attributes, size_of::<XattrHeader>(), &mut bytes, entry_hash);
    let mut header = XattrHeader::new_zeroed();
    header.h_magic = XATTR_MAGIC.into();
    header.h_blocks = 1.into();
    header.h_hash = hash.into();
    bytes[..size_of::<XattrHeader>()].copy_from_slice(header.as_bytes());
    Ok(bytes.into())
}

/// Writes entries from `at` up and values from the end down; returns the hash over all entries.
fn render(attributes: &[Attribute], at: usize, out: &mut [u8], hash_of: fn(&Attribute) -> u32) -> u32 {
    let mut at = at;
    let mut end = out.len();
    let mut hashes = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let Attribute { index, name, ref value } = *attribute;
        end -= attribute.value_len();
        let hash = hash_of(attribute);
        hashes.push(hash);
        let entry = XattrEntry {
            e_name_len: name.len() as u8,
            e_name_index: index,
            e_value_offs: (if value.is_empty() { 0 } else { end as u16 }).into(),
            e_value_inum: 0.into(),
            e_value_size: (value.len() as u32).into(),
            e_hash: hash.into(),
        };
        out[at..][..size_of::<XattrEntry>()].copy_from_slice(entry.as_bytes());
        out[at + size_of::<XattrEntry>()..][..name.len()].copy_from_slice(name);
        out[end..][..value.len()].copy_from_slice(value);
        at += attribute.entry_len();
    }
    match hashes.contains(&0) {
        true => 0,
        false => hashes.iter().fold(0u32, |hash, entry| hash.rotate_left(16) ^ entry),
    }
}

fn entry_hash(attribute: &Attribute) -> u32 {
    let name = attribute.name.iter().fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
    attribute.value.chunks(4).fold(name, |hash, bytes| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

/// The block of a set at block number `at`, used by `references` inodes.
pub(super) fn block(stored: &Stored, at: u32, references: u32, seed: u32) -> Vec<u8> {
    let mut bytes = stored.block.to_vec();
    bytes[4..8].copy_from_slice(&references.to_le_bytes());
    let checksum = xattr_block_checksum(seed, at.into(), &bytes);
    bytes[0x10..0x14].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
