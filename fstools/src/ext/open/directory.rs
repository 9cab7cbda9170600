//! Blocks of directories: their entries, and the index that finds entries by the hash of their names.

use super::super::disk::{
    DIR_TAIL_FILE_TYPE, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DX_ROOT_INFO, DirEntry, DirEntryTail, DxCountLimit,
    DxEntry, DxRootInfo, DxTail, crc32c, dx_checksum, incompat, inode_flags,
};
use super::blocks::Run;
use super::claims::Claims;
use super::hash::Hasher;
use super::inodes::Inode;
use super::report::{Object, Report};
use super::volume::Volume;
use diskwright_formats::bytes::escaped;
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::FromBytes;

/// Directories are read in parts of this many bytes (or a block, if that is longer).
const PART: usize = 256 << 10;
const HEAD: usize = size_of::<DirEntry>();
const TAIL: usize = size_of::<DirEntryTail>();

/// An entry in use.
#[derive(Clone, Copy, Debug)]
pub(in crate::ext) struct Entry<'a> {
    pub(in crate::ext) ino: u32,
    pub(in crate::ext) file_type: u8,
    pub(in crate::ext) name: &'a [u8],
    /// The byte behind the name; 0 if it fills the entry.
    pub(in crate::ext) after: u8,
    /// Bytes of the entry.
    pub(in crate::ext) len: usize,
    /// Byte position in its block.
    pub(in crate::ext) start: usize,
}

/// The entry of a block at byte `start`, unused ones too (`ino` 0); entries end before `end`, which is not before
/// `start`. `Err` says what is wrong with it.
pub(in crate::ext) fn entry_at(block: &[u8], start: usize, end: usize) -> Result<Entry<'_>, String> {
    let rest = &block[start..end];
    let Ok((head, body)) = DirEntry::read_from_prefix(rest) else {
        return Err(format!("{} bytes left", rest.len()));
    };
    let len = match (head.rec_len.get(), block.len()) {
        // Blocks of 64 KiB: the length has 16 bits, its lowest two are the highest.
        (0 | 0xFFFF, 65536) => 65536,
        (stored, 65536) => usize::from(stored & 0xFFFC) | usize::from(stored & 3) << 16,
        (stored, _) => stored.into(),
    };
    let name_len = usize::from(head.name_len);
    if len < HEAD + 4 || !len.is_multiple_of(4) || len > rest.len() {
        return Err(format!("rec_len {len} with {} bytes left", rest.len()));
    }
    match body.get(..name_len).filter(|_| HEAD + name_len <= len) {
        Some(name) => {
            let after = if HEAD + name_len < len { body[name_len] } else { 0 };
            Ok(Entry { ino: head.inode.get(), file_type: head.file_type, name, after, len, start })
        }
        None => Err(format!("name_len {name_len} with rec_len {len}")),
    }
}

/// Whether a block ends in a tail with a checksum.
pub(in crate::ext) fn has_tail(block: &[u8]) -> bool {
    let tail = DirEntryTail::read_from_suffix(block).map(|(_, tail)| tail);
    tail.is_ok_and(|tail| {
        tail.det_reserved_zero1.get() == 0
            && usize::from(tail.det_rec_len.get()) == TAIL
            && tail.det_reserved_zero2 == 0
            && tail.det_reserved_ft == DIR_TAIL_FILE_TYPE
    })
}

/// Whether a block of an indexed directory has the form of an index node: one unused entry that spans it.
pub(in crate::ext) fn is_node(block: &[u8]) -> bool {
    entry_at(block, 0, block.len()).is_ok_and(|entry| entry.ino == 0 && entry.len == block.len())
}

/// A directory and what reading it needs.
pub(super) struct Directory<'a> {
    pub(super) volume: &'a Volume<'a>,
    pub(super) inode: &'a Inode,
    /// Runs whose blocks another directory has, too.
    pub(super) contested: &'a BTreeSet<Object>,
}

/// What the names in a leaf of an index hash to, both ends included.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    low: u32,
    high: u32,
}

