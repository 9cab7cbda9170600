//! Inodes: every table is read from its start to the last inode that may be in use.

use super::super::disk::{
    GOOD_OLD_INODE_SIZE, Inode as Stored, compat, decode_time, incompat, ino, inode_checksum, inode_flags,
    inode_seed, mode, ro_compat,
};
use super::blocks::{Map, Of, Run, block_map, extents};
use super::claims::Claims;
use super::groups::Group;
use super::report::{Object, Report};
use super::values::Waiting;
use super::volume::Volume;
use super::{resize, xattrs};
use crate::tree::{Meta, Time, Tree, XattrsId};
use diskwright_formats::bytes::is_zero;
use std::collections::BTreeSet;
use std::mem::offset_of;

/// Tables are read in parts of this many bytes (or an inode, if that is longer).
const PART: usize = 256 << 10;

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ext) enum Shape {
    Directory,
    File,
    Symlink(Box<[u8]>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Socket,
    /// Type bits that mean nothing, or a reserved inode without any.
    Unknown,
}

/// An inode in use.
#[derive(Clone, Debug)]
pub(in crate::ext) struct Inode {
    pub(in crate::ext) ino: u32,
    /// Byte position.
    pub(in crate::ext) at: u64,
    /// `i_mode`.
    pub(in crate::ext) mode: u16,
    /// `i_links_count`.
    pub(in crate::ext) links: u16,
    /// `i_flags`.
    pub(in crate::ext) flags: u32,
    /// What checksums of its blocks start from.
    pub(in crate::ext) seed: u32,
    /// Length in bytes.
    pub(in crate::ext) size: u64,
    pub(in crate::ext) meta: Meta,
    pub(in crate::ext) shape: Shape,
    /// Its blocks.
    pub(in crate::ext) runs: Box<[Run]>,
}

impl Inode {
    /// Whether no directory may name it: it belongs to the file system itself, holds the value of an
    /// attribute, or waits to be deleted.
    pub(super) fn is_nameless(&self, volume: &Volume) -> bool {
        let superblock = &volume.superblock;
        let hidden = [&superblock.s_orphan_file_inum, &superblock.s_prj_quota_inum];
        self.ino != ino::ROOT
            && (self.flags & inode_flags::EA_INODE != 0
                || self.links == 0
                || self.ino < volume.first_ino
                || hidden.iter().any(|hidden| hidden.get() == self.ino))
    }
}

/// Everything that reading inodes fills.
pub(super) struct Found<'a> {
    pub(super) volume: &'a Volume<'a>,
    pub(super) claims: &'a mut Claims,
    pub(super) report: &'a mut Report,
    /// Holds sets of attributes.
    pub(super) tree: &'a mut Tree,
    pub(super) xattr_blocks: xattrs::Blocks,
    /// Inodes that wait to be deleted or cut.
    pub(super) orphans: BTreeSet<u32>,
    /// Inodes with attributes elsewhere.
    pub(super) waiting: Vec<Waiting>,
    /// Sorted by number.
    pub(super) inodes: Vec<Inode>,
}

