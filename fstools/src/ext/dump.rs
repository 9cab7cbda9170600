//! An annotated dump: one line for every structure, free range and run of data, in the order of the bytes.
//!
//! `offset length structure: fields`, both numbers in bytes. Each line starts where the one before ends; what cannot be
//! explained is still a line. The names are those of damages.

mod fields;
mod lines;

use super::disk::{
    DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DX_ROOT_INFO, DxCountLimit, DxEntry, DxRootInfo, ExtentHeader,
    Inode as Stored, JournalSuperblock, Superblock, XattrEntry, XattrHeader, inode_flags,
};
use super::open::{
    Claim, Inode, Object, Scan, Volume, entry_at, has_tail, is_node, name_of, named, per_block, primary, scan,
};
use diskwright_formats::bytes::{escaped, is_zero};
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::layout::ReadAt;
use lines::Lines;
use std::fmt;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// Accounts for every byte of the image. Fails where [`open`](super::open) would.
pub(super) fn dump(image: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    let name = name_of(image);
    let Scan { volume, claims, inodes, .. } = scan(image).map_err(|damage| named(damage, name))?;
    let mut dump = Dump { volume: &volume, inodes: &inodes, lines: Lines::new(out, image.len()) };
    dump.all(&claims.sorted()).map_err(|error| {
        let at = dump.lines.at();
        Damage::new(DamageKind::Io, Spot::new(name, "dump"), at, "a line that is written", error.to_string())
    })
}

struct Dump<'a> {
    volume: &'a Volume<'a>,
    inodes: &'a [Inode],
    lines: Lines<'a>,
}