/// The index of a directory: the leaves, by their block in the directory, and the nodes.
struct Index {
    hasher: Hasher,
    leaves: BTreeMap<u32, Bounds>,
    nodes: BTreeMap<u32, Bounds>,
}

impl Directory<'_> {
    /// Hands every entry in use to `each`, with its byte position in the image.
    pub(super) fn read(
        &self,
        claims: &mut Claims,
        report: &mut Report,
        mut each: impl FnMut(u64, Entry, Object, &mut Report),
    ) {
        if self.inode.flags & inode_flags::INDEX == 0 {
            return self.each_block(claims, report, |of, bytes, at, report| {
                self.leaf(of, bytes, at, report, &mut each);
            });
        }
        let Some((root, at)) = self.root(claims, report) else { return };
        self.root_entries(&root, at, report, &mut each);
        let index = self.index(&root, at, claims, report);
        // Root and nodes were visited now, so that only leaves are left.
        self.each_block(claims, report, |of, bytes, at, report| match (&index, of) {
            (None, _) if is_node(bytes) => {}
            (Some(index), Object::Directory { block, .. }) => {
                let bounds = index.leaves.get(&block).copied();
                if bounds.is_none() {
                    report.mismatch(of, at, "a block that its index refers to", "none");
                }
                self.leaf(of, bytes, at, report, |at, entry, of, report| {
                    // What other case a name has is in tables that are not here.
                    if self.inode.flags & inode_flags::CASEFOLD == 0 {
                        check_bounds(&index.hasher, bounds, at, &entry, of, report);
                    }
                    each(at, entry, of, report);
                });
            }
            _ => self.leaf(of, bytes, at, report, &mut each),
        });
    }

    /// Reads the directory part by part. Blocks that were read before, as those of another structure, are left out.
    fn each_block(
        &self,
        claims: &mut Claims,
        report: &mut Report,
        mut each: impl FnMut(Object, &[u8], u64, &mut Report),
    ) {
        let size = self.volume.block_size;
        let per_part = (PART / size).max(1) as u32;
        let ino = self.inode.ino;
        let own = |run: &&Run| !self.contested.contains(&Object::Directory { ino, block: run.block });
        for run in self.inode.runs.iter().filter(|run| run.written).filter(own) {
            for first in (0..run.len).step_by(per_part as usize) {
                if report.is_full() {
                    return;
                }
                let count = (run.len - first).min(per_part);
                let start = run.start + u64::from(first);
                let visit = |block| claims.first_visit(block);
                let fresh: Vec<bool> = (start..start + u64::from(count)).map(visit).collect();
                let of = |block| Object::Directory { ino, block: run.block + first + block };
                let at = self.volume.offset(start);
                let bytes = match self.volume.read_at(at, count as usize * size, of(0)) {
                    Ok(bytes) => bytes,
                    Err(damage) => return report.add(damage),
                };
                let blocks = (0..count).zip(bytes.chunks_exact(size)).zip(fresh).filter(|(_, fresh)| *fresh);
                for ((block, bytes), _) in blocks {
                    each(of(block), bytes, at + u64::from(block) * size as u64, report);
                }
            }
        }
    }

    /// Entries of a block without index.
    fn leaf(
        &self,
        of: Object,
        bytes: &[u8],
        at: u64,
        report: &mut Report,
        mut each: impl FnMut(u64, Entry, Object, &mut Report),
    ) {
        let mut end = bytes.len();
        if self.volume.has_checksums() {
            match has_tail(bytes) {
                true => {
                    end -= TAIL;
                    let (_, tail) = DirEntryTail::read_from_suffix(bytes).expect("a block is longer");
                    let computed = crc32c(self.inode.seed, &bytes[..end]);
                    report.checksum(of, at + end as u64 + 8, computed, tail.det_checksum.get());
                }
                false => report.value(of, at + (end - TAIL) as u64, "a tail with a checksum", "none"),
            }
        }
        let mut start = 0;
        while start < end {
            let entry = match entry_at(bytes, start, end) {
                Ok(entry) => entry,
                Err(found) => return report.value(of, at + start as u64, "an entry within its block", found),
            };
            start += entry.len;
            if entry.ino != 0 {
                each(at + entry.start as u64, entry, of, report);
            }
        }
    }

    /// `.` and `..` in front of the root of an index.
    fn root_entries(
        &self,
        bytes: &[u8],
        at: u64,
        report: &mut Report,
        each: &mut impl FnMut(u64, Entry, Object, &mut Report),
    ) {
        let of = Object::Index { ino: self.inode.ino, block: 0 };
        let mut start = 0;
        for len in [12, bytes.len() - 12] {
            match entry_at(bytes, start, bytes.len()) {
                Ok(entry) if entry.len == len => each(at + start as u64, entry, of, report),
                Ok(entry) => {
                    report.value(of, at + start as u64 + 4, format_args!("rec_len {len}"), entry.len);
                }
                Err(found) => report.value(of, at + start as u64, "`.` and `..`", found),
            }
            start += 12;
        }
    }

    /// The root of the index, unless it was read as something else before.
    fn root(&self, claims: &mut Claims, report: &mut Report) -> Option<(Vec<u8>, u64)> {
        let of = Object::Index { ino: self.inode.ino, block: 0 };
        let place = self.place(0).filter(|&place| claims.first_visit(place))?;
        self.read_one(place, of, report)
    }

    /// Reads the index. `None` if its root cannot be used; the blocks are then read as if there were none.
    fn index(&self, bytes: &[u8], at: u64, claims: &mut Claims, report: &mut Report) -> Option<Index> {
        let of = Object::Index { ino: self.inode.ino, block: 0 };
        let (info, _) = DxRootInfo::read_from_prefix(&bytes[DX_ROOT_INFO..]).expect("a block is longer");
        let info_at = at + DX_ROOT_INFO as u64;
        let hasher = Hasher::new(info.hash_version, &self.volume.superblock);
        let Some(hasher) = hasher else {
            report.value(of, info_at + 4, "a hash version from 0 to 2", info.hash_version);
            return None;
        };
        let most = if self.volume.incompat(incompat::LARGEDIR) { 2 } else { 1 };
        if info.reserved_zero.get() != 0 || info.info_length != 8 || info.indirect_levels > most {
            let found = format!("{info:?}");
            let expected = format!("reserved 0, info_length 8, indirect_levels up to {most}");
            report.value(of, info_at, expected, found);
            return None;
        }
        if info.unused_flags != 0 {
            report.value(of, info_at + 7, "unused_flags 0", info.unused_flags);
        }
        let mut index = Index { hasher, leaves: BTreeMap::new(), nodes: BTreeMap::new() };
        let all = Bounds { low: 0, high: u32::MAX };
        let mut level = self.node(of, bytes, at, DX_ROOT_ENTRIES, all, report)?;
        index.nodes.insert(0, all);
        for _ in 0..info.indirect_levels {
            let mut below = Vec::new();
            for (block, bounds, pointer) in level {
                let of = Object::Index { ino: self.inode.ino, block };
                if report.is_full() || !self.refer(&mut index.nodes, block, bounds, pointer, report) {
                    continue;
                }
                let place = self.place(block).filter(|&place| claims.first_visit(place));
                let Some((bytes, at)) = place.and_then(|place| self.read_one(place, of, report)) else {
                    continue;
                };
                below.extend(self.node(of, &bytes, at, DX_NODE_ENTRIES, bounds, report).unwrap_or_default());
            }
            level = below;
        }
        for (block, bounds, pointer) in level {
            if index.nodes.contains_key(&block) {
                report.value(pointer.0, pointer.1, "a leaf", format_args!("block {block}, a node"));
            } else {
                self.refer(&mut index.leaves, block, bounds, pointer, report);
            }
        }
        Some(index)
    }

    /// Notes a reference to a block; false if there was one before or the block is not the directory's.
    fn refer(
        &self,
        seen: &mut BTreeMap<u32, Bounds>,
        block: u32,
        bounds: Bounds,
        (of, at): (Object, u64),
        report: &mut Report,
    ) -> bool {
        if self.place(block).is_none() {
            report.value(of, at, "a block of the directory", block);
            return false;
        }
        let is_first = seen.insert(block, bounds).is_none();
        if !is_first {
            report.value(of, at, "every block once in the index", format_args!("block {block} again"));
        }
        is_first
    }

    /// The children of an index node: block, bounds, and where the pointer to it lies.
    #[allow(clippy::type_complexity)]
    fn node(
        &self,
        of: Object,
        bytes: &[u8],
        at: u64,
        entries: usize,
        bounds: Bounds,
        report: &mut Report,
    ) -> Option<Vec<(u32, Bounds, (Object, u64))>> {
        let size = size_of::<DxEntry>();
        let (numbers, _) = DxCountLimit::read_from_prefix(&bytes[entries..]).expect("a block is longer");
        let tail = if self.volume.has_checksums() { size_of::<DxTail>() } else { 0 };
        let room = (bytes.len() - entries - tail) / size;
        let (limit, count) = (usize::from(numbers.limit.get()), usize::from(numbers.count.get()));
        let numbers_at = at + entries as u64;
        if limit != room {
            report.value(of, numbers_at, format_args!("limit {room}"), limit);
            return None;
        }
        if count == 0 || count > limit {
            report.value(of, numbers_at + 2, format_args!("a count from 1 to {limit}"), count);
            return None;
        }
        if self.volume.has_checksums() {
            let tail_at = entries + limit * size;
            let (tail, _) = DxTail::read_from_prefix(&bytes[tail_at..]).expect("the limit leaves room");
            let computed = dx_checksum(self.inode.seed, bytes, entries, count, &tail);
            report.checksum(of, at + tail_at as u64 + 4, computed, tail.dt_checksum.get());
        }
        let all: Vec<DxEntry> = (0..count)
            .map(|i| DxEntry::read_from_prefix(&bytes[entries + i * size..]).expect("within the limit").0)
            .collect();
        // The first entry has no hash: it starts where its parent says.
        let hash = |i: usize| if i == 0 { bounds.low } else { all[i].hash.get() };
        let mut children = Vec::with_capacity(count);
        for (i, entry) in all.iter().enumerate() {
            let entry_at = numbers_at + (i * size) as u64;
            let (low, next) = (hash(i), (i + 1 < count).then(|| hash(i + 1)));
            if low < bounds.low || low & !1 > bounds.high || next.is_some_and(|next| next < low) {
                let expected = format!("hashes in order from {:#x} to {:#x}", bounds.low, bounds.high);
                report.value(of, entry_at, expected, format_args!("{low:#x}"));
            }
            // An odd hash says that the block continues the last hash of the one before.
            let high = match next {
                None => bounds.high,
                Some(next) if next & 1 == 1 => next & !1,
                Some(next) => next.saturating_sub(1),
            };
            // The block number has 28 bits.
            let block = entry.block.get() & 0x0FFF_FFFF;
            children.push((block, Bounds { low, high }, (of, entry_at + 4)));
        }
        Some(children)
    }

    fn read_one(&self, place: u64, of: Object, report: &mut Report) -> Option<(Vec<u8>, u64)> {
        let bytes = self.volume.read_block(place, of).map_err(|damage| report.add(damage)).ok()?;
        Some((bytes, self.volume.offset(place)))
    }

    /// Where a block of the directory lies.
    fn place(&self, block: u32) -> Option<u64> {
        let runs = &self.inode.runs;
        let after = runs.partition_point(|run: &Run| run.block <= block);
        let run = runs[..after].last().filter(|run| run.written && run.end() > block.into())?;
        Some(run.start + u64::from(block - run.block))
    }
}

fn check_bounds(
    hasher: &Hasher,
    bounds: Option<Bounds>,
    at: u64,
    entry: &Entry,
    of: Object,
    report: &mut Report,
) {
    let Some(Bounds { low, high }) = bounds else { return };
    let hash = hasher.hash(entry.name);
    if hash < low & !1 || hash > high {
        let expected = format!("a name that hashes to {low:#x} up to {high:#x}");
        report.value(of, at, expected, format_args!("{:#x}: {}", hash, escaped(entry.name)));
    }
}