impl Found<'_> {
    /// Reads the tables of all groups.
    pub(super) fn read_tables(&mut self, groups: &[Group]) {
        for (number, group) in (0..).zip(groups) {
            let Some(table) = group.inode_table else { continue };
            if self.report.is_full() {
                return;
            }
            self.read_table(number, self.volume.offset(table), group.inodes_to_read(self.volume));
        }
        self.xattr_blocks.check(self.volume, self.report);
        self.complete();
    }

    fn read_table(&mut self, group: u32, start: u64, count: u32) {
        let size = self.volume.inode_size;
        let per_part = (PART / size).max(1) as u32;
        for first in (0..count).step_by(per_part as usize) {
            let len = (count - first).min(per_part) as usize * size;
            let at = start + u64::from(first) * size as u64;
            let bytes = match self.volume.read_at(at, len, Object::InodeTable(group)) {
                Ok(bytes) => bytes,
                Err(damage) => return self.report.add(damage),
            };
            // A part without inodes is the common one in the tables of an empty file system.
            if is_zero(&bytes) {
                continue;
            }
            let first = group * self.volume.inodes_per_group + first + 1;
            for (index, bytes) in (0..).zip(bytes.chunks_exact(size)) {
                if !is_zero(bytes) {
                    self.read_inode(first + index, bytes, at + u64::from(index) * size as u64);
                }
            }
            if self.report.is_full() {
                return;
            }
        }
    }

    fn read_inode(&mut self, ino: u32, bytes: &[u8], at: u64) {
        let stored = Stored::read(bytes);
        let seed = inode_seed(self.volume.seed, ino, stored.i_generation.get());
        self.check_sum(ino, bytes, &stored, seed, at);
        let reserved = ino < self.volume.first_ino;
        if stored.i_links_count.get() == 0 && !reserved && !self.orphans.contains(&ino) {
            let (at, dtime) = (at + offset_of!(Stored, i_dtime) as u64, stored.i_dtime.get());
            if stored.i_mode.get() != 0 && dtime == 0 {
                self.report.value(Object::Inode(ino), at, "a time of deletion, or a link", 0);
            } else if dtime != 0 && self.is_number(dtime) {
                let expected = "a time of deletion, or a place in the list of orphans";
                self.report.value(Object::Inode(ino), at, expected, dtime);
            }
            return;
        }
        let mut found = Examined { at, ino, seed, stored: &stored, bytes, found: self };
        if let Some(inode) = found.examine() {
            self.inodes.push(inode);
        }
    }

    /// Whether a time of deletion is the number of the next orphan instead, as far as times and numbers can be told apart.
    fn is_number(&self, dtime: u32) -> bool {
        let superblock = &self.volume.superblock;
        let times = [superblock.s_mkfs_time.get(), superblock.s_wtime.get()];
        let inodes = self.volume.inodes();
        dtime < inodes && times.iter().all(|&time| time > inodes)
    }

    fn check_sum(&mut self, ino: u32, bytes: &[u8], stored: &Stored, seed: u32, at: u64) {
        if !self.volume.has_checksums() {
            return;
        }
        let has_high = bytes.len() > GOOD_OLD_INODE_SIZE && stored.i_extra_isize.get() >= 4;
        let (low, high) = (u32::from(stored.i_checksum_lo.get()), u32::from(stored.i_checksum_hi.get()));
        let computed = inode_checksum(seed, bytes);
        let (computed, sum) = if has_high { (computed, low | high << 16) } else { (computed & 0xFFFF, low) };
        let at = at + offset_of!(Stored, i_checksum_lo) as u64;
        self.report.checksum(Object::Inode(ino), at, computed, sum);
    }
}

/// An inode in use, being read.
struct Examined<'a, 'b> {
    at: u64,
    ino: u32,
    seed: u32,
    stored: &'a Stored,
    bytes: &'a [u8],
    found: &'a mut Found<'b>,
}

macro_rules! at {
    ($self:expr, $field:ident) => {
        $self.at + offset_of!(Stored, $field) as u64
    };
}

impl Examined<'_, '_> {
    fn examine(&mut self) -> Option<Inode> {
        let volume = self.found.volume;
        let stored = self.stored;
        let of = Object::Inode(self.ino);
        if stored.i_mode.get() == 0 && self.ino < volume.first_ino && is_zero(&stored.i_block) {
            self.check_zeros();
            self.check_reserved();
            return None;
        }
        self.check_fields();
        self.check_zeros();
        self.check_reserved();
        let map = self.map();
        let kind = stored.i_mode.get() & mode::TYPE;
        let is_file = kind == mode::REGULAR || self.ino < volume.first_ino && kind != mode::DIRECTORY;
        let size = match is_file || kind == mode::DIRECTORY && volume.incompat(incompat::LARGEDIR) {
            true => stored.size(),
            false => stored.i_size_lo.get().into(),
        };
        let shape = self.shape(kind, size, &map);
        self.claim(&shape, &map);
        let (xattrs, far) = self.xattrs();
        self.check_blocks(&map, far);
        self.check_size(&shape, size, &map);
        let (sec, nsec) = decode_time(stored.i_mtime, stored.i_mtime_extra);
        if nsec >= 1_000_000_000 {
            self.found.report.value(of, at!(self, i_mtime_extra), "less than 10^9 nanoseconds", nsec);
        }
        let meta = Meta {
            mode: stored.i_mode.get() & 0o7777,
            uid: stored.uid(),
            gid: stored.gid(),
            mtime: Time { sec, nsec: nsec.min(999_999_999) },
            xattrs,
        };
        let flags = stored.i_flags.get();
        let links = stored.i_links_count.get();
        let (ino, at, seed, mode) = (self.ino, self.at, self.seed, stored.i_mode.get());
        Some(Inode { ino, at, mode, links, flags, seed, size, meta, shape, runs: map.runs.into() })
    }