impl Dump<'_> {
    fn all(&mut self, claims: &[Claim]) -> fmt::Result {
        self.lines.until(u64::MAX);
        self.lines.put(1024, "boot area", "")?;
        for claim in claims {
            let (start, end) = (self.volume.offset(claim.start), self.volume.offset(claim.end()));
            self.lines.until(u64::MAX);
            self.lines.put(start.saturating_sub(self.lines.at()), "free", "")?;
            self.lines.until(end);
            match claim.of {
                // Behind the boot area; with blocks of 1024 bytes a block of its own.
                Object::Superblock => self.superblock(claim.of)?,
                _ if self.lines.at() > start => self.lines.put(u64::MAX, claim.of, "a part (overlaps)")?,
                _ => self.claim(claim)?,
            }
            self.lines.put(u64::MAX, claim.of, "unused")?;
        }
        self.lines.until(u64::MAX);
        self.lines.put(self.volume.len().saturating_sub(self.lines.at()), "free", "")?;
        self.lines.put(u64::MAX, "behind the file system", "")
    }

    fn claim(&mut self, claim: &Claim) -> fmt::Result {
        match claim.of {
            Object::SuperblockBackup(_) => self.superblock(claim.of),
            Object::Descriptors { copy, block } => self.each_block(claim, |dump, _, bytes| {
                let is_copy = claim.start != primary(dump.volume, block);
                dump.descriptors(is_copy.then_some(copy), block, bytes)
            }),
            Object::BlockBitmap(_) => self.each_block(claim, |dump, _, bytes| {
                dump.bitmap(claim.of, bytes, dump.volume.blocks_per_group)
            }),
            Object::InodeBitmap(_) => self.each_block(claim, |dump, _, bytes| {
                dump.bitmap(claim.of, bytes, dump.volume.inodes_per_group.into())
            }),
            Object::InodeTable(group) => self.inode_table(group, claim),
            Object::ExtentNode(_) => {
                self.each_block(claim, |dump, _, bytes| dump.extent_node(claim.of, bytes))
            }
            Object::IndirectBlock(_) => self.each_block(claim, |dump, _, bytes| {
                dump.lines.put(bytes.len() as u64, claim.of, fields::pointers(bytes))
            }),
            Object::Directory { ino, block } => {
                self.each_block(claim, |dump, index, bytes| dump.directory(ino, block + index, bytes))
            }
            Object::XattrBlock(_) => {
                self.each_block(claim, |dump, _, bytes| dump.xattr_block(claim.of, bytes))
            }
            Object::Symlink(_) => self.each_block(claim, |dump, _, bytes| {
                let target = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                dump.lines.put(bytes.len() as u64, claim.of, format_args!("target={}", escaped(target)))
            }),
            Object::Journal(0) => self.journal(claim),
            Object::OrphanFile(block) => self.each_block(claim, |dump, index, bytes| {
                let (numbers, tail) = bytes.split_at(bytes.len() - 8);
                let numbers = numbers.chunks_exact(4).map(|word| fields::word(word, 0));
                let used: Vec<String> = numbers.filter(|ino| *ino != 0).map(|ino| ino.to_string()).collect();
                let (magic, sum) = (fields::word(tail, 0), fields::word(tail, 4));
                let of = Object::OrphanFile(block + index);
                let used = used.join(",");
                let text = format_args!("orphans={used} ob_magic={magic:#x} ob_checksum={sum:#x}");
                dump.lines.put(bytes.len() as u64, of, text)
            }),
            Object::Mmp => {
                self.each_block(claim, |dump, _, bytes| dump.lines.put(1024, claim.of, fields::mmp(bytes)))
            }
            of => self.lines.put(u64::MAX, of, format_args!("blocks={}", claim.len)),
        }
    }

    /// Hands every block of a claim to `each`, with its number in the claim.
    fn each_block(
        &mut self,
        claim: &Claim,
        mut each: impl FnMut(&mut Self, u32, &[u8]) -> fmt::Result,
    ) -> fmt::Result {
        for (index, block) in (0..).zip(claim.start..claim.end()) {
            let Ok(bytes) = self.volume.read_block(block, claim.of) else {
                return self.lines.put(u64::MAX, claim.of, "cut off");
            };
            self.lines.until(self.volume.offset(block + 1));
            each(self, index, &bytes)?;
            self.lines.put(u64::MAX, claim.of, "unused")?;
        }
        Ok(())
    }

    fn superblock(&mut self, of: Object) -> fmt::Result {
        let Ok(bytes) = self.volume.read_at(self.lines.at(), size_of::<Superblock>(), of) else {
            return self.lines.put(u64::MAX, of, "cut off");
        };
        let superblock = Superblock::ref_from_bytes(&bytes).expect("1024 bytes were read");
        self.lines.put(bytes.len() as u64, of, fields::superblock(superblock))
    }

    fn descriptors(&mut self, copy: Option<u32>, block: u32, bytes: &[u8]) -> fmt::Result {
        let first = block * per_block(self.volume);
        let size = self.volume.descriptor_size;
        for (group, bytes) in (first..self.volume.groups).zip(bytes.chunks_exact(size)) {
            let of = match copy {
                Some(copy) => Object::DescriptorBackup { group, copy },
                None => Object::Descriptor(group),
            };
            self.lines.put(size as u64, of, fields::descriptor(bytes))?;
        }
        Ok(())
    }

    fn bitmap(&mut self, of: Object, bytes: &[u8], bits: u64) -> fmt::Result {
        let used: u32 = bytes[..bits as usize / 8].iter().map(|byte| byte.count_ones()).sum();
        self.lines.put(bytes.len() as u64, of, format_args!("set={used} of={bits}"))
    }

    /// One line for each inode that was ever used, one for each run of others.
    fn inode_table(&mut self, group: u32, claim: &Claim) -> fmt::Result {
        const PART: u32 = 1024;
        let volume = self.volume;
        let size = volume.inode_size as u64;
        let table = volume.offset(claim.start);
        let of = Object::InodeTable(group);
        let mut free = 0u64;
        for first in (0..volume.inodes_per_group).step_by(PART as usize) {
            let count = (volume.inodes_per_group - first).min(PART);
            let at = table + u64::from(first) * size;
            let Ok(bytes) = volume.read_at(at, count as usize * size as usize, of) else { break };
            for (index, bytes) in (0..).zip(bytes.chunks_exact(size as usize)) {
                if is_zero(bytes) {
                    free += 1;
                    continue;
                }
                self.lines.put(free * size, of, format_args!("zero inodes={free}"))?;
                free = 0;
                let ino = group * volume.inodes_per_group + first + index + 1;
                self.lines.put(size, Object::Inode(ino), fields::inode(&Stored::read(bytes)))?;
            }
        }
        self.lines.put(free * size, of, format_args!("zero inodes={free}"))
    }

    fn extent_node(&mut self, of: Object, bytes: &[u8]) -> fmt::Result {
        let (header, rest) = ExtentHeader::ref_from_prefix(bytes).expect("a block is longer");
        self.lines.put(size_of::<ExtentHeader>() as u64, of, fields::extent_header(header))?;
        let (entries, max) = (usize::from(header.eh_entries.get()), usize::from(header.eh_max.get()));
        for entry in rest.chunks_exact(12).take(entries.min(max)) {
            self.lines.put(12, of, fields::extent_entry(entry, header.eh_depth.get()))?;
        }
        self.lines.put(12 * max.saturating_sub(entries) as u64, of, "unused entries")?;
        let tail = rest.get(12 * max..).and_then(|rest| rest.get(..4));
        match tail {
            Some(tail) => self.lines.put(4, of, format_args!("eb_checksum={:#x}", fields::word(tail, 0))),
            None => Ok(()),
        }
    }

    fn directory(&mut self, ino: u32, block: u32, bytes: &[u8]) -> fmt::Result {
        let at = self.inodes.binary_search_by_key(&ino, |inode| inode.ino);
        let is_indexed = at.is_ok_and(|at| self.inodes[at].flags & inode_flags::INDEX != 0);
        if is_indexed && block == 0 {
            return self.index_root(ino, bytes);
        }
        if is_indexed && is_node(bytes) {
            let of = Object::Index { ino, block };
            self.lines.put(DX_NODE_ENTRIES as u64, of, "an empty entry")?;
            return self.index_entries(of, bytes, DX_NODE_ENTRIES);
        }
        let of = Object::Directory { ino, block };
        let end = bytes.len() - if has_tail(bytes) { 12 } else { 0 };
        let mut start = 0;
        while start < end {
            let Ok(entry) = entry_at(bytes, start, end) else {
                self.lines.put((end - start) as u64, of, "not an entry")?;
                break;
            };
            self.lines.put(entry.len as u64, of, fields::entry(&entry))?;
            start += entry.len;
        }
        if end < bytes.len() {
            let sum = fields::word(bytes, end + 8);
            self.lines.put(12, of, format_args!("tail det_checksum={sum:#x}"))?;
        }
        Ok(())
    }

    fn index_root(&mut self, ino: u32, bytes: &[u8]) -> fmt::Result {
        let of = Object::Index { ino, block: 0 };
        for start in [0, 12] {
            match entry_at(bytes, start, bytes.len()) {
                Ok(entry) => self.lines.put(12, of, fields::entry(&entry))?,
                Err(_) => self.lines.put(12, of, "not an entry")?,
            }
        }
        let (info, _) = DxRootInfo::read_from_prefix(&bytes[DX_ROOT_INFO..]).expect("a block is longer");
        self.lines.put(
            size_of::<DxRootInfo>() as u64,
            of,
            format_args!("hash_version={} indirect_levels={}", info.hash_version, info.indirect_levels),
        )?;
        self.index_entries(of, bytes, DX_ROOT_ENTRIES)
    }

    fn index_entries(&mut self, of: Object, bytes: &[u8], start: usize) -> fmt::Result {
        let size = size_of::<DxEntry>();
        let (numbers, _) = DxCountLimit::read_from_prefix(&bytes[start..]).expect("a block is longer");
        let (limit, count) = (usize::from(numbers.limit.get()), usize::from(numbers.count.get()));
        let first = fields::word(bytes, start + 4);
        self.lines.put(size as u64, of, format_args!("limit={limit} count={count} block={first}"))?;
        for entry in bytes[start..].chunks_exact(size).take(count.min(limit)).skip(1) {
            let (hash, block) = (fields::word(entry, 0), fields::word(entry, 4));
            self.lines.put(size as u64, of, format_args!("hash={hash:#x} block={block}"))?;
        }
        self.lines.put((size * limit.saturating_sub(count)) as u64, of, "unused entries")?;
        match bytes
            .get(start + size * limit..)
            .filter(|rest| rest.len() >= size && self.volume.has_checksums())
        {
            Some(tail) => {
                self.lines.put(size as u64, of, format_args!("tail dt_checksum={:#x}", fields::word(tail, 4)))
            }
            None => Ok(()),
        }
    }

    fn xattr_block(&mut self, of: Object, bytes: &[u8]) -> fmt::Result {
        let (header, mut rest) = XattrHeader::ref_from_prefix(bytes).expect("a block is longer");
        self.lines.put(size_of::<XattrHeader>() as u64, of, fields::xattr_header(header))?;
        while let Some(name) = fields::xattr_name(rest) {
            let len = size_of::<XattrEntry>() + name.len().next_multiple_of(4);
            self.lines.put(len as u64, of, fields::xattr(rest, name))?;
            rest = rest.get(len..).unwrap_or_default();
        }
        let gap = rest.iter().position(|&byte| byte != 0).unwrap_or(rest.len());
        self.lines.put(gap as u64, of, "zeros")?;
        self.lines.put((rest.len() - gap) as u64, of, "values")
    }

    fn journal(&mut self, claim: &Claim) -> fmt::Result {
        let of = Object::Journal(0);
        if let Ok(bytes) = self.volume.read_at(self.lines.at(), size_of::<JournalSuperblock>(), of) {
            let journal = JournalSuperblock::ref_from_bytes(&bytes).expect("1024 bytes were read");
            self.lines.put(bytes.len() as u64, of, fields::journal(journal))?;
            self.lines.until(self.volume.offset(claim.start + 1));
            self.lines.put(u64::MAX, of, "unused")?;
        }
        self.lines.until(self.volume.offset(claim.end()));
        self.lines.put(u64::MAX, Object::Journal(1), format_args!("blocks={}", claim.len - 1))
    }
}

/// The word at a byte position; 0 behind the end.
fn word_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| U32::read_from_prefix(bytes).ok()).map_or(0, |(word, _)| word.get())
}
