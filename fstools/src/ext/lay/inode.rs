//! Inodes: a compact record for each, and the tables made from them.

use super::blocks::{digest_of, fill_blocks};
use super::extents::{Run, render};
use super::indirect::WORDS;
use crate::ext::LINK_MAX;
use crate::ext::disk::{
    EXTENTS_IN_INODE, EXTRA_ISIZE, GOOD_OLD_INODE_SIZE, Inode, LATEST_SAFE_TIME, MIN_TIME, encode_time,
    inode_checksum, inode_flags, inode_seed, mode,
};
use crate::ext::format::Format;
use crate::tree::{Kind, Meta};
use diskwright_formats::layout::{Fill, Key};
use std::sync::OnceLock;
use zerocopy::{FromZeros, IntoBytes};

/// What `i_block` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing: fifos, sockets, reserved inodes.
    Nothing,
    /// One extent from the start of the file, as most have. `indexed`: of a directory with an index.
    Extent { start: u32, len: u16, indexed: bool },
    /// The root of an extent tree: entries of [`Inodes::runs`].
    Tree { first: u32, count: u8, depth: u8, indexed: bool },
    /// Blocks one after the other, all listed in the inode.
    Direct { start: u32, len: u16, indexed: bool },
    /// A block map: one of [`Inodes::maps`].
    Map { at: u32, indexed: bool },
    /// The target of a symlink: bytes of [`Inodes::texts`].
    Text { first: u32, len: u8 },
    /// A device.
    Device { major: u16, minor: u32 },
    /// A double indirect block.
    Indirect(u32),
}

/// An inode in use.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) mode: u16,
    pub(super) links: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The one time, with its extra word.
    pub(super) time: (u32, u32),
    pub(super) size: u64,
    /// Blocks of data, extent tree and attributes.
    pub(super) blocks: u32,
    /// The set of attributes in the inode, by [`XattrsId`](crate::tree::XattrsId).
    pub(super) xattrs: u32,
    /// The block of the other attributes.
    pub(super) acl: u32,
    pub(super) body: Body,
}

// A million of them stand in memory.
const _: () = assert!(std::mem::size_of::<Record>() <= 48);

impl Record {
    /// An inode of ours: root's.
    pub(super) fn ours(mode: u16, links: u16, sec: i64) -> Record {
        let meta = Meta {
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: crate::tree::Time::seconds(sec),
            xattrs: Default::default(),
        };
        Record { mode, ..Record::of(&meta, 0, u32::from(links), LATEST_SAFE_TIME) }
    }

    /// An inode of the tree without its body. Times out of range are clamped.
    pub(super) fn of(meta: &Meta, type_bits: u16, links: u32, latest: i64) -> Record {
        let sec = meta.mtime.sec.clamp(MIN_TIME, latest);
        let nsec = if sec == meta.mtime.sec { meta.mtime.nsec.min(999_999_999) } else { 0 };
        let (low, extra) = encode_time(sec, nsec);
        Record {
            mode: type_bits | meta.mode,
            // A directory with more subdirectories than can be counted says 1 (dir_nlink); files were refused.
            links: if links > LINK_MAX { 1 } else { links as u16 },
            uid: meta.uid,
            gid: meta.gid,
            time: (low.get(), extra.get()),
            size: 0,
            blocks: 0,
            xattrs: meta.xattrs.0,
            acl: 0,
            body: Body::Nothing,
        }
    }

    /// An inode that is reserved and not in use.
    pub(super) fn unused() -> Record {
        Record::ours(0, 0, 0)
    }
}

/// The latest time that an inode of this format holds: 2038-01-19 in inodes of 128 bytes.
pub(super) fn latest_time(format: &Format) -> i64 {
    if usize::from(format.inode_size) == GOOD_OLD_INODE_SIZE { i32::MAX.into() } else { LATEST_SAFE_TIME }
}

/// The type bits of a node's mode.
pub(super) fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory(_) => mode::DIRECTORY,
        Kind::File(_) => mode::REGULAR,
        Kind::Symlink(_) => mode::SYMLINK,
        Kind::CharDevice { .. } => mode::CHAR,
        Kind::BlockDevice { .. } => mode::BLOCK,
        Kind::Fifo => mode::FIFO,
        Kind::Socket => mode::SOCKET,
    }
}

/// All inodes in use, and the tables that they make: the inode of number `n` lies at byte `(n - 1) * s_inode_size`.
pub(super) struct Inodes {
    pub(super) format: Format,
    pub(super) seed: u32,
    pub(super) records: Vec<Record>,
    /// Roots of extent trees.
    pub(super) runs: Vec<Run>,
    /// `i_block` of block maps.
    pub(super) maps: Vec<[u32; WORDS]>,
    /// Targets of symlinks.
    pub(super) texts: Vec<u8>,
    /// Attributes in inodes, by set.
    pub(super) xattrs: Vec<Box<[u8]>>,
    /// The inode of the first value of an attribute, and of each its hash and how often entries refer to it.
    pub(super) values: (u32, Vec<(u32, u32)>),
    pub(super) key: OnceLock<[u8; 32]>,
}