    fn check_fields(&mut self) {
        let stored = self.stored;
        let volume = self.found.volume;
        let of = Object::Inode(self.ino);
        let flags = stored.i_flags.get();
        let is_orphan = self.found.orphans.contains(&self.ino);
        if stored.i_dtime.get() != 0 && stored.i_links_count.get() > 0 && !is_orphan {
            self.found.report.value(of, at!(self, i_dtime), "no time of deletion with links", stored.i_dtime);
        }
        let room = volume.inode_size - GOOD_OLD_INODE_SIZE;
        let extra = if room == 0 { 0 } else { usize::from(stored.i_extra_isize.get()) };
        if extra > room || !extra.is_multiple_of(4) {
            let expected = format!("a multiple of 4 up to {room}");
            self.found.report.value(of, at!(self, i_extra_isize), expected, extra);
        }
        let strange = [
            (inode_flags::INLINE_DATA, "inline_data"),
            (inode_flags::ENCRYPT, "encrypt"),
            (inode_flags::CASEFOLD, "casefold"),
        ];
        for (_, name) in strange.iter().filter(|row| flags & row.0 != 0) {
            self.found.report.unsupported(of, at!(self, i_flags), format_args!("inode flag {name}"));
        }
        let is_value = flags & inode_flags::EA_INODE != 0;
        let is_regular = stored.i_mode.get() & mode::TYPE == mode::REGULAR;
        if is_value && !(is_regular && volume.incompat(incompat::EA_INODE)) {
            let expected = "the value of an attribute in regular inodes only, with ea_inode";
            self.found.report.value(of, at!(self, i_flags), expected, "ea_inode");
        }
        let extents = flags & inode_flags::EXTENTS != 0;
        if extents && !volume.incompat(incompat::EXTENTS) {
            self.found.report.value(of, at!(self, i_flags), "no extents without the feature", "extents");
        }
        let is_directory = stored.i_mode.get() & mode::TYPE == mode::DIRECTORY;
        if flags & inode_flags::INDEX != 0 && !(is_directory && volume.compat(compat::DIR_INDEX)) {
            let expected = "an index in directories only, with dir_index";
            self.found.report.value(of, at!(self, i_flags), expected, "index");
        }
    }

    /// Fields that are zero unless the type of inode or a feature uses them.
    fn check_zeros(&mut self) {
        const IMMUTABLE_OR_APPEND: u32 = 0x30;
        const IMAGIC: u32 = 0x2000;
        let (stored, volume) = (self.stored, self.found.volume);
        let kind = stored.i_mode.get() & mode::TYPE;
        let is_special = !matches!(kind, 0 | mode::REGULAR | mode::DIRECTORY);
        let has_high_size = match kind {
            mode::DIRECTORY => volume.incompat(incompat::LARGEDIR),
            _ => !is_special,
        };
        let flags = stored.i_flags.get();
        let is_unused = |is_zero: bool, at: u64, name: &'static str| (!is_zero).then_some((at, name));
        let unused = [
            is_unused(stored.i_obso_faddr.get() == 0, at!(self, i_obso_faddr), "i_obso_faddr"),
            is_unused(has_high_size || stored.i_size_high.get() == 0, at!(self, i_size_high), "i_size_high"),
            is_unused(
                volume.ro_compat(ro_compat::HUGE_FILE) || stored.i_blocks_hi.get() == 0,
                at!(self, i_blocks_hi),
                "i_blocks_hi",
            ),
            is_unused(
                !is_special || flags & IMMUTABLE_OR_APPEND == 0,
                at!(self, i_flags),
                "the flags immutable and append_only",
            ),
            is_unused(flags & IMAGIC == 0, at!(self, i_flags), "the flag imagic"),
            is_unused(self.ino != ino::BAD_BLOCKS || self.has_blocks_alone(), self.at, "all but its blocks"),
        ];
        for (at, name) in unused.into_iter().flatten() {
            let expected = format!("{name} 0 in an inode of this type");
            self.found.report.value(Object::Inode(self.ino), at, expected, "another value");
        }
    }

    /// Reserved inodes but the root are regular or unused; the one that lists reserved descriptors is the owner's alone.
    fn check_reserved(&mut self) {
        const LIST: u16 = mode::REGULAR | 0o600;
        let (stored, volume) = (self.stored, self.found.volume);
        if self.ino >= volume.first_ino || self.ino == ino::ROOT {
            return;
        }
        let (kind, of) = (stored.i_mode.get(), Object::Inode(self.ino));
        let is_empty = stored.i_links_count.get() == 0 && is_zero(&stored.i_block) && kind == 0;
        let superblock = &volume.superblock;
        let is_used = match self.ino {
            ino::JOURNAL => superblock.s_journal_inum.get() == self.ino,
            ino::USER_QUOTA => superblock.s_usr_quota_inum.get() == self.ino,
            ino::GROUP_QUOTA => superblock.s_grp_quota_inum.get() == self.ino,
            _ => true,
        };
        if !is_used && !is_empty || is_empty && stored.blocks() != 0 {
            self.found.report.value(of, self.at, "an empty inode where the superblock names none", "data");
        }
        let dtime = stored.i_dtime.get();
        if dtime != 0 && stored.i_links_count.get() == 0 && self.found.is_number(dtime) {
            self.found.report.value(of, at!(self, i_dtime), "no orphan among reserved inodes", dtime);
        }
        if !matches!(kind & mode::TYPE, 0 | mode::REGULAR) {
            let found = format!("{kind:#o}");
            self.found.report.value(of, at!(self, i_mode), "a regular or unused reserved inode", found);
        }
        let lists = self.ino == ino::RESIZE && volume.compat(compat::RESIZE_INODE);
        if lists && (kind != LIST || stored.i_links_count.get() != 1) {
            let found = format!("{kind:#o}, links {}", stored.i_links_count);
            self.found.report.value(of, at!(self, i_mode), format_args!("{LIST:#o}, links 1"), found);
        }
    }

    /// The inode of bad blocks has no type, owner, link or attribute.
    fn has_blocks_alone(&self) -> bool {
        let stored = self.stored;
        let fields = [stored.i_mode, stored.i_links_count];
        fields.iter().all(|field| field.get() == 0)
            && (stored.uid(), stored.gid(), stored.file_acl(), stored.i_dtime.get()) == (0, 0, 0, 0)
    }

    /// Whether the type of inode keeps blocks in `i_block`.
    fn has_map(&self) -> bool {
        let stored = self.stored;
        let reserved = self.ino < self.found.volume.first_ino;
        match stored.i_mode.get() & mode::TYPE {
            mode::REGULAR | mode::DIRECTORY => true,
            mode::SYMLINK => self.is_slow_symlink(),
            0 => reserved,
            _ => false,
        }
    }

    fn is_slow_symlink(&self) -> bool {
        self.stored.i_size_lo.get() as usize >= self.stored.i_block.len()
            || self.stored.i_flags.get() & inode_flags::EXTENTS != 0
    }

    fn map(&mut self) -> Map {
        let unreadable = inode_flags::INLINE_DATA;
        if !self.has_map() || self.stored.i_flags.get() & unreadable != 0 {
            return Map::default();
        }
        let of = Of { volume: self.found.volume, ino: self.ino, seed: self.seed, at: at!(self, i_block) };
        let Found { volume, claims, report, .. } = &mut *self.found;
        if self.ino == ino::RESIZE && volume.compat(compat::RESIZE_INODE) {
            return resize::read(&of, &self.stored.i_block, claims, report);
        }
        match self.stored.i_flags.get() & inode_flags::EXTENTS {
            0 => block_map(&of, &self.stored.i_block, claims, report),
            _ => extents(&of, &self.stored.i_block, claims, report),
        }
    }

    fn shape(&mut self, kind: u16, size: u64, map: &Map) -> Shape {
        match kind {
            mode::REGULAR => Shape::File,
            mode::DIRECTORY => Shape::Directory,
            mode::SYMLINK => Shape::Symlink(self.target(size, map)),
            mode::CHAR | mode::BLOCK => self.device(kind == mode::CHAR),
            mode::FIFO | mode::SOCKET => {
                self.check_unused(&self.stored.i_block, 0);
                if kind == mode::FIFO { Shape::Fifo } else { Shape::Socket }
            }
            0 if self.ino < self.found.volume.first_ino => Shape::Unknown,
            _ => {
                let found = format!("{:#o}", self.stored.i_mode);
                self.found.report.value(Object::Inode(self.ino), at!(self, i_mode), "a type of file", found);
                Shape::Unknown
            }
        }
    }