impl Inodes {
    fn inode(&self, number: u32, record: &Record, out: &mut [u8]) {
        let fields = self.format.inode_fields();
        if record.links > 0 {
            out[..fields].copy_from_slice(&self.fields(number, record).as_bytes()[..fields]);
            let xattrs = self.xattrs.get(record.xattrs as usize).map_or(&[][..], |xattrs| xattrs);
            let at = out.len() - xattrs.len();
            out[at..].copy_from_slice(xattrs);
        }
        if self.format.checksums() {
            let checksum = inode_checksum(inode_seed(self.seed, number, 0), out);
            out[0x7C..0x7E].copy_from_slice(&checksum.to_le_bytes()[..2]);
            if record.links > 0 && fields > GOOD_OLD_INODE_SIZE {
                out[0x82..0x84].copy_from_slice(&checksum.to_le_bytes()[2..]);
            }
        }
    }

    fn fields(&self, number: u32, record: &Record) -> Inode {
        let mut inode = Inode::new_zeroed();
        let (time, extra) = (record.time.0.into(), record.time.1.into());
        (inode.i_atime, inode.i_ctime, inode.i_mtime, inode.i_crtime) = (time, time, time, time);
        (inode.i_atime_extra, inode.i_ctime_extra) = (extra, extra);
        (inode.i_mtime_extra, inode.i_crtime_extra) = (extra, extra);
        inode.i_mode = record.mode.into();
        inode.i_links_count = record.links.into();
        inode.i_uid = (record.uid as u16).into();
        inode.i_uid_hi = ((record.uid >> 16) as u16).into();
        inode.i_gid = (record.gid as u16).into();
        inode.i_gid_hi = ((record.gid >> 16) as u16).into();
        inode.i_size_lo = (record.size as u32).into();
        inode.i_size_high = ((record.size >> 32) as u32).into();
        let sectors = u64::from(record.blocks) * (self.format.block() / 512);
        inode.i_blocks_lo = (sectors as u32).into();
        inode.i_blocks_hi = ((sectors >> 32) as u16).into();
        inode.i_file_acl_lo = record.acl.into();
        inode.i_extra_isize = EXTRA_ISIZE.into();
        let index = |indexed| if indexed { inode_flags::INDEX } else { 0 };
        let flags = match record.body {
            Body::Extent { indexed, .. } | Body::Tree { indexed, .. } => {
                inode_flags::EXTENTS | index(indexed)
            }
            Body::Direct { indexed, .. } | Body::Map { indexed, .. } => index(indexed),
            _ => 0,
        };
        inode.i_flags = flags.into();
        self.body(record.body, &mut inode.i_block);
        let (first, values) = &self.values;
        let value = number.checked_sub(*first).and_then(|at| values.get(at as usize));
        if let Some(&(hash, references)) = value {
            // Times of such an inode hold other things (`EXT4_EA_INODE_FL`).
            inode.i_flags |= inode_flags::EA_INODE;
            inode.i_atime = hash.into();
            inode.i_ctime = 0.into();
            inode.i_osd1 = references.into();
        }
        inode
    }

    fn body(&self, body: Body, out: &mut [u8; 60]) {
        match body {
            Body::Nothing => {}
            Body::Extent { start, len, .. } => {
                render(&[Run { logical: 0, start, len: len.into() }], 0, EXTENTS_IN_INODE, out);
            }
            Body::Tree { first, count, depth, .. } => {
                let entries = &self.runs[first as usize..][..usize::from(count)];
                render(entries, depth, EXTENTS_IN_INODE, out);
            }
            Body::Direct { start, len, .. } => {
                for (word, block) in out.chunks_exact_mut(4).zip(start..start + u32::from(len)) {
                    word.copy_from_slice(&block.to_le_bytes());
                }
            }
            Body::Map { at, .. } => {
                for (word, block) in out.chunks_exact_mut(4).zip(self.maps[at as usize]) {
                    word.copy_from_slice(&block.to_le_bytes());
                }
            }
            Body::Text { first, len } => {
                let len = usize::from(len);
                out[..len].copy_from_slice(&self.texts[first as usize..][..len]);
            }
            Body::Device { major, minor } if major < 256 && minor < 256 => {
                out[..4].copy_from_slice(&(u32::from(major) << 8 | minor).to_le_bytes());
            }
            Body::Device { major, minor } => {
                let device = minor & 0xFF | u32::from(major) << 8 | (minor & !0xFF) << 12;
                out[4..8].copy_from_slice(&device.to_le_bytes());
            }
            Body::Indirect(block) => out[13 * 4..14 * 4].copy_from_slice(&block.to_le_bytes()),
        }
    }

    /// `i_block` of an inode.
    pub(super) fn block_of(&self, number: u32) -> [u8; 60] {
        let mut bytes = [0; 60];
        self.body(self.records[number as usize - 1].body, &mut bytes);
        bytes
    }

    fn block(&self, at: u64, block: &mut [u8]) {
        let first = at as u32 * self.format.inodes_per_block();
        let records = self.records.get(first as usize..).unwrap_or(&[]);
        let slots = block.chunks_exact_mut(self.format.inode_size.into());
        for ((number, record), out) in (first + 1..).zip(records).zip(slots) {
            self.inode(number, record, out);
        }
    }
}

impl Fill for Inodes {
    fn key(&self) -> Key {
        let len = self.records.len() as u64 * u64::from(self.format.inode_size);
        let digest = || digest_of(len, |at, buffer| self.fill(at, buffer));
        Key { format: "ext4 inodes", digest: *self.key.get_or_init(digest) }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        fill_blocks(self.format.block_size, argument, buffer, |at, block| self.block(at, block));
    }
}