    /// The words of `i_block` that a device, pipe or socket does not use are zero.
    fn check_unused(&mut self, unused: &[u8], from: usize) {
        let of = Object::Inode(self.ino);
        if let Some(byte) = unused.iter().position(|&byte| byte != 0) {
            let at = at!(self, i_block) + (from + byte) as u64;
            self.found.report.value(of, at, "zeros behind the device number", unused[byte]);
        }
        if self.stored.i_flags.get() & (inode_flags::EXTENTS | inode_flags::INDEX) != 0 {
            self.found.report.value(
                of,
                at!(self, i_flags),
                "no blocks in a special file",
                "extents or index",
            );
        }
    }

    /// The numbers in the old form (8 bits each) or, if that is zero, in the new one (12 and 20 bits).
    fn device(&mut self, is_char: bool) -> Shape {
        let stored = self.stored;
        let [old, new] = [0, 4].map(|at| {
            let word: [u8; 4] = stored.i_block[at..at + 4].try_into().expect("4 bytes");
            u32::from_le_bytes(word)
        });
        self.check_unused(&stored.i_block[8..], 8);
        let (major, minor) = match old {
            0 => (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00),
            _ => (old >> 8 & 0xFF, old & 0xFF),
        };
        if is_char { Shape::CharDevice { major, minor } } else { Shape::BlockDevice { major, minor } }
    }

    fn target(&mut self, size: u64, map: &Map) -> Box<[u8]> {
        let of = Object::Inode(self.ino);
        let volume = self.found.volume;
        let whole = match map.runs.first() {
            _ if !self.is_slow_symlink() => self.stored.i_block.to_vec(),
            Some(run) if map.runs.len() == 1 && run.block == 0 && run.len == 1 && run.written => {
                let of = Object::Symlink(self.ino);
                match self.found.claims.first_visit(run.start).then(|| volume.read_block(run.start, of)) {
                    Some(Ok(block)) => block,
                    Some(Err(damage)) => {
                        self.found.report.add(damage);
                        return [].into();
                    }
                    None => return [].into(),
                }
            }
            _ => {
                self.found.report.value(of, at!(self, i_block), "a symlink in one block", "another map");
                return [].into();
            }
        };
        let len = whole.iter().position(|&byte| byte == 0).unwrap_or(whole.len());
        if len as u64 != size || len == 0 {
            let expected = format!("the length of the target: {len}");
            self.found.report.value(of, at!(self, i_size_lo), expected, size);
        }
        whole[..len].into()
    }

    fn claim(&mut self, shape: &Shape, map: &Map) {
        let superblock = &self.found.volume.superblock;
        let ino = self.ino;
        for run in &map.runs {
            let block = run.block;
            let of = match shape {
                // The resize inode lists blocks that groups have reserved already.
                _ if ino == ino::RESIZE => continue,
                _ if ino == superblock.s_journal_inum.get() => Object::Journal(block),
                _ if ino == superblock.s_orphan_file_inum.get() => Object::OrphanFile(block),
                Shape::Directory => Object::Directory { ino, block },
                Shape::Symlink(_) => Object::Symlink(ino),
                _ if self.stored.i_flags.get() & inode_flags::EA_INODE != 0 => {
                    Object::XattrValue { ino, block }
                }
                _ if !run.written => Object::Unwritten { ino, block },
                _ => Object::Data { ino, block },
            };
            self.found.claims.add(run.start, run.len.into(), of);
        }
    }

    /// `far`: blocks of values in inodes of their own, which count in every inode that has the attribute.
    fn check_blocks(&mut self, map: &Map, far: u64) {
        let volume = self.found.volume;
        let blocks = map.blocks() + u64::from(self.stored.file_acl() != 0) + far;
        let is_huge = volume.ro_compat(ro_compat::HUGE_FILE);
        let in_blocks = is_huge && self.stored.i_flags.get() & inode_flags::HUGE_FILE != 0;
        let expected = if in_blocks { blocks } else { blocks * (volume.block_size as u64 / 512) };
        let stored = if is_huge { self.stored.blocks() } else { self.stored.i_blocks_lo.get().into() };
        if expected != stored {
            let expected = format!("i_blocks {expected}");
            self.found.report.mismatch(Object::Inode(self.ino), at!(self, i_blocks_lo), expected, stored);
        }
    }

    fn check_size(&mut self, shape: &Shape, size: u64, map: &Map) {
        let volume = self.found.volume;
        let block_size = volume.block_size as u64;
        let of = Object::Inode(self.ino);
        let last = map.runs.iter().rev().find(|run| run.written).map_or(0, Run::end);
        let at_size = at!(self, i_size_lo);
        let is_orphan = self.found.orphans.contains(&self.ino);
        let is_verity = self.stored.i_flags.get() & inode_flags::VERITY != 0;
        match shape {
            Shape::Directory => {
                if size != last * block_size || size == 0 {
                    let expected = format!("the blocks of the directory: {} bytes", last * block_size);
                    self.found.report.mismatch(of, at_size, expected, size);
                }
                self.check_gaps(map);
            }
            Shape::File if size.div_ceil(block_size) > self.most_blocks() => {
                let expected = format!("at most {} blocks", self.most_blocks());
                self.found.report.value(of, at_size, expected, size);
            }
            Shape::File if is_verity || is_orphan || self.ino == ino::RESIZE => {}
            Shape::File => {
                if last > size.div_ceil(block_size) {
                    let expected = format!("more than {} bytes", (last - 1) * block_size);
                    self.found.report.mismatch(of, at_size, expected, size);
                }
                if size > i32::MAX as u64 && !volume.ro_compat(ro_compat::LARGE_FILE) {
                    self.found.report.value(of, at_size, "less than 2 GiB without large_file", size);
                }
            }
            Shape::Symlink(_) | Shape::Unknown => {}
            _ if size != 0 => self.found.report.value(of, at_size, "0 bytes in a special file", size),
            _ => {}
        }
    }

    /// Blocks that the form of the map reaches.
    fn most_blocks(&self) -> u64 {
        let pointers = self.found.volume.block_size as u64 / 4;
        match self.stored.i_flags.get() & inode_flags::EXTENTS {
            0 => (12 + pointers + pointers.pow(2) + pointers.pow(3)).min(1 << 32),
            _ => 1 << 32,
        }
    }

    /// A directory has no holes.
    fn check_gaps(&mut self, map: &Map) {
        let mut next = 0;
        for run in &map.runs {
            if u64::from(run.block) != next || !run.written {
                let expected = format!("directory block {next} allocated and written");
                let of = Object::Inode(self.ino);
                self.found.report.value(
                    of,
                    at!(self, i_block),
                    expected,
                    format_args!("a hole up to {}", run.block),
                );
            }
            next = run.end();
        }
    }

    /// The set of attributes, as far as it is known now, and the blocks of values in inodes of their own.
    fn xattrs(&mut self) -> (XattrsId, u64) {
        let of = Object::Inode(self.ino);
        let is_value = self.stored.i_flags.get() & inode_flags::EA_INODE != 0;
        let Found { volume, claims, report, tree, xattr_blocks, waiting, .. } = &mut *self.found;
        let start = GOOD_OLD_INODE_SIZE + usize::from(self.stored.i_extra_isize.get());
        let room = if volume.inode_size > GOOD_OLD_INODE_SIZE { self.bytes.get(start..) } else { None };
        let room = room.unwrap_or_default();
        let own = xattrs::in_inode(volume, room, self.at + start as u64, self.ino, report);
        let number = self.stored.file_acl();
        let block = match number {
            0 => None,
            number if !volume.holds(number, 1) => {
                let expected = format!("a block below {}", volume.blocks);
                report.value(of, at!(self, i_file_acl_lo), expected, number);
                None
            }
            number => Some(xattr_blocks.get(volume, number, self.ino, claims, report)),
        };
        if is_value && (block.is_some() || !own.near.is_empty() || !own.far.is_empty()) {
            report.value(of, at!(self, i_file_acl_lo), "no attributes of an attribute's value", "some");
        }
        let far = own.far.iter().chain(block.into_iter().flat_map(|set| &set.far));
        let far = far.map(|far| far.size.div_ceil(volume.block_size as u64)).sum();
        let block = block.map(|_| number);
        if block.is_none() && own.far.is_empty() {
            return (if own.near.is_empty() { XattrsId(0) } else { tree.intern(own.near) }, far);
        }
        waiting.push(Waiting { ino: self.ino, own, block });
        (XattrsId(0), far)
    }
}
